"""What a sweep would do, and what its training would cost, from a few measured steps on made-up images."""

from collections.abc import Sequence

from fpu.pipeline import cost, groups, jobs, progress, sweep
from fpu.pipeline.settings import Options


def lines(wanted: Sequence[Options], at_once: int | None) -> list[str]:
    """A line for each group, with its runs below it, and the sum. Reads the data's shapes; trains on none of them.

    Each kind of program is compiled and timed once. Seconds are those of training alone: to judge the images takes
    about as long whatever the model.
    """
    text, prices, total = [], {}, 0.0
    formed = groups.formed(wanted, at_once, sweep.folder)
    for group in formed:
        label, seconds = _group(group, prices)
        total += seconds
        text += [label, *(f"  {sweep.name(options)}" for options in group)]
    text.append(
        f"{len(wanted)} runs in {len(formed)} groups: {_duration(total)} of training on this machine"
    )
    return text


def _group(group: Sequence[Options], prices: dict) -> tuple[str, float]:
    """(a group in words, seconds of its training). A run that cannot be is reported, not raised."""
    size = f"{len(group)} side by side" if len(group) > 1 else "alone"
    try:
        job = jobs.prepare(group[0])
    except Exception as error:
        return f"{size}: will fail: {' '.join(str(error).split())}", 0.0
    if not job.trained:
        return f"{size}: {group[0].model}, not trained", 0.0
    key = groups.program(job), len(group)
    if key not in prices:
        progress.say(f"timing {group[0].model} on {len(job.split.members):,} images")
        prices[key] = cost.stages(job.trainer, job.plan, len(group))
    stages = prices[key]
    steps = sum(stage.steps for stage in stages)
    seconds = sum(stage.steps * stage.seconds for stage in stages)
    memory = max((stage.bytes for stage in stages), default=0) / 2**20
    return (
        f"{size}: {group[0].model}, {steps:,} steps, {_duration(seconds)}, {memory:,.0f} MB",
        seconds,
    )


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
