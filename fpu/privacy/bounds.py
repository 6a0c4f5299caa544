"""The ROC curves that (eps, delta) allows a membership attack."""

import math
from collections.abc import Mapping


def swapped(privacy: Mapping) -> tuple[float, float] | None:
    """(eps, delta) of two sets of members that differ by swapping one unit, as in a membership attack.

    The number of members is fixed, so where a unit is no member, another one is in its place. Under add
    or remove that is two steps, (2 eps, delta (1 + e^eps)): group privacy.

    Args:
      privacy: a record's section; "eps", "delta" and "relation" are read.

    Returns:
      None where nothing is guaranteed.
    """
    eps, delta = float(privacy["eps"]), float(privacy.get("delta") or 0.0)
    if not eps < 300:  # e^600 is about the largest double; nothing is guaranteed long before
        return None
    if privacy.get("relation") == "replace_one":
        return eps, delta
    return 2 * eps, min(1.0, delta * (1 + math.exp(eps)))


def highest_tpr(fpr: float, eps: float, delta: float) -> float:
    """The highest true positive rate at `fpr` under (eps, delta) (Kairouz et al. 2015, thm 2.1)."""
    odds = math.exp(min(eps, 700))  # e^710 is more than a double holds
    return min(1.0, odds * fpr + delta, 1 - math.exp(-eps) * max(0.0, 1 - delta - fpr))


def ceiling(privacy: Mapping) -> dict[str, float] | None:
    """The most that the guarantee allows a membership attack on average.

    Keys: auc, tpr_at_1_fpr, tpr_at_01_fpr, advantage. None where nothing is guaranteed.
    """
    swap = swapped(privacy)
    if swap is None:
        return None
    eps, delta = swap
    # The highest curve runs straight through (0, delta), (x, 1 - x), (1 - delta, 1), (1, 1).
    x = (1 - delta) / (1 + math.exp(eps))
    auc = x * (delta + 1 - x) / 2 + (1 - delta - x) * (2 - x) / 2 + delta
    return {
        "auc": auc,
        "tpr_at_1_fpr": highest_tpr(0.01, eps, delta),
        "tpr_at_01_fpr": highest_tpr(0.001, eps, delta),
        "advantage": 1 - 2 * x,
    }
