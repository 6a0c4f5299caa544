"""Public priors: images made by code or named by the user, and a space in which they lie.

A prior is public by type: nothing in this folder takes a private example, but for the release (release.py), which
returns noised sums. To add a prior, write one file here and add its name to PRIORS. The file exports

    VERSION, KNOWS                   a string that changes whenever its images would; one sentence of what it knows
    make(rng, n, spec)               -> (uint8 [n, H, W, C], int32 [n] classes of its own, or None)
    vary(key, images, spec)          other public images close to these; absent where there is no such thing
    space(images, classes, spec)     -> Space; absent: the space of spectrum.py, of colour images that of components.py.
                                     Where it decodes, models are conditioned on its codes (conditioning.py)
    COLOUR                           True where it makes RGB too; absent: grey images only
    PLAUSIBLE                        the share of its images that can be like the members, below 1 where it is a
                                     mixture of many kinds; absent: 1
    BRIGHTNESS                       False where draws are not to be made as bright as the members

Everything else (release, draws, training, report) then works on it. Two kinds of prior are not a file here:
`images:WHAT` is `images.named(WHAT, data_dir)`, an object with these names, and `module:function` is a function
make(rng, n, spec) of the user's own, beside which its module may export the other names.
"""

import hashlib
import importlib
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fpu import InputError, nearest
from fpu.files import cache
from fpu.models import Spec
from fpu.priors import pools

PRIORS = ("glyphs", "layers", "scans")  # the files of this folder that are priors
CHOICES = ("auto", "none", *PRIORS, "images:WHAT", "module:function")
RADIUS = 1.1  # times the median norm of the pool's codes: .75 costs 2 to 3 points of accuracy
_SHARE_WITHIN = 0.5  # of the pool's covariance, where it has no classes
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
    plausible: float = 1.0  # the share of the pool that can be like the members
    brightness: bool = True  # whether draws may be made as bright as the members (brightness.py)


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
        raise InputError(f"--prior={name} is unknown: {nearest(name, CHOICES)}")


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
    path = None if folder is None else folder / pools.file(name, source.VERSION, spec)
    pool = None if path is None else pools.read(path, spec)
    if pool is None:
        say(f"prior {name}: making its images")
        pool = pools.made(name, source.make, spec)
    images, classes = pool["images"], pool.get("classes")
    default = "spectrum" if spec.shape[2] == 1 else "components"
    of_pool = (
        getattr(source, "space", None) or importlib.import_module(f"fpu.priors.{default}").space
    )
    space = of_pool(images, classes, spec)
    if name not in PRIORS:
        _refuse_mixing(name, space, images)
    if "codes" not in pool:
        say(f"prior {name}: encoding {len(images):,} images")
        pool["codes"] = np.asarray(space.encode(images), np.float32)
        if path is not None:
            pools.write(path, pool)
    vary = getattr(source, "vary", None)
    return Prior(
        name, source.VERSION, source.KNOWS, images, pool["codes"], space,
        RADIUS * float(np.median(np.linalg.norm(pool["codes"], axis=1))),
        within(pool["codes"], classes),
        None if vary is None else lambda key, images: vary(key, images, spec),
        plausible,
        bool(getattr(source, "BRIGHTNESS", True)),
    )  # fmt: skip


def _plausible(name: str, source: Any) -> float:
    share = getattr(source, "PLAUSIBLE", 1.0)
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
        "VERSION": hashlib.sha256(code).hexdigest()[:12],
        "KNOWS": f"what the user's own simulator {name} draws",
    }
    for field in ("VERSION", "KNOWS", "vary", "space", "PLAUSIBLE", "BRIGHTNESS"):
        if hasattr(imported, field):
            own[field] = getattr(imported, field)
    return types.SimpleNamespace(make=make, COLOUR=True, **own)
