"""Public images that the user names: a data set, an .npz, or a folder of PNG and JPEG files.

That they are public is the user's word. They are shrunk to the size of the data, and turned to grey where the data
are grey; they are never enlarged, and grey images are never coloured. Classes are their labels or subfolders.
"""

import hashlib
import io
import types
from pathlib import Path

import numpy as np
from PIL import Image

from fpu import InputError, data
from fpu.data import npz
from fpu.files import safe
from fpu.models import Spec
from fpu.priors import pools

SUFFIXES = (".png", ".jpg", ".jpeg")
_MOST_PIXELS = 2**25  # of an image in a folder


def named(what: str, data_dir: str | Path | None = None) -> types.SimpleNamespace:
    """The prior of the public images that `what` names: an object with the names in fpu/priors/__init__.py.

    Args:
      what: a key of data.DATASETS; a path to an .npz in MedMNIST's format, whose labels may be absent; or a folder
        with PNG or JPEG files, or with a subfolder of them for each class.
      data_dir: where the files of a data set are looked for first.

    Raises InputError, one line, where there is no such thing, it is damaged, or holds fewer than pools.LEAST images.

    Nothing is kept in the cache: the images are the user's to store.
    """
    path = Path(what).expanduser()
    if what in data.DATASETS:
        held = data.load(what, data_dir)
        pick, classes, (digest, count) = _of_arrays(what, held.images, held.labels)
    elif path.is_dir():
        pick, classes, (digest, count) = _of_files(what, path)
    elif path.suffix == ".npz":
        pick, classes, (digest, count) = _of_arrays(what, *_npz(what, path))
    else:
        raise InputError(
            f"--prior=images:{what}: no data set, .npz file or folder of this name; data sets are "
            f"{', '.join(data.DATASETS)}"
        )
    if count < pools.LEAST:
        raise InputError(
            f"--prior=images:{what} has {count:,} images; {pools.LEAST:,} or more are needed: name more, or "
            "--prior=none"
        )

    def make(rng: np.random.Generator, n: int, spec: Spec) -> tuple[np.ndarray, np.ndarray | None]:
        """n of the images at random, or all of them: uint8 [., H, W, C], and classes int32 or None."""
        rows = np.sort(rng.permutation(count)[:n])
        own = None if classes is None else classes[rows].astype(np.int32)
        return pick(rows, spec), own

    title = what if what in data.DATASETS else path.name
    return types.SimpleNamespace(
        make=make,
        VERSION=digest,
        KNOWS=f"{count:,} public images that the user named: {title}",
        COLOUR=True,
    )


def _npz(what, path):
    """Images [n, H, W, C] of all splits of an .npz and labels; None where it has none, or one class only."""
    headers = safe.npz_headers(path, ("train_images", "train_labels"))
    if "train_labels" in headers:
        parts, _ = npz.read(path)
        images, labels, _ = zip(*parts.values(), strict=True)
        labels = np.concatenate(labels)
        return np.concatenate(images), labels if np.ptp(labels) else None
    shape, dtype = headers.get("train_images", ((), np.dtype(np.uint8)))
    if dtype != np.uint8 or len(shape) not in (3, 4) or (*shape, 1)[3] not in (1, 3) or 0 in shape:
        raise InputError(
            f"--prior=images:{what}: need an array train_images, uint8 [N, H, W] (grey) or [N, H, W, 3] (RGB)"
        )
    return safe.npz_array(path, "train_images").reshape(*shape[:3], -1), None


def _of_arrays(what, images, labels):
    def pick(rows, spec):
        channels = images.shape[3]
        _refuse_small(what, images.shape[1:3], channels, spec)
        if images.shape[1:] == tuple(spec.shape):
            return images[rows]
        each = (Image.fromarray(x[..., 0] if channels == 1 else x) for x in images[rows])
        return np.stack([_fitted(image, spec) for image in each])

    labelled = b"" if labels is None else np.asarray(labels, np.int64).tobytes()
    digest = hashlib.sha256(repr(images.shape).encode() + images.tobytes() + labelled)
    return pick, labels, (digest.hexdigest(), len(images))


def _of_files(what, folder):
    """The files of a folder, in the order of their names; those of its subfolders where it has any."""
    below = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    groups = [
        sorted(p for p in place.iterdir() if p.suffix.lower() in SUFFIXES)
        for place in below or [folder]
    ]
    groups = [group for group in groups if group]
    paths = [path for group in groups for path in group]
    classes = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    digest = hashlib.sha256()
    for path, label in zip(paths, classes, strict=True):
        digest.update(bytes.fromhex(safe.file_md5(path)) + int(label).to_bytes(4, "big"))

    def pick(rows, spec):
        return np.stack([_read(what, paths[row], spec) for row in rows])

    return pick, classes if len(groups) > 1 else None, (digest.hexdigest(), len(paths))


def _read(what, path, spec):
    with safe.one_line(path, "a PNG or JPEG image"):
        image = Image.open(io.BytesIO(path.read_bytes()), formats=("PNG", "JPEG"))
        if image.width * image.height > _MOST_PIXELS:
            raise InputError(f"{path}: {image.width}x{image.height} pixels; shrink it first")
        image = image.convert("L" if image.mode in ("1", "L", "I;16", "LA") else "RGB")
    _refuse_small(what, (image.height, image.width), len(image.getbands()), spec, path.name)
    return _fitted(image, spec)


def _refuse_small(what, sides, channels, spec, name="its images"):
    """InputError for images that would have to be enlarged or coloured."""
    height, width, wanted = spec.shape
    if sides[0] < height or sides[1] < width:
        raise InputError(
            f"--prior=images:{what}: {name} of {sides[0]}x{sides[1]} pixels would have to be enlarged to "
            f"{height}x{width}; name larger ones, or --prior=none"
        )
    if wanted > channels:
        raise InputError(
            f"--prior=images:{what}: grey images ({name}) cannot stand for RGB; name RGB ones, or --prior=none"
        )


def _fitted(image, spec):
    """uint8 [H, W, C]: shrunk by averaging, to grey where the data are."""
    height, width, channels = spec.shape
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BOX)
    return np.asarray(image, np.uint8).reshape(height, width, channels)
