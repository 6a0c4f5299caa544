"""Public priors: images made by code or named by the user, and a space in which they lie.

A prior is public by type: nothing in this folder takes a private example, but for the release (release.py), which
returns noised sums. To add a prior, write one file here and add its name to PRIORS. The file exports

    VERSION, KNOWS                   a string that changes whenever its images would; one sentence of what it knows
    make(rng, n, spec)               -> (uint8 [n, H, W, C], int32 [n] classes of its own, or None)
    vary(key, images, spec)          other public images close to these; absent where there is no such thing
    space(images, classes, spec)     -> Space; absent: the space of spectrum.py
    COLOUR                           True where it makes RGB too; absent: grey images only
    PLAUSIBLE                        the share of its images that can be like the members, 1 where all are of one kind;
                                     absent: .1, of a mixture of many kinds

Everything else (release, draws, training, report) then works on it. Two kinds of prior are not a file here:
`images:WHAT` is `images.named(WHAT, data_dir)`, an object with these names, and `module:function` is a function
make(rng, n, spec) of the user's own, beside which its module may export the other names.
"""

import contextlib
import difflib
import hashlib
import importlib
import json
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fpu import InputError
from fpu.files import cache, safe
from fpu.models import Spec

PRIORS = ("glyphs", "layers", "scans")  # the files of this folder that are priors
CHOICES = ("auto", "none", *PRIORS, "images:WHAT", "module:function")
COUNT = 100_000  # images of a pool, fewer where they are large
MOST_BYTES = 190 * 10**6  # of a pool on disk
LEAST = 1000  # images; fewer are no pool
RADIUS = 1.1  # times the median norm of the pool's codes: .75 costs 2 to 3 points of accuracy
_SHARE_WITHIN = 0.5  # of the pool's covariance, where it has no classes
_MIXTURE = 0.1  # PLAUSIBLE where a prior does not say
_FITTING = {"digits": "glyphs", "mnist": "glyphs", "octmnist": "layers"}


class Space(NamedTuple):
    """A public map from images to codes, and back where it can."""

    encode: Callable[..., np.ndarray]  # uint8 [n, H, W, C] -> float32 [n, d]; a row sees one image
    decode: Callable[..., np.ndarray] | None  # float32 [n, d] -> uint8 [n, H, W, C]
    # Images -> float32 [n, D], more numbers; a row sees one image.
    hidden: Callable[..., np.ndarray] | None = None


class Prior(NamedTuple):
    """A prior for images of one shape: its pool of images, with their codes."""

    name: str
    version: str
    knows: str
    images: np.ndarray  # uint8 [m, H, W, C]
    codes: np.ndarray  # float32 [m, d]
    space: Space
    radius: float  # codes are clipped to this norm before they are added; public
    within: np.ndarray  # float32 [d, d], covariance of codes within a class of the pool
    vary: Callable[..., np.ndarray] | None  # (key, uint8 [n, H, W, C]) -> the same shape
    plausible: float = _MIXTURE  # the share of the pool that can be like the members


def auto(dataset: str, spec: Spec) -> str:
    """The prior that --prior=auto stands for: a public rule, from the data set's name and the images' shape.

    glyphs for digits and mnist, layers for octmnist, whatever their side; none for everything else and for RGB.
    """
    if spec.shape[2] != 1:
        return "none"
    return _FITTING.get(dataset.partition("_")[0], "none")


def check(name: str) -> None:
    """Raise InputError, one line that names the nearest, unless `name` can be a --prior."""
    known = name in CHOICES[:-2] or all(name.partition(":")[::2])
    if not known:
        near = difflib.get_close_matches(name, CHOICES, n=1, cutoff=0.4)
        hint = f"the nearest is {near[0]}" if near else "choose"
        raise InputError(f"--prior={name} is unknown: {hint} (known: {', '.join(CHOICES)})")


