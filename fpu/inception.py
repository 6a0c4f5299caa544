"""The features of published FID: Inception-v3 as of 2015-12-05, from a weights file of the user's.

The network is the one behind every FID in print (arXiv:1706.08500), under the names that its ports
pytorch-fid and torch-fidelity gave its weights. It differs from Inception-v3 as others have it
(arXiv:1512.00567): the mean pools leave out the padding, the last block takes a maximum, and an
image is stretched as TensorFlow 1 did, without centring its pixels.

Trained on photographs, it says little about medical or grey images: use it to compare with numbers
in print, not to choose a generator. Some tenths of a second an image on two cores.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fpu import distributed, weights

FILE = "pt_inception-2015-12-05-6726825d.pth"
_SIDE = 299
_EPS = 1e-3  # of the batch norms
_CHUNK = 16  # images at once on a device: the process peaks at 1.2 GB
_CLASSES = {"fc.weight": (1008, 2048)}  # tells this network from torchvision's, which has 1000


class Conv(NamedTuple):
    """Convolution without bias, batch norm, ReLU."""

    name: str
    features: int
    height: int
    width: int
    stride: int = 1
    padding: str = "SAME"


class Block(NamedTuple):
    """Branches on one input, their channels joined; `name` begins the names of all convolutions."""

    name: str
    branches: Sequence


def _pool(x, start, combine, stride, padding):
    window, strides = (1, 3, 3, 1), (1, stride, stride, 1)
    return jax.lax.reduce_window(x, start, combine, window, strides, padding)


def _halve(x):
    return _pool(x, -jnp.inf, jax.lax.max, 2, "VALID")


def _maximum(x):
    return _pool(x, -jnp.inf, jax.lax.max, 1, "SAME")


def _mean(x):
    """Of the pixels under the window, not of the zeros beside the image."""
    pixels = _pool(jnp.ones((1, *x.shape[1:3], 1)), 0.0, jax.lax.add, 1, "SAME")
    return _pool(x, 0.0, jax.lax.add, 1, "SAME") / pixels


def _chain(name, *convs):
    """[name_1, name_2, ...]: convolutions in a row, each (features, height, width) or a Conv's rest."""
    return [Conv(f"{name}_{i}", *conv) for i, conv in enumerate(convs, 1)]


def _a(name, pooled):
    return Block(
        name,
        [
            [Conv("branch1x1", 64, 1, 1)],
            _chain("branch5x5", (48, 1, 1), (64, 5, 5)),
            _chain("branch3x3dbl", (64, 1, 1), (96, 3, 3), (96, 3, 3)),
            [_mean, Conv("branch_pool", pooled, 1, 1)],
        ],
    )


def _b(name):
    return Block(
        name,
        [
            [Conv("branch3x3", 384, 3, 3, 2, "VALID")],
            _chain("branch3x3dbl", (64, 1, 1), (96, 3, 3), (96, 3, 3, 2, "VALID")),
            [_halve],
        ],
    )


def _c(name, c):
    return Block(
        name,
        [
            [Conv("branch1x1", 192, 1, 1)],
            _chain("branch7x7", (c, 1, 1), (c, 1, 7), (192, 7, 1)),
            _chain("branch7x7dbl", (c, 1, 1), (c, 7, 1), (c, 1, 7), (c, 7, 1), (192, 1, 7)),
            [_mean, Conv("branch_pool", 192, 1, 1)],
        ],
    )


def _d(name):
    last = 3, 3, 2, "VALID"
    return Block(
        name,
        [
            _chain("branch3x3", (192, 1, 1), (320, *last)),
            _chain("branch7x7x3", (192, 1, 1), (192, 1, 7), (192, 7, 1), (192, *last)),
            [_halve],
        ],
    )


def _e(name, pool):
    def split(name):
        return Block("", [[Conv(f"{name}a", 384, 1, 3)], [Conv(f"{name}b", 384, 3, 1)]])

    return Block(
        name,
        [
            [Conv("branch1x1", 320, 1, 1)],
            [*_chain("branch3x3", (384, 1, 1)), split("branch3x3_2")],
            [*_chain("branch3x3dbl", (448, 1, 1), (384, 3, 3)), split("branch3x3dbl_3")],
            [pool, Conv("branch_pool", 192, 1, 1)],
        ],
    )


