"""Distances to the closest training image: synthetic images against unseen real ones. Descriptive only."""

import numpy as np

from fpu.intervals import bootstrap, metric, missing, reflected
from fpu.privacy import attacks

_LEAST = 20  # images on each side
_POINTS = 64  # of a curve in the record


def ecdf(synthetic: np.ndarray, heldout: np.ndarray, rng: np.random.Generator) -> dict:
    """Are synthetic images nearer to the training set than unseen real ones? Compares two ECDFs.

    With F the share of images whose closest training image is at most so far away:

      ks            max |F_synthetic - F_heldout|, in [0, 1] (Kolmogorov-Smirnov)
      ks_nearer     max (F_synthetic - F_heldout), in [0, 1]: one-sided, synthetic images nearer
      ks_farther    max (F_heldout - F_synthetic), in [0, 1]
      area          integral of F_synthetic - F_heldout, over the mean of the held-out distances. It equals
                    1 - mean(synthetic) / mean(heldout): 1 if every synthetic image is a copy, 0 if they
                    are on average as far as unseen images, negative if farther.

    Descriptive: it says nothing about privacy by itself. A good generator and one that copies are both
    near; a generator may leak one image and keep the distances of all others.

    Args:
      synthetic, heldout: float [m], [n], the distance of each image to the closest training image. The
        held-out images have the class proportions of the synthetic ones, or ecdf compares classes.
      rng: numpy Generator.

    Returns: these metrics, intervals by bootstrap over both sets, n the smaller; and 'curve', the two ECDFs
    at the same distances, at most 64 of them: {'distance', 'synthetic', 'heldout'}, or None.
    """
    names = ("ks", "ks_nearer", "ks_farther", "area")
    m, n = len(synthetic), len(heldout)
    distances = np.concatenate([synthetic, heldout]).astype(np.float64)
    reason = ""
    if min(m, n) < _LEAST:
        reason = f"{m} synthetic and {n} held-out images; {_LEAST} of each are needed"
    elif bad := np.count_nonzero(~np.isfinite(distances)):
        reason = f"{bad} of {m + n} distances are not finite"
    if reason:
        return dict.fromkeys(names, missing(reason)) | {"curve": None}
    fake = np.arange(m + n) < m
    values, replicates = bootstrap(_gaps(distances, fake), fake, rng)
    out = {name: reflected(values[i], replicates[:, i], m, n) for i, name in enumerate(names[:3])}
    if not np.isfinite(replicates[:, 3]).all():
        out["area"] = missing("(nearly) every held-out image is a copy of a training image")
    else:
        low, high = np.percentile(replicates[:, 3], [2.5, 97.5])
        out["area"] = metric(values[3], low, high, min(m, n))
    at = np.unique(np.quantile(distances, np.linspace(0, 1, _POINTS), method="inverted_cdf"))
    out["curve"] = {"distance": at.tolist()} | {
        name: (np.searchsorted(np.sort(side), at, side="right") / len(side)).tolist()
        for name, side in (("synthetic", synthetic), ("heldout", heldout))
    }
    return out


def _gaps(distances, fake):
    """statistic(weights [b, n]) -> [b, 4]: the largest gap, the two one-sided ones, and the area."""
    curves = attacks.curves(-distances, fake)  # the two ECDFs, nearest first

    def statistic(weights):
        heldout, synthetic = curves(weights)
        nearer, farther = (synthetic - heldout).max(1), (heldout - synthetic).max(1)
        means = [(weights * side) @ distances / (weights * side).sum(1) for side in (fake, ~fake)]
        with np.errstate(divide="ignore", invalid="ignore"):
            area = 1 - means[0] / means[1]
        return np.stack([np.maximum(nearer, farther), nearer, farther, area], axis=1)

    return statistic
