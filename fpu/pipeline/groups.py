"""Runs of a sweep trained side by side: cells of one program, each with its own pool, noise, key and folder.

A group only trains. It leaves each run's checkpoints in the run's own folder, where a run finds a training that has
ended: so a run is sampled, judged and released in one way, however it was trained, and a sweep that was killed goes on
from what each folder holds.
"""

import contextlib
import json
import pathlib
import time
from collections.abc import Callable, Sequence

import jax

from fpu import data, distributed
from fpu.pipeline import cost, jobs, keep, progress, signals, train, workdir
from fpu.pipeline.settings import Options
from fpu.training import checkpoint


def program(job: jobs.Job) -> tuple:
    """What decides the compiled programs of a training: jobs with equal ones may be cells of one group."""
    names = ("model", "model_config", "recipe", "preset", "warmup_share", "draw_steps")
    names += ("prior", "prior_version")
    units = data.units(job.dataset, job.split.members)[0].shape
    config = json.dumps([job.config[name] for name in names])
    return config, job.spec, len(job.split.members), units, train.noiseless(job.plan)


def reached(folder: pathlib.Path) -> tuple[int, ...]:
    """The last step of each stage of which a run's folder has a checkpoint."""
    stages = (train.WARMUP, train.DP_SGD)
    return tuple(max(checkpoint.steps(folder / "checkpoints" / n), default=0) for n in stages)


def formed(
    wanted: Sequence[Options], at_once: int | None, folder_of: Callable[[Options], pathlib.Path]
) -> list[list[Options]]:
    """All options of `wanted` in lists: cells of a group, or one run alone.

    Cells of a group go on from one common step, so that a sweep that was killed does not train again what is there.

    Args:
      at_once: cells of one device; 0 or None: as many as its memory holds, and 1 on a CPU.
      folder_of: the folder of a run, which may hold a part of its training.
    """
    if at_once == 1 or (not at_once and jax.default_backend() == "cpu"):
        return [[options] for options in wanted]
    kinds, sizes, most = {}, {}, {}
    for number, options in enumerate(wanted):
        kind = number  # on its own: a baseline, or bad input, which its run will report
        with contextlib.suppress(Exception):
            job = jobs.prepare(options)
            if job.trained:
                same = program(job)
                if same not in most:  # to price a program is to compile it
                    cells = at_once or cost.most(job.trainer, job.plan)
                    most[same] = jax.device_count() * cells
                kind = same, reached(folder_of(options))
                sizes[kind] = most[same]
        kinds.setdefault(kind, []).append(options)
    return [
        group[first : first + sizes.get(kind, 1)]
        for kind, group in kinds.items()
        for first in range(0, len(group), sizes.get(kind, 1))
    ]


def train_group(wanted: Sequence[Options]) -> None:
    """Train these runs, each with a workdir, as cells of one program.

    Raises InputError for bad input or a folder that is not theirs, SystemExit where SIGTERM came: what is trained is
    kept.
    """
    group = [jobs.prepare(options) for options in wanted]
    folders = [pathlib.Path(str(options.workdir)) for options in wanted]
    with contextlib.ExitStack() as held:
        held.enter_context(signals.on_stop())
        for job, folder in zip(group, folders, strict=True):
            held.enter_context(workdir.opened(folder, job.config))
        begun = time.monotonic()
        tasks = []
        for job, folder in zip(group, folders, strict=True):
            key = workdir.secret_key(folder, job.options.noise_seed)
            k_release, k_sgd, _ = jax.random.split(key, 3)
            tasks.append(job.task(k_release, k_sgd, jax.random.key(job.options.seed)))
        devices = jax.device_count()
        mesh = distributed.mesh(devices) if devices > 1 else None
        train.train(group[0].trainer, tasks, keep.follower(folders), mesh, progress.say)
        for folder in folders:
            workdir.write_note(folder, len(group), (time.monotonic() - begun) / len(group))