NETWORK = (
    Conv("Conv2d_1a_3x3", 32, 3, 3, 2, "VALID"),
    Conv("Conv2d_2a_3x3", 32, 3, 3, 1, "VALID"),
    Conv("Conv2d_2b_3x3", 64, 3, 3),
    _halve,
    Conv("Conv2d_3b_1x1", 80, 1, 1),
    Conv("Conv2d_4a_3x3", 192, 3, 3, 1, "VALID"),
    _halve,
    _a("Mixed_5b.", 32),
    _a("Mixed_5c.", 64),
    _a("Mixed_5d.", 64),
    _b("Mixed_6a."),
    _c("Mixed_6b.", 128),
    _c("Mixed_6c.", 160),
    _c("Mixed_6d.", 160),
    _c("Mixed_6e.", 192),
    _d("Mixed_7a."),
    _e("Mixed_7b.", _mean),
    _e("Mixed_7c.", _maximum),
)


def shapes():
    """{name: shape} of every weight the file must hold; kernels are [out, in, height, width]."""
    found = {}

    def walk(steps, channels, prefix):
        for step in steps:
            if isinstance(step, Conv):
                name, kernel = prefix + step.name, (step.height, step.width)
                found[f"{name}.conv.weight"] = (step.features, channels, *kernel)
                norm = ("weight", "bias", "running_mean", "running_var")
                found.update({f"{name}.bn.{part}": (step.features,) for part in norm})
                channels = step.features
            elif isinstance(step, Block):
                channels = sum(walk(b, channels, prefix + step.name) for b in step.branches)
        return channels

    walk(NETWORK, 3, "")
    return found | _CLASSES


def fold(held):
    """{convolution: (kernel [height, width, in, out], bias [out])}, batch norm multiplied in."""
    folded = {}
    for name in [key.removesuffix(".conv.weight") for key in held if key.endswith(".conv.weight")]:
        gain, bias, mean, variance = (
            held[f"{name}.bn.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gain / np.sqrt(variance + _EPS)
        kernel = held[f"{name}.conv.weight"].transpose(2, 3, 1, 0) * scale
        folded[name] = kernel.astype(np.float32), (bias - mean * scale).astype(np.float32)
    return folded


def _run(steps, folded, x, prefix=""):
    for step in steps:
        if isinstance(step, Conv):
            kernel, bias = folded[prefix + step.name]
            x = jax.lax.conv_general_dilated(
                x,
                kernel,
                (step.stride, step.stride),
                step.padding,
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
                precision=jax.lax.Precision.HIGHEST,
            )
            x = jax.nn.relu(x + bias[None, None, None])
        elif isinstance(step, Block):
            name = prefix + step.name
            x = jnp.concatenate([_run(branch, folded, x, name) for branch in step.branches], -1)
        else:
            x = step(x)
    return x


def stretch(x, axis):
    """Bilinear to 299 pixels along an axis, the first pixel staying the first (TensorFlow 1)."""
    side = x.shape[axis]
    at = np.arange(_SIDE, dtype=np.float32) * np.float32(side / _SIDE)
    below = at.astype(int)
    share = (at - below).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    low = jnp.take(x, below, axis)
    return low + (jnp.take(x, np.minimum(below + 1, side - 1), axis) - low) * share


@jax.jit
def features(folded, images):
    """float32 [n, 2048] of images uint8 [n, H, W, 3]."""
    x = stretch(stretch(images.astype(jnp.float32), 2), 1)
    return _run(NETWORK, folded, (x - 128) / 128).mean((1, 2))


def load(path):
    """embed: images uint8 [n, H, W, 1 or 3] -> float64 [n, 2048], with the weights of a file.

    Args:
      path: pt_inception-2015-12-05-6726825d.pth, or an .npz with the same names.

    Raises InputError for a file that cannot be read, or holds another network.
    """
    folded = jax.device_put(fold(weights.read(path, shapes(), FILE)))

    def embed(images):
        own = jax.local_devices()
        found, size = [np.zeros((0, 2048))], _CHUNK * len(own)
        for start in range(0, len(images), size):
            chunk = images[start : start + size]
            short = min(size, len(images)) - len(chunk)  # padded, so that there is one program
            padded = np.concatenate([chunk, np.zeros((short, *chunk.shape[1:]), np.uint8)])
            colour = np.broadcast_to(padded, (*padded.shape[:3], 3))  # grey: three times the same
            seen = distributed.over_rows(features, (folded,), colour, devices=own)
            found.append(np.asarray(seen)[: len(chunk)].astype(np.float64))
        return np.concatenate(found)

    return embed