def load(
    name: str,
    spec: Spec,
    data_dir: str | Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Prior:
    """The prior of this name for images of this shape: its pool is made and encoded, or read from the cache.

    Args:
      name: one of PRIORS, images:WHAT or module:function (never auto or none).
      data_dir: where images:WHAT looks for the files of a data set.
      say: called with a line before each part that takes seconds.

    Raises InputError for an unknown name, and for a prior that cannot make images of this shape.

    **Guarantees.** No argument is a private image: the pool, its codes, `radius` and `within` are public.
    """
    source = _source(name, data_dir)
    if spec.shape[2] != 1 and not getattr(source, "COLOUR", False):
        raise InputError(
            f"--prior={name} makes grey images and these are RGB: use --prior=images:WHAT with public RGB "
            "images, or --prior=none"
        )
    plausible = _plausible(name, source)
    folder = cache.folder("priors") if name in PRIORS else None
    path = None if folder is None else folder / _file(name, source, spec)
    pool = None if path is None else _read(path, spec)
    if pool is None:
        say(f"prior {name}: making its images")
        pool = _made(name, source, spec)
    images, classes = pool["images"], pool.get("classes")
    of_pool = getattr(source, "space", None) or importlib.import_module("fpu.priors.spectrum").space
    space = of_pool(images, classes, spec)
    if name not in PRIORS:
        _refuse_mixing(name, space, images)
    if "codes" not in pool:
        say(f"prior {name}: encoding {len(images):,} images")
        pool["codes"] = np.asarray(space.encode(images), np.float32)
        if path is not None:
            _write(path, pool)
    vary = getattr(source, "vary", None)
    return Prior(
        name, source.VERSION, source.KNOWS, images, pool["codes"], space,
        RADIUS * float(np.median(np.linalg.norm(pool["codes"], axis=1))),
        within(pool["codes"], classes),
        None if vary is None else lambda key, images: vary(key, images, spec),
        plausible,
    )  # fmt: skip


def _plausible(name: str, source: Any) -> float:
    share = getattr(source, "PLAUSIBLE", _MIXTURE)
    if not isinstance(share, int | float) or not 0 < share <= 1:
        raise InputError(f"--prior={name}: PLAUSIBLE is a share above 0 and at most 1, not {share}")
    return float(share)


def _refuse_mixing(name: str, space: Space, images: np.ndarray) -> None:
    """InputError for a space in which the code of an image depends on those beside it: no guarantee holds there."""
    batch = images[:1000]
    kept = np.arange(len(batch)) % 200 == 0
    other = np.where(kept[:, None, None, None], batch, np.uint8(0))
    whole, mixed = (np.asarray(space.encode(x), np.float64) for x in (batch, other))
    if whole.ndim != 2 or len(whole) != len(batch) or whole.shape != mixed.shape:
        raise InputError(f"--prior={name}: encode must give one code for each image, [n, d]")
    moved = np.linalg.norm(whole[kept] - mixed[kept], axis=1).max()
    if not moved <= 1e-3 * np.median(np.linalg.norm(whole, axis=1)):
        raise InputError(
            f"--prior={name}: the code of an image changes with the images beside it; encode each image alone"
        )


def within(codes: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
    """float32 [d, d]: covariance of codes [m, d] about the mean of their class.

    Without classes half of the whole covariance stands for it: a guess, as good as any that sees no label.
    """
    if classes is None:
        return (_SHARE_WITHIN * np.atleast_2d(np.cov(codes.T))).astype(np.float32)
    counts = np.bincount(classes)
    sums = np.stack([np.bincount(classes, column) for column in codes.T], axis=1)
    rest = codes - (sums / np.maximum(counts, 1)[:, None])[classes]
    lost = np.count_nonzero(counts)  # one degree of freedom for each mean
    return (rest.T @ rest / max(len(codes) - lost, 1)).astype(np.float32)


def _source(name: str, data_dir: str | Path | None) -> Any:
    """The object that exports a prior's names. Raises InputError."""
    check(name)
    if name in PRIORS:
        return importlib.import_module(f"fpu.priors.{name}")
    kind, _, what = name.partition(":")
    if kind == "images":
        return importlib.import_module("fpu.priors.images").named(what, data_dir)
    if not what:
        raise InputError(f"--prior={name}: name a prior; {name} is none of its own")
    return _own(name, kind, what)


def _own(name: str, module: str, function: str) -> types.SimpleNamespace:
    """A user's simulator, with the defaults for whatever its module does not export."""
    try:
        imported = importlib.import_module(module)
        make = getattr(imported, function)
        code = Path(str(imported.__file__)).read_bytes()
    except (ImportError, AttributeError, OSError, ValueError, SyntaxError) as error:
        raise InputError(
            f"--prior={name}: cannot be imported ({error}); write module:function, and start where Python finds the "
            "module (or set PYTHONPATH)"
        ) from error
    own = {
        field: getattr(imported, field)
        for field in ("vary", "space", "PLAUSIBLE")
        if hasattr(imported, field)
    }
    return types.SimpleNamespace(
        make=make,
        VERSION=getattr(imported, "VERSION", hashlib.sha256(code).hexdigest()[:12]),
        KNOWS=getattr(imported, "KNOWS", f"what the user's own simulator {name} draws"),
        COLOUR=True,
        **own,
    )


def _made(name: str, source: Any, spec: Spec) -> dict[str, np.ndarray]:
    """The pool's images and, where the prior has them, classes; checked, as a user's own code may have made them."""
    each = int(np.prod(spec.shape)) + 4 * 64  # bytes of an image and its code
    n = min(COUNT, MOST_BYTES // each)
    images, classes = source.make(np.random.default_rng(0), n, spec)
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


def _file(name: str, source: Any, spec: Spec) -> str:
    """The name of a pool in the cache: prior and shape, then a hash of all that made it, this folder's code too."""
    code = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    asked = json.dumps([source.VERSION, COUNT, MOST_BYTES]).encode()
    made_by = hashlib.sha256(asked + b"".join(code)).hexdigest()[:16]
    height, width, channels = spec.shape
    return f"{name}-{height}x{width}x{channels}-{made_by}.npz"


def _read(path: Path, spec: Spec) -> dict[str, np.ndarray] | None:
    """The pool in a file of the cache; None where there is none, or it is damaged."""
    try:
        pool = safe.npz_arrays(path, ("images", "classes", "codes"))
    except InputError:
        return None
    whole = {"images", "codes"} <= set(pool) and len({len(array) for array in pool.values()}) == 1
    return pool if whole and pool["images"].shape[1:] == tuple(spec.shape) else None


def _write(path: Path, pool: dict[str, np.ndarray]) -> None:
    """Keep a pool for the next run, in place of older ones of this prior and shape.

    A folder that cannot be written costs time, nothing else.
    """
    with contextlib.suppress(OSError, InputError):
        safe.write_npz(path, pool, compressed=False)
        for other in path.parent.glob(f"{path.name.rpartition('-')[0]}-*.npz"):
            if other != path:
                other.unlink()
