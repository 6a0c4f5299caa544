"""Membership attacks: can an attacker tell the training images from others of the same kind?

An attack gives every image a score, higher = more like a member. Those of a model family come from
its `scores`; those here need the synthetic images only. SAMPLES_ONLY: name -> function(images,
labels, synthetic, synthetic_labels) -> float scores [n].
"""

import numpy as np

from fpu.intervals import bootstrap, missing, percentile, reflected
from fpu.privacy import distance

_LEAST = 20  # images on each side: fewer leave any AUC within +-.18 of chance
_FPR = 0.01
_LEAST_FPR = 100  # non-members: with fewer, 1 % of them is less than one image


def nearest(images, labels, synthetic, synthetic_labels):
    """Minus the pixel distance to the nearest synthetic image of the same label.

    The Monte-Carlo attack of arXiv:1906.03006 with one neighbour. A label that the synthetic set
    lacks is looked for in all of it.
    """
    scores = np.empty(len(images))
    for label in np.unique(labels):
        pool = synthetic[synthetic_labels == label]
        mine = labels == label
        scores[mine] = -distance.nearest(images[mine], pool if len(pool) else synthetic)
    return scores


SAMPLES_ONLY = {"nearest": nearest}


def _roc(scores, member):
    """statistic(weights [b, n]) -> [b, 3]: AUC, advantage, TPR at 1 % FPR, over thresholds."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=np.nan) != 0)  # one per distinct score
    member = member[order]

    def statistic(weights):
        weights = weights[:, order]
        curves = [np.cumsum(weights * side, axis=1)[:, ends] for side in (member, ~member)]
        tpr, fpr = (np.pad(c / c[:, -1:], ((0, 0), (1, 0))) for c in curves)
        auc = (np.diff(fpr, axis=1) * (tpr[:, 1:] + tpr[:, :-1]) / 2).sum(1)
        at_fpr = np.where(fpr <= _FPR + 1e-12, tpr, 0).max(1)
        return np.stack([auc, (tpr - fpr).max(1), at_fpr], axis=1)

    return statistic


def means(scores, owner, n):
    """Mean score [n] of each of n units; owner[i] names the unit of image i, and every unit has one."""
    return np.bincount(owner, np.asarray(scores, np.float64), n) / np.bincount(owner, minlength=n)


def membership(member_scores, nonmember_scores, rng, unit="image"):
    """How well a score tells members from non-members.

    Args:
      member_scores, nonmember_scores: float [m], [n]; higher = more like a member. The non-members
        come from the same distribution as the members, with the same labels.
      rng: numpy Generator.
      unit: what a score is of. Of groups, the mean over their images (`means`): then m, n, the counts
        and what the bootstrap resamples are groups.

    Returns: {'auc', 'advantage', 'tpr_at_1_fpr'}: metrics, intervals by stratified bootstrap, n the
    smaller side (the members for the last). The advantage is the largest TPR - FPR over thresholds:
    a maximum, it is above 0 by chance alone (about .05 for 500 against 500).
    """
    names = ("auc", "advantage", "tpr_at_1_fpr")
    m, n = len(member_scores), len(nonmember_scores)
    scores = np.concatenate([member_scores, nonmember_scores]).astype(np.float64)
    if min(m, n) < _LEAST:
        sides = f"{m} members and {n} non-members"
        if unit != "image":
            sides = f"{m} {unit}s of members and {n} {unit}s of non-members"
        return dict.fromkeys(names, missing(f"{sides}; {_LEAST} of each are needed"))
    if not np.isfinite(scores).all():
        bad = np.count_nonzero(~np.isfinite(scores))
        return dict.fromkeys(names, missing(f"{bad} of {m + n} scores are not finite"))
    member = np.arange(m + n) < m
    value, replicates = bootstrap(_roc(scores, member), member, rng)
    out = {
        "auc": percentile(value[0], replicates[:, 0], min(m, n)),
        "advantage": reflected(value[1], replicates[:, 1], min(m, n)),
        "tpr_at_1_fpr": percentile(value[2], replicates[:, 2], m),
    }
    if n < _LEAST_FPR:
        others = "non-members" if unit == "image" else f"{unit}s of non-members"
        reason = f"{n} {others}; {_LEAST_FPR} are needed to see a false positive rate of 1 %"
        out["tpr_at_1_fpr"] = missing(reason)
    return out
