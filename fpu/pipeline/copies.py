"""Models beside a run: its model, plan and recipe again, on other members. They are never released."""

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from fpu import data, distributed, training
from fpu.pipeline import progress, train
from fpu.pipeline.jobs import Job
from fpu.privacy import attacks, lira
from fpu.privacy.targets import Targets

SLICE = 16  # cells side by side on an accelerator


def attack(
    job: Job, targets: Targets, scores: Callable, count: int, key: jax.Array, public: jax.Array
) -> dict[str, np.ndarray]:
    """LiRA on the released model, by each of its scores: {'lira_NAME': float [n]}, an image's that of its unit.

    The attacker knows everything but which half of the targets was trained on: each shadow model holds a
    random half of them, and all members that are no target. To report the best of several scores is a selection.

    Args:
      targets: as many members as others.
      scores: of the released model, (images, labels) -> {name: float [n]}.
      key: typed key, as secret as the data.
      public: the run's public key: all models begin as the attacked one did, and an image's scores get the
        same draws from all of them.
    """
    index, owner, units = targets.index, targets.owner, targets.n_members + targets.n_others
    if not units:
        return {}
    progress.say(f"LiRA: {count} shadow models for {units} targets")
    shown = job.dataset.images[index], job.dataset.labels[index]

    def by_unit(values: dict) -> dict:
        return {name: attacks.means(each, owner, units) for name, each in values.items()}

    indices, unit_of_target = _shadow_pool(job, index[np.unique(owner, return_index=True)[1]])
    pool, (k_masks, k_train) = train.pool(job.dataset, indices), jax.random.split(key)
    inside = lira.masks(units, count, generator(k_masks))
    masks = np.ones((count, len(pool.sizes)), bool)
    masks[:, unit_of_target] = inside
    models = train_masks(job, pool, masks, k_train, public)
    shadow = [by_unit(job.scorer(params, public)(*shown)) for params in models]
    return {
        f"lira_{name}": lira.ratio(values, np.stack([s[name] for s in shadow]), inside)[owner]
        for name, values in by_unit(scores(*shown)).items()
    }


def _shadow_pool(job: Job, firsts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(indices of the members and of all images of the targets' units, the targets among their units).

    firsts: the index of one image of each target.
    """
    dataset, known = job.dataset, firsts
    if dataset.groups is not None:
        known = np.flatnonzero(np.isin(dataset.groups, dataset.groups[firsts]))
    index = np.union1d(job.split.members, known)
    unit, _ = data.unit_of(dataset, index)
    return index, unit[np.searchsorted(index, firsts)]


def generator(key: jax.Array) -> np.random.Generator:
    """numpy's generator from a typed key."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def train_masks(
    job: Job,
    pool: training.Pool,
    masks: np.ndarray,
    key: jax.Array,
    public: jax.Array | None = None,
) -> list[Any]:
    """Parameters of one model for each mask, averaged, as job.sampler and job.scorer take them.

    Models differ by their masks and keys alone. Each has keys of its own, folded from `key`: sample and
    noise differ, and so does the initialisation, as between runs of different seeds, unless `public` is given.

    Args:
      job: of a trained model or of a one-shot release. The plan's constants stay those of the run.
      masks: bool [cells, units]; in each at least one unit, and at most as many as the run has members.
      key: typed key, as secret as the pool.
      public: a public key for all models, such as the run's, whose initialisation an attacker knows.
    """
    masks, n = np.asarray(masks, bool), job.n
    counts = masks.sum(axis=1)
    if masks.shape[1:] != pool.sizes.shape or counts.min() < 1 or counts.max() > n:
        raise ValueError(f"masks {masks.shape} are not of 1 to {n} of {len(pool.sizes)} units")
    tasks = []
    for number, mask in enumerate(masks):
        secret, release, own = jax.random.split(jax.random.fold_in(key, number), 3)
        tasks.append(job.task(release, secret, own if public is None else public, pool, mask))
    done = _progress(len(tasks))
    if job.trained:
        return _train_in_slices(job.trainer, tasks, done)
    ends = []
    for task in tasks:
        ends.append(train.release(job.baseline, task))
        done(len(ends))
    return ends


def _train_in_slices(trainer: train.Trainer, tasks: list[train.Task], done: Callable) -> list[Any]:
    """Slices of tasks as groups: one task on a CPU, SLICE on each device of an accelerator."""
    devices = jax.device_count()
    cpu = jax.default_backend() == "cpu"
    size = devices * (1 if cpu else min(SLICE, -(-len(tasks) // devices)))
    mesh = distributed.mesh(devices) if devices > 1 else None
    ends = []
    for first in range(0, len(tasks), size):
        group = tasks[first : first + size]
        follow = functools.partial(_follow, done, first, len(group))
        ends += train.each(train.train(trainer, group, follow, mesh).params)
        done(len(ends))
    return ends


def _follow(done: Callable, first: int, count: int, stage: str, steps: int, fit: Callable):
    """The train.Follow of the models `first` to `first + count`: calls `done` with how many are trained."""
    for step, state in fit(restore=None):
        if stage == train.DP_SGD and step < steps:
            done(first + count * step / steps)
        if step == steps:
            return state
    raise RuntimeError("a training ended before its last step")


def _progress(count: int) -> Callable[[float], None]:
    """done(models): a line every ten seconds and at the end."""
    begun, due = time.monotonic(), progress.clock()

    def done(models: float) -> None:
        if due(models == count):
            left = (time.monotonic() - begun) * (count - models) / models
            progress.say(f"models beside the run: {int(models)} of {count}, {left:.0f} s left")

    return done
