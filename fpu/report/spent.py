"""What the runs shown spend together on the same images, in words."""

import math
from collections.abc import Sequence

from fpu.dp import ledger, plan
from fpu.report import records
from fpu.report.wording import number, plural

NOT_COVERED = (
    "Not covered: runs on these images that are not shown here, such as those by which settings were"
    " tuned."
)


def notes(runs: Sequence[dict]) -> list[str]:
    """Lines for the records of one data set: what each set of members is exposed to, and what all are.

    Sets of members that are exposed alike share a line. Runs on different sets are composed as if
    these overlapped, unless the members are known (records.read finds them in a run's own folder).
    """
    held = [(record, _plan(record)) for record in runs]
    planned = [(record, p) for record, p in held if p is not None]
    sets: dict[str, list[ledger.Run]] = {}
    for record, p in planned:
        sha = record["data"].get("sha256_members") or "unknown"
        sets.setdefault(sha, []).append(ledger.Run(p, sha))
    alike: dict[str, list[str]] = {}
    for sha, on_them in sets.items():
        words, count = _spent(on_them)
        if count > 1:
            alike.setdefault(words, []).append(sha[:8])
    lines = [f"On members {', '.join(names)}: {words}" for words, names in alike.items()]
    if len(sets) > 1:
        together = [ledger.Run(p, "", _members(record)) for record, p in planned]
        exact = all(run.members is not None for run in together)
        whom = "the image that is in most of" if exact else "an image that may be in all of"
        words, count = _spent(together)
        if count > 1:
            lines.append(f"On {whom} the {len(sets)} sets of members: {words}")
    if len(held) > len(planned):
        lines.append(f"{plural(len(held) - len(planned), 'run')} left out: no plan in the record.")
    return [*lines, NOT_COVERED] if lines else []


def _spent(runs: Sequence[ledger.Run]) -> tuple[str, int]:
    """(sentence, number of runs with a guarantee), at the smallest delta of these runs."""
    delta = min((run.plan.delta for run in runs if run.plan.private), default=0.5)
    exposure = ledger.worst(runs, delta)
    return _words(exposure, delta), exposure.composed


def _words(exposure: ledger.Exposure, delta: float) -> str:
    eps = math.ceil(100 * exposure.eps) / 100  # never rounded down
    spent = (
        f"{plural(exposure.composed, 'run')} with a guarantee together spend ε = {eps:,.2f} at δ = "
        f"{number(delta)} ({exposure.accountant})."
    )
    if not exposure.unbounded:
        return spent
    others = plural(exposure.unbounded, "run")
    return (
        f"{spent} Beside them {others} without a guarantee, for study only: nothing bounds those."
    )


def _plan(record: dict) -> plan.Plan | None:
    """The record's plan; without stages where nothing is guaranteed; None where it holds none."""
    privacy = record["privacy"]
    if math.isinf(records.eps(record)) or privacy.get("noise_seed_disclosed"):
        return plan.Plan(privacy["delta"] or 0.5, ())
    try:
        return plan.restored(record["config"]["stages"], privacy["delta"])
    except (KeyError, TypeError, ValueError):
        return None


def _members(record: dict) -> frozenset[int] | None:
    """Numbers of the images, where each is a unit; of groups only their images are known."""
    data = record["data"]
    known = data.get("members") if data.get("unit", "image") == "image" else None
    return None if known is None else frozenset(known)
