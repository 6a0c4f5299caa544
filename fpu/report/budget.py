"""What the runs shown spend together on the same images, in words."""

import math
from collections.abc import Sequence

from fpu.dp import ledger, plan
from fpu.report import records
from fpu.report.settings import by
from fpu.report.words import plural, spent

NOT_SHOWN = "Not counted: runs on these images that are not shown here, such as those by which settings were tuned."


def notes(runs: Sequence[dict]) -> list[str]:
    """Lines for the records of one data set: what is spent on each set of members, and on all of them.

    Sets of members on which the same is spent share a line. Runs on different sets are composed as if the sets
    overlapped, unless the members are known (records.read finds them in a run's own folder).
    """
    planned = [(run, its) for run in runs if (its := _plan(run)) is not None]
    named = [ledger.Run(its, r["data"].get("sha256_members") or "unknown") for r, its in planned]
    sets = by(named, lambda run: run.pool)
    alike: dict[str, list[str]] = {}
    for sha, on_them in sets.items():
        if sentence := _spent(on_them):
            alike.setdefault(sentence, []).append(sha[:8])
    lines = [f"On members {', '.join(names)}: {sentence}" for sentence, names in alike.items()]
    if len(sets) > 1:
        together = [ledger.Run(its, "", _members(run)) for run, its in planned]
        exact = all(run.members is not None for run in together)
        image = "the image that is in most of" if exact else "an image that may be in all of"
        if sentence := _spent(together):
            lines.append(f"On {image} the {len(sets)} sets of members: {sentence}")
    if left_out := len(runs) - len(planned):
        lines.append(f"{plural(left_out, 'run')} left out: no plan in the record.")
    return [*lines, NOT_SHOWN] if lines else []


def _spent(runs: Sequence[ledger.Run]) -> str | None:
    """A sentence, at the smallest delta of these runs; None where fewer than two have a guarantee."""
    delta = min((run.plan.delta for run in runs if run.plan.private), default=0.5)
    exposure = ledger.worst(runs, delta)
    if exposure.composed < 2:
        return None
    eps = math.ceil(100 * exposure.eps) / 100  # never rounded down
    sentence = (
        f"{plural(exposure.composed, 'run')} with a guarantee together spend ε = {eps:,.2f} at δ = "
        f"{spent(delta)} ({exposure.accountant})."
    )
    if exposure.unbounded:
        others = plural(exposure.unbounded, "run")
        sentence += f" Beside them {others} without a guarantee: nothing bounds what those reveal."
    return sentence


def _plan(run: dict) -> plan.Plan | None:
    """The record's plan; without stages where nothing is guaranteed; None where it holds none."""
    privacy = run["privacy"]
    if math.isinf(records.eps(run)) or privacy.get("noise_seed_disclosed"):
        return plan.Plan(privacy["delta"] or 0.5, ())
    try:
        return plan.restored(run["config"]["stages"], privacy["delta"])
    except (KeyError, TypeError, ValueError):
        return None


def _members(run: dict) -> frozenset[int] | None:
    """Numbers of the images, where each is a unit; of groups only their images are known."""
    data = run["data"]
    members = data.get("members") if data.get("unit", "image") == "image" else None
    return None if members is None else frozenset(members)
