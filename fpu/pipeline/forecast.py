"""What a sweep would do, and what its training would cost, from a few measured steps on made-up images."""

from fpu.pipeline import cost, groups, jobs, progress, sweep


def lines(wanted: list, at_once: int | None) -> list[str]:
    """A line for each group, with its runs below it, and the sum. Reads the data's shapes; trains on none of them.

    Each kind of program is compiled and timed once. Seconds are those of training alone: to judge the images takes
    about as long whatever the model.
    """
    found, priced, total = [], {}, 0.0
    for group in groups.formed(wanted, at_once, sweep.folder):
        label, seconds = _kind(group, priced)
        total += seconds or 0.0
        found.append(label)
        found += [f"  {sweep.name(options)}" for options in group]
    count = sum(not line.startswith("  ") for line in found)
    found.append(
        f"{len(wanted)} runs in {count} groups: {_said(total)} of training on this machine"
    )
    return found


def _kind(group, priced: dict) -> tuple[str, float | None]:
    """(a group in words, seconds of its training); a run that cannot be is told of, not raised."""
    size = f"{len(group)} side by side" if len(group) > 1 else "alone"
    try:
        job = jobs.prepare(group[0])
    except Exception as error:
        return f"{size}: will fail: {' '.join(str(error).split())}", None
    if not job.trained:
        return f"{size}: {group[0].model}, not trained", 0.0
    key = groups.program(job), len(group)
    if key not in priced:
        progress.say(f"timing {group[0].model} on {len(job.split.members):,} images")
        priced[key] = cost.stages(job.trainer, job.plan, len(group))
    found = priced[key]
    steps = sum(price.steps for price in found)
    seconds = sum(price.steps * price.seconds for price in found)
    memory = max((price.bytes for price in found), default=0) / 2**20
    return f"{size}: {group[0].model}, {steps:,} steps, {_said(seconds)}, {memory:,.0f} MB", seconds


def _said(seconds: float) -> str:
    """Seconds as people say them."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
