"""What a sweep would do, and what its training would cost, from a few measured steps on made-up images."""

import time
from collections.abc import Sequence

import numpy as np

from fpu.pipeline import cost, folds, groups, jobs, progress, repeats, sweep, workdir
from fpu.pipeline.settings import Options
from fpu.utility import protocols

SHOWN = 3  # runs named below a line, at most
REST = 2.0  # judging beside the classifiers (distances, attacks) takes about as long again


def lines(wanted: Sequence[Options], at_once: int | None) -> list[str]:
    """A line for each group, with its runs below it, and the sum. Reads the data's shapes; trains on none of them.

    Each kind of program is compiled and timed once. To judge the images takes about as long whatever the model.
    """
    text, prices, total, judging = {}, {}, 0.0, 0.0
    formed = groups.formed(wanted, at_once, sweep.folder)
    for group in formed:
        label, seconds, judged = _group(group, prices)
        total, judging = total + seconds, judging + judged
        text.setdefault(label, []).extend(sweep.name(options) for options in group)
    lines = []
    for label, names in text.items():
        lines += [f"{len(names)} x {label}", *(f"  {name}" for name in names[:SHOWN])]
        if len(names) > SHOWN:
            lines.append(f"  and {len(names) - SHOWN} more")
    lines.append(
        f"{len(wanted)} runs in {len(formed)} groups: {_duration(total)} of training and about "
        f"{_duration(judging)} of judging on this machine"
    )
    return lines


def of_run(options: Options) -> list[str]:
    """What one run would do: its guarantee, its noise, what it would cost, and where it would leave what."""
    job = jobs.prepare(options)
    label, seconds, judging = _group([options], {})
    noises = [f"{stage.noise_multiplier:.4g}" for stage in job.plan.stages]
    return [
        job.plan.statement(options.noise_seed is not None),
        f"members: {len(job.split.members):,}, noise multiplier: {', '.join(noises) or 'none'}",
        f"{label}; about {_duration(seconds + judging)} with judging on this machine",
        f"{workdir.place(job)}: release/, report.html, samples.png, record.json, manifest.json",
    ]


def _group(group: Sequence[Options], prices: dict) -> tuple[str, float, float]:
    """(a group in words, seconds of its training, of its judging). A run that cannot be is reported, not raised."""
    size = f"{len(group)} side by side" if len(group) > 1 else "alone"
    try:
        job = jobs.prepare(group[0])
    except Exception as error:
        return f"{size}: will fail: {' '.join(str(error).split())}", 0.0, 0.0
    shape = (*job.spec.shape, job.spec.n_classes, job.options.evaluation)
    if shape not in prices:
        prices[shape] = _step(job)
    judging = len(group) * _steps(job) * prices[shape] * REST
    if not job.trained:
        return f"{size}: {group[0].model}, not trained", 0.0, judging
    key = groups.program(job), len(group)
    if key not in prices:
        progress.say(f"timing {group[0].model} on {len(job.split.members):,} images")
        prices[key] = cost.stages(job.trainer, job.plan, len(group))
    stages = prices[key]
    steps = sum(stage.steps for stage in stages)
    seconds = sum(stage.steps * stage.seconds for stage in stages)
    seconds *= 1 + folds.count(job)
    memory = max((stage.bytes for stage in stages), default=0) / 2**20
    return (
        f"{size}: {group[0].model}, {steps:,} steps, {_duration(seconds)}, {memory:,.0f} MB",
        seconds,
        judging,
    )


def _steps(job: jobs.Job) -> int:
    """How many steps of a classifier the judging takes (utility/protocols.py)."""
    rivals = 2 if job.trained and job.plan.private else 0
    how = protocols.PROTOCOLS[job.options.evaluation]
    return how.steps * (how.seeds * (6 + rivals) + repeats.count(job) + 2 * folds.count(job))


def _step(job: jobs.Job) -> float:
    """Seconds of one step of the classifier on made-up images, after the first, which compiles."""
    classes, seconds = job.spec.n_classes, 0.0
    network = protocols.PROTOCOLS[job.options.evaluation].network
    for shade in (0, 1):  # of other images, or the second would come from the cache
        images = np.full((64, *job.spec.shape), shade, np.uint8)
        clock = time.perf_counter()
        network.train_all(images, np.arange(64) % classes, classes, seeds=[0], steps=20)
        seconds = (time.perf_counter() - clock) / 20
    return seconds


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
