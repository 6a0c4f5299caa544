"""Runs of a sweep trained side by side: cells of one vmapped program, each with its own pool, noise, key and folder.

A group only trains. It leaves each run's checkpoints in the run's own folder, where experiments.run finds a
training that has ended: so a run is sampled, judged and released in one way, however it was trained, and a
sweep that was killed goes on from what each folder holds.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import time

import jax
import jax.numpy as jnp

from fpu import data, distributed, training
from fpu.pipeline import cost, fitting, jobs, progress, run, signals, workdir
from fpu.training import checkpoint

SECONDS = 60.0  # between checkpoints


def prepared(options) -> jobs.Job:
    """The job of these options. InputError for bad input."""
    return jobs.prepare(options, *run.resolve(options))


def program(job) -> tuple:
    """What decides the compiled programs of a job's training: jobs with equal ones may be cells of one group."""
    names = ("model", "model_config", "recipe", "preset", "warmup", "warmup_steps")
    units = data.units(job.dataset, job.split.members)[0].shape
    config = json.dumps([job.config[name] for name in names])
    return config, job.spec, len(job.split.members), units, cost.dpsgd(job)


def reached(folder: pathlib.Path) -> tuple[int, ...]:
    """The last step that the folder of a run holds of each stage. Cells of a group go on from the same one, so that
    a sweep that was killed does not train again what is there."""
    stages = ("warmup", "0")
    return tuple(max(checkpoint.steps(folder / "checkpoints" / n), default=0) for n in stages)


def formed(wanted: list, at_once: int | None, folder_of) -> list[list]:
    """All options of `wanted` in lists: cells of a group, or one run alone.

    Args:
      folder_of: options -> the folder of that run, which may hold a part of its training.
      at_once: cells of one device; 0 or None: as many as its memory holds, and 1 on a CPU.
    """
    if at_once == 1 or (not at_once and jax.default_backend() == "cpu"):
        return [[options] for options in wanted]
    kinds, sizes, most = {}, {}, {}
    for number, options in enumerate(wanted):
        kind = number  # on its own: a baseline, or bad input, of which its run will tell
        with contextlib.suppress(Exception):
            job = prepared(options)
            if job.trained:
                same = program(job)
                if same not in most:  # to price a program is to compile it
                    most[same] = jax.device_count() * (at_once or cost.most(job))
                kind = same, reached(folder_of(options))
                sizes[kind] = most[same]
        kinds.setdefault(kind, []).append(options)
    return [
        group[first : first + sizes.get(kind, 1)]
        for kind, group in kinds.items()
        for first in range(0, len(group), sizes.get(kind, 1))
    ]


def train(wanted: list) -> None:
    """Train these runs, each with a workdir, as cells of one program; what is left to do is experiments.run's.

    Raises:
      InputError: bad input, or a folder that is not theirs.
      SystemExit: SIGTERM came; all that was trained is kept.
    """
    jobs = [prepared(options) for options in wanted]
    folders = [pathlib.Path(options.workdir) for options in wanted]
    with contextlib.ExitStack() as held:
        held.enter_context(signals.on_sigterm())
        for job, folder in zip(jobs, folders, strict=True):
            held.enter_context(workdir.opened(folder, job.config))
        begun = time.monotonic()
        _train(jobs, folders)
        for folder in folders:
            workdir.write_note(folder, len(jobs), (time.monotonic() - begun) / len(jobs))


def _train(jobs, folders) -> None:
    job, count, devices = jobs[0], len(jobs), jax.device_count()
    model, recipe = fitting.built(job)
    shape = {
        "slice_size": -(-count // devices),
        "mesh": distributed.mesh(devices) if devices > 1 else None,
    }
    keys = [
        jax.random.split(workdir.secret_key(folder, one.options.noise_seed), 3)
        for one, folder in zip(jobs, folders, strict=True)
    ]
    publics = jnp.stack([jax.random.key(one.options.seed) for one in jobs])
    pools = [fitting.pool(one.dataset, one.split.members) for one in jobs]
    params = None
    if job.config["warmup"] != "none":
        releases = [
            fitting.release(one, pool, one.plan.stages[0], key[0])
            for one, pool, key in zip(jobs, pools, keys, strict=True)
        ]
        with _kept(folders, "warmup", job.config["warmup_steps"]) as hooks:
            params = fitting.warmed_up(job, model, releases, publics, **shape, **hooks)
    if sgd := cost.dpsgd(job):
        everybody = jnp.ones(sgd.n, bool)
        cells = [
            fitting.cell(one, everybody, key[1], public)
            for one, key, public in zip(jobs, keys, publics, strict=True)
        ]
        # Of the plans only what they share: each cell brings the noise of its own.
        plan = dataclasses.replace(job.plan, stages=(sgd,))
        with _kept(folders, "0", sgd.steps) as hooks:
            training.fit(
                model,
                plan,
                recipe,
                _stacked(pools),
                _stacked(cells),
                start=params,
                **shape,
                **hooks,
            )


def _stacked(trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


@contextlib.contextmanager
def _kept(folders, name: str, steps: int):
    """What training.fit needs to show the progress of one slice of cells, and to keep each cell where a run would."""
    places = [folder / "checkpoints" / name for folder in folders]
    layout, last, took = distributed.layout(len(folders)), time.monotonic(), 0.0
    with (
        signals.put_off() as asked_to_stop,
        progress.training(os.devnull, steps, None, label=f"{len(folders)} cells, {name} ") as show,
    ):

        def restore(number, like):
            del number
            common = set.intersection(*(set(checkpoint.steps(place)) for place in places))
            if not common:
                return None
            parts = [
                checkpoint.restore(place, jax.tree.map(lambda x, i=i: x[i], like), max(common))
                for i, place in enumerate(places)
            ]
            if len({part[0] for part in parts}) > 1:  # one of them is damaged: all from the start
                return None
            progress.say(f"continuing {len(places)} cells from step {parts[0][0]:,}")
            width = len(like.step)  # on a mesh the last cell is repeated to fill up
            return _stacked([parts[min(i, len(parts) - 1)][1] for i in range(width)])

        def observe(number, step, state):
            nonlocal last, took
            del number
            show(step, jax.tree.map(jnp.mean, state.diagnostics))
            due = time.monotonic() - last > max(SECONDS, 10 * took)
            if step == steps or due or asked_to_stop():
                begun = time.monotonic()
                for i, place in enumerate(places):
                    one = jax.tree.map(lambda x, i=i: x[i], state)
                    checkpoint.save(place, step, one, layout)
                last = time.monotonic()
                took = last - begun
            if asked_to_stop():
                raise SystemExit(signals.CODE)

        yield {"restore": restore, "observe": observe}
