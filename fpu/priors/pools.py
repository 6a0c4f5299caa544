"""The pool of a prior, its public images: made once, checked, and kept in the cache with their codes."""

import contextlib
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fpu import InputError
from fpu.files import safe
from fpu.models import Spec

COUNT = 100_000  # images of a pool, fewer where they are large
MOST_BYTES = 190 * 10**6  # of a pool on disk
LEAST = 1000  # images; fewer are no pool


def made(name: str, make: Callable, spec: Spec) -> dict[str, np.ndarray]:
    """The pool's images and, where the prior has them, classes; checked, as a user's own code may have made them."""
    each = int(np.prod(spec.shape)) + 4 * 64  # bytes of an image and its code
    n = min(COUNT, MOST_BYTES // each)
    images, classes = make(np.random.default_rng(0), n, spec)
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.shape[1:] != tuple(spec.shape):
        raise InputError(
            f"--prior={name} made {images.dtype} images of shape {list(images.shape[1:])}, and these are uint8 of "
            f"{list(spec.shape)}: name another prior, or --prior=none"
        )
    if len(images) < LEAST:
        raise InputError(f"--prior={name} made {len(images)} images; {LEAST:,} or more are needed")
    if classes is None:
        return {"images": images}
    classes = np.asarray(classes)
    if classes.shape != images.shape[:1] or classes.dtype.kind not in "iu":
        raise InputError(f"--prior={name}: its classes are not one integer for each image")
    numbers = np.unique(classes, return_inverse=True)[1]  # 0..K-1, whatever they were
    return {"images": images, "classes": numbers.astype(np.int32)}


def file(name: str, version: str, spec: Spec) -> str:
    """The name of a pool in the cache: prior and shape, then a hash of all that made it, this folder's code too."""
    code = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    asked = json.dumps([version, COUNT, MOST_BYTES]).encode()
    made_by = hashlib.sha256(asked + b"".join(code)).hexdigest()[:16]
    height, width, channels = spec.shape
    return f"{name}-{height}x{width}x{channels}-{made_by}.npz"


def read(path: Path, spec: Spec) -> dict[str, np.ndarray] | None:
    """The pool in a file of the cache; None where there is none, or it is damaged."""
    try:
        pool = safe.npz_arrays(path, ("images", "classes", "codes"))
    except InputError:
        return None
    whole = {"images", "codes"} <= set(pool) and len({len(array) for array in pool.values()}) == 1
    return pool if whole and pool["images"].shape[1:] == tuple(spec.shape) else None


def write(path: Path, pool: dict[str, np.ndarray]) -> None:
    """Keep a pool for the next run, in place of older ones of this prior and shape.

    A folder that cannot be written costs time, nothing else.
    """
    with contextlib.suppress(OSError, InputError):
        safe.write_npz(path, pool, compressed=False)
        for other in path.parent.glob(f"{path.name.rpartition('-')[0]}-*.npz"):
            if other != path:
                other.unlink()
