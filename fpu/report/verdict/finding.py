"""One tile of the verdict, and how it reads a metric: by the interval of another run, where that is known."""

from statistics import NormalDist
from typing import NamedTuple

from fpu.report import records
from fpu.report.words import another

CLOSE = 0.10  # "as ... as": the interval stays within so much of what real images give


class Finding(NamedTuple):
    """One tile of the verdict."""

    mark: str  # "good", "fair", "bad" or "plain"
    about: str
    title: str
    text: str


def crossed(record: dict) -> dict:
    """The record as the verdict reads it: where it was cross-fitted (fpu/crossfit.py), with those numbers as its own.

    Members and non-members are then of one origin, whatever the notes say of the split.
    """
    if not (other := record.get("cross_fitted")):
        return record
    return record | {
        "utility": other["utility"],
        "fidelity": other["fidelity"],
        "privacy": record["privacy"] | {"attacks": other["attacks"]},
        "data": record["data"] | {"notes": {}, "n_test": other["n"]},
    }


def unit(record: dict) -> str:
    """Whose presence the guarantee hides: 'image' or 'group'."""
    name = record["privacy"].get("unit") or record["data"].get("unit") or "image"
    return "group" if name.startswith("group") else "image"  # a plan says "group of images"


def beside(m: dict) -> str:
    """Where another run would lie, in percent and brackets; empty where that is not known."""
    ends = another(m, 100)
    return f" (another run: {ends})" if ends else ""


def low(m: dict) -> float:
    """Of the interval of another run, where it is known; a verdict is about the settings, not one draw of noise."""
    return records.ends(records.wide(m))[0]


def high(m: dict) -> float:
    return records.ends(records.wide(m))[1]


def low_of_strongest(m: dict, many: int, error: float = 0.025) -> float:
    """The 95 % interval's low end, widened as for normal errors so that the strongest of many errs no more often.

    Of eight attacks that all guess, one has an interval above 0.5 in every fifth run: Bonferroni.
    """
    wider = NormalDist().inv_cdf(1 - error / many) / NormalDist().inv_cdf(0.975)
    return m["value"] - (m["value"] - low(m)) * wider


def reason(*metrics: dict) -> str:
    reasons = (m.get("reason", "not finite") for m in metrics if not records.known(m))
    return f"{next(reasons)}."
