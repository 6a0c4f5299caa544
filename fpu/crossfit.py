"""Judge a generator where no real images are left to test on: by copies of it, each trained without a part (a fold).

Every real image is judged by the one copy that never saw it: M. Stone's cross-validation (1974). What is said holds
for generators like the one that is released, not for the released set. Copies share most of their images, so that
their spread is less than that of independent ones (Y. Bengio and Y. Grandvalet, JMLR 5, 2004): the intervals are made
wide (`_design_effect`) and are still no guarantee.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from fpu import intervals, neighbours
from fpu.fidelity import features, manifold
from fpu.privacy import attacks, samples_only
from fpu.utility import classifier, metrics, protocols

_BALL = 5  # real neighbours that a ball of coverage ends at, at most; and at most a tenth of all
_LEAST = 20  # real images, so that a ball of a tenth holds two


class Members(NamedTuple):
    """The real images, and the fold that each unit (image, or group) is in."""

    images: np.ndarray  # uint8 [n, H, W, C]
    labels: np.ndarray  # int [n]
    owner: np.ndarray  # int [n], the unit of each image
    fold: np.ndarray  # int [U], 0 to the number of folds - 1
    unit: str  # image or group


class Copy(NamedTuple):
    """What one copy of the generator, trained without one fold, makes and says."""

    images: np.ndarray  # uint8 [m, H, W, C], with the labels that all copies draw
    # (images, labels) -> {name: float [n]}, higher = more like a member
    scores: Callable | None = None


def folds(classes: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """int [U]: the fold of each unit. Folds, and their shares of each class, differ by one unit at most."""
    order = np.lexsort((rng.random(len(classes)), classes))
    fold = np.empty(len(classes), int)
    fold[order] = np.arange(len(classes)) % count
    return fold


def judge(
    members: Members,
    copies: Iterable[Copy],
    labels: np.ndarray,
    n_classes: int,
    *,
    seed: int = 0,
    protocol: str = "quick",
) -> dict:
    """The record's 'cross_fitted'.

    Args:
      members: all of whom the released generator was trained on.
      copies: one for each fold, in order; copy k was trained without fold k. Taken one after the other.
      labels: ints [m] of the images of every copy.
      protocol: of protocols.PROTOCOLS: how long the small network is trained.

    Returns: {'folds', 'n' (real images), 'utility': {'synthetic', 'members'}, 'fidelity': {'synthetic', 'real',
    'features'}, 'attacks'}, as evaluation.evaluate has them; 'members' is the floor: trained on the other folds.
    """
    held, steps = members.fold[members.owner], protocols.PROTOCOLS[protocol].small_steps
    count = int(held.max()) + 1
    shape = members.images.shape[1:]
    embed = features.random(shape, n_classes, seed=seed, scale=members.images)
    guesses = {name: np.zeros((len(held), n_classes)) for name in ("synthetic", "members")}
    near, scores = np.zeros(len(held)), []
    for k, copy in enumerate(copies):
        out = held == k
        sets = {"synthetic": (copy.images, labels)}
        sets["members"] = members.images[~out], members.labels[~out]
        for name, (images, classes) in sets.items():
            params = classifier.train(images, classes, n_classes, seed=seed, steps=steps)
            guesses[name][out] = metrics.networks([params], members.images[out])[0]
        near[out] = _nearest(embed, members, out, copy.images, labels, seed)
        scores.append(_scores(members, copy, labels))
    rng = np.random.default_rng([seed, 5])
    return {
        "folds": count,
        "n": len(held),
        "utility": {name: _utility(p, members.labels, held, rng) for name, p in guesses.items()},
        "fidelity": _coverage(embed, members, near) | {"features": {"network": "random"}},
        "attacks": _attacks(members, scores, count, rng),
    }


def _utility(probabilities, labels, held, rng) -> dict:
    """metrics.judge of the pooled guesses, with every interval widened by the design effect of the folds."""
    row = metrics.judge(probabilities[None], labels, rng)
    wider = _design_effect(row["accuracy"], probabilities.argmax(1) == labels, held)
    recall = {name: _widened(m, wider) for name, m in row.pop("recall").items()}
    return {name: _widened(m, wider) for name, m in row.items()} | {"recall": recall}


def _design_effect(pooled: dict, right: np.ndarray, held: np.ndarray) -> float:
    """How many times wider than `pooled` Student's interval over the folds is, 1 at least.

    Images of one fold share a copy, and copies differ by their noise: the images are fewer independent ones than they
    look (L. Kish, Survey Sampling, 1965). With `F` folds the t interval of their F accuracies knows that.
    """
    shares = np.array([right[held == k].mean() for k in np.unique(held)])
    if pooled["value"] is None or len(shares) < 2:
        return 1.0
    folds = intervals.t_interval(shares)
    return max(1.0, (folds["high"] - folds["low"]) / (pooled["high"] - pooled["low"]))


def _widened(m: dict, times: float) -> dict:
    """A metric in [0, 1], or above 1 where its interval already is, with an interval so many times wider."""
    if m["value"] is None:
        return m
    low, high = (m["value"] + times * (m[end] - m["value"]) for end in ("low", "high"))
    return m | {"low": max(0.0, low), "high": min(max(1.0, m["high"]), high)}


def _nearest(embed, members, out, images, labels, seed) -> np.ndarray:
    """float [images of the fold]: distance to the nearest of as many synthetic images, class by class, as there are
    members.
    """
    rng, wanted = np.random.default_rng([seed, 6]), np.bincount(members.labels)
    rows = [rng.permutation(np.flatnonzero(labels == k))[:count] for k, count in enumerate(wanted)]
    fake = images[np.concatenate(rows).astype(int)]
    return neighbours.distance(*neighbours.on_distinct(embed, members.images[out], fake))


def _coverage(embed, members: Members, near: np.ndarray) -> dict:
    """Coverage (arXiv:2002.09797) of each image by the copy that never saw it, beside what fresh real images give."""
    n = len(near)
    if n < _LEAST:
        few = intervals.missing(f"{n} real images; at least {_LEAST} are needed")
        return {"synthetic": {"coverage": few}, "real": {"coverage": few}}
    k = min(_BALL, n // 10)
    (own,) = neighbours.on_distinct(embed, members.images)
    radius = neighbours.nearest(own, own, k + 1)[0][:, k]  # the first is the image itself
    inside = (near < radius) | (near == 0)
    error, fresh = inside.std() / np.sqrt(n), manifold.coverage_ceiling(n, n, k)
    return {
        "synthetic": {"coverage": intervals.share(float(inside.mean()), error, n)},
        "real": {"coverage": {"value": fresh, "low": None, "high": None, "n": None}},
    }


def _scores(members: Members, copy: Copy, labels: np.ndarray) -> dict[str, np.ndarray]:
    """{attack: float [U]}: where each unit stands among all, from 0 to 1, as one copy sees them."""
    none = np.zeros((0, *members.images.shape[1:]), np.uint8), np.zeros(0, int)
    known = samples_only.Known(copy.images, labels, *none)
    values, _ = samples_only.scores(members.images, members.labels, known)
    if copy.scores is not None:
        values |= copy.scores(members.images, members.labels)
    units = len(members.fold)
    means = {name: attacks.means(each, members.owner, units) for name, each in values.items()}
    return {
        name: rankdata(each) / units if np.isfinite(each).all() else each * np.nan
        for name, each in means.items()
    }


def _attacks(members: Members, scores: list[dict], count: int, rng) -> dict:
    """Each unit once as a non-member, of the copy that never saw it, and once as a member, of the next copy."""
    rows, out = np.arange(len(members.fold)), {}
    for name in scores[0]:
        table = np.stack([each[name] for each in scores])  # [folds, U]
        unseen, seen = table[members.fold, rows], table[(members.fold + 1) % count, rows]
        out[name] = attacks.membership(seen, unseen, rng, members.unit)
    return out
