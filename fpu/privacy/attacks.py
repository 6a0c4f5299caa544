"""How well the scores of a membership attack tell the training images from others of the same distribution.

An attack gives every image a score, higher = more like a member. The attacks of a model family are its `scores`;
those that need the synthetic images alone are in samples_only.py.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from fpu.intervals import bootstrap, missing, percentile, reflected

METRICS = ("auc", "advantage", "tpr_at_1_fpr", "tpr_at_01_fpr")
_LEAST = 20  # images on each side: fewer leave any AUC within +-.18 of chance
_FPR = {"tpr_at_1_fpr": 0.01, "tpr_at_01_fpr": 0.001}
_STEPS = 31  # of the curve in the record, two points each


def curves(scores: np.ndarray, member: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """of(weights [b, n]) -> [2, b, 1 + distinct scores], FPR and TPR, both rising from 0 to 1."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=np.nan) != 0)  # one per distinct score
    member = member[order]

    def of(weights):
        weights = weights[:, order]
        sums = [np.cumsum(weights * side, axis=1)[:, ends] for side in (~member, member)]
        return np.stack([np.pad(c / c[:, -1:], ((0, 0), (1, 0))) for c in sums])

    return of


def _summary(both: np.ndarray, n: int) -> np.ndarray:
    """[b, 4]: the METRICS of both curves over n non-members.

    A threshold that k of the n non-members exceed has an expected false positive rate of (k + 1) / (n + 1). That
    rate is compared with 1 % and .1 %: with k / n, guessing would seem to beat them.
    """
    fpr, tpr = both
    auc = (np.diff(fpr, axis=1) * (tpr[:, 1:] + tpr[:, :-1]) / 2).sum(1)
    expected = (fpr * n + 1) / (n + 1)
    at = [np.where(expected <= limit + 1e-12, tpr, 0).max(1) for limit in _FPR.values()]
    return np.stack([auc, (tpr - fpr).max(1), *at], axis=1)


def _thinned(fpr, tpr, n: int) -> dict[str, list[float]]:
    """{'fpr', 'tpr'}: a staircase of at most 64 points, ends included, nowhere above the curve.

    At false positive rates 0 and from 1/n to 1, evenly on a logarithmic axis. Rates are rounded to 5 digits, the
    false positive rate up and the true positive rate down.
    """
    wanted = np.concatenate([[0.0], np.geomspace(1 / n, 1, _STEPS - 1)])
    at = np.unique(np.searchsorted(fpr, wanted + 1e-12, "right") - 1)
    fpr, tpr = np.ceil(1e5 * fpr[at] - 1e-6) / 1e5 + 0.0, np.floor(1e5 * tpr[at] + 1e-6) / 1e5
    points = [(0.0, 0.0)]
    for f, t in zip(fpr.tolist(), tpr.tolist(), strict=True):
        points += [(f, points[-1][1]), (f, t)]  # to the right at the old height, then up
    points = list(dict.fromkeys(points))
    return {"fpr": [f for f, _ in points], "tpr": [t for _, t in points]}


def unable(reason: str) -> dict[str, dict]:
    """What `membership` returns where an attack has no scores, for this reason."""
    return dict.fromkeys(METRICS, missing(reason))


def means(scores: ArrayLike, owner: np.ndarray, n: int) -> np.ndarray:
    """Mean score [n] of each of n units; owner[i] names the unit of image i, and every unit has one."""
    return np.bincount(owner, np.asarray(scores, np.float64), n) / np.bincount(owner, minlength=n)


def membership(
    member_scores: np.ndarray,
    nonmember_scores: np.ndarray,
    rng: np.random.Generator,
    unit: str = "image",
) -> dict[str, dict]:
    """How well a score tells members from non-members.

    Args:
      member_scores, nonmember_scores: float [m], [n]; higher = more like a member. The non-members
        come from the same distribution as the members, with the same labels.
      rng: numpy Generator.
      unit: 'image', or 'group', whose score is the mean over its images (`means`). Then m, n, the counts in the
        result and what the bootstrap resamples are groups.

    Returns: the METRICS, intervals by stratified bootstrap, n the smaller side (the members for the
    true positive rates at 1 % and .1 % false positives), and 'roc' {'fpr', 'tpr'}, see `_thinned`, which is
    absent where the metrics are missing. The advantage is the largest TPR - FPR over thresholds: a maximum, it is
    above 0 by chance alone (about .04 for 500 against 500); its interval begins at 0 unless it exceeds
    what chance reaches one time in forty. A false positive rate below 2 / n is missing.
    """
    m, n = len(member_scores), len(nonmember_scores)
    scores = np.concatenate([member_scores, nonmember_scores]).astype(np.float64)
    of = "" if unit == "image" else f"{unit}s of "
    if min(m, n) < _LEAST:
        return unable(f"{m} {of}members and {n} {of}non-members; {_LEAST} of each are needed")
    if not np.isfinite(scores).all():
        bad = np.count_nonzero(~np.isfinite(scores))
        return unable(f"{bad} of {m + n} scores are not finite")
    member = np.arange(m + n) < m
    staircase = curves(scores, member)
    values, replicates = bootstrap(lambda weights: _summary(staircase(weights), n), member, rng)
    out = {
        "auc": percentile(values[0], replicates[:, 0], min(m, n)),
        "advantage": reflected(values[1], replicates[:, 1], m, n),
    }
    for i, (name, rate) in enumerate(_FPR.items(), 2):
        needed = round(2 / rate)
        if n >= needed:
            out[name] = percentile(values[i], replicates[:, i], m)
        else:
            out[name] = missing(
                f"{n} {of}non-members; {needed:,} are needed to see a false positive rate of {100 * rate:g} %"
            )
    fpr, tpr = staircase(np.ones((1, m + n)))
    return out | {"roc": _thinned(fpr[0], tpr[0], n)}
