"""How a run gets its generator: a model trained as a group of one, or a baseline's one look at the images."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax

from fpu import InputError, distributed
from fpu.baselines import BASELINES, Baseline
from fpu.dp import accounting
from fpu.dp.plan import Release
from fpu.pipeline import draw, keep, progress, train
from fpu.pipeline.jobs import Job

RIVAL = 1006  # what the secret key is folded with for the `gaussian` beside a prior's release; see run.py


class Made(NamedTuple):
    """A generator: what draws from it, what it is made of, what scores members, and what it has to beat."""

    sample: Callable  # (key, labels) -> images
    params: Any = None  # None where real images would be in them
    scores: Callable | None = None  # (images, labels) -> {name: float [n]}
    rivals: Mapping[str, Callable] = MappingProxyType({})  # name: sample


def made(job: Job, folder: pathlib.Path, key: jax.Array, public: jax.Array) -> Made:
    """The generator of a job, whatever it is."""
    if job.trained:
        return trained(job, folder, key, public)
    return one_shot(job, key)


def trained(job: Job, folder: pathlib.Path, key: jax.Array, public: jax.Array) -> Made:
    """A model, warmed up on draws and trained by DP-SGD, as the plan says; checkpoints in `folder`.

    rivals: of what a private model has to beat. one_shot: draws of one DP release of its teacher with the whole
    budget; where that is not the model's own warm-up it is made for comparison alone, and is never released.
    gaussian: the same of `gaussian`, where a prior is the teacher. warmup: the model that DP-SGD began from.

    Raises Diverged where parameters are not finite at the end.
    """
    plan, trainer = job.plan, job.trainer
    k_release, k_sgd, k_rival = jax.random.split(key, 3)
    task = job.task(k_release, k_sgd, public)
    follow = keep.follower(
        [folder],
        log=folder / "log.jsonl" if distributed.is_first() else os.devnull,
        eps=plan.epsilon() if plan.private else None,
    )
    mesh = distributed.mesh() if distributed.layout()["devices"] > 1 else None
    result = train.train(trainer, [task], follow, mesh, progress.say)
    params = next(train.each(result.params))
    if not train.finite(params):
        raise draw.Diverged(
            "training diverged (parameters are not finite): lower --set recipe.learning_rate"
        )
    rivals = {}
    if plan.private and train.dpsgd(plan) is not None:
        rivals = _alone(job, "one_shot", trainer.teacher, k_rival)
    elif plan.private:
        rivals = {"one_shot": functools.partial(trainer.teacher.sample, result.releases[0])}
    rivals |= _gaussian(job, key)
    if result.warmed is not None:
        rivals["warmup"] = train.sampler(trainer, next(train.each(result.warmed)))
    score = job.scorer(params, public)
    return Made(train.sampler(trainer, params), params, score, rivals)


def one_shot(job: Job, key: jax.Array) -> Made:
    """A baseline. InputError where one that hands out real images has none of some class.

    rivals: gaussian, a release at the same eps beside that of a prior, for comparison alone.
    """
    dataset, name, baseline = job.dataset, job.options.model, job.baseline
    indices = getattr(job.split, baseline.source)
    missing = sorted(set(range(dataset.n_classes)) - set(dataset.labels[indices].tolist()))
    # A private baseline is not refused by what it finds: it draws classes that have no member, too.
    if missing and not baseline.private:
        raise InputError(
            f"--model={name}: no {baseline.source} of class {missing[0]}; ask for fewer members"
        )
    params = train.fitted(baseline, train.pool(dataset, indices), job.n, job.plan, key)
    sample = functools.partial(baseline.sample, params)
    return Made(sample, params if baseline.private else None, rivals=_gaussian(job, key))


def _gaussian(job: Job, key: jax.Array) -> dict[str, Callable]:
    """What a prior's release has to beat, where there is one: `gaussian` with the whole budget."""
    if not (job.plan.private and job.prior):
        return {}
    return _alone(job, "gaussian", BASELINES["gaussian"](job.spec), jax.random.fold_in(key, RIVAL))


def _alone(job: Job, name: str, baseline: Baseline, key: jax.Array) -> dict[str, Callable]:
    """{name: what draws from one release at the job's eps}; {} where no noise is little enough. Never released."""
    try:
        plan = accounting.calibrate(
            lambda noise: dataclasses.replace(job.plan, stages=(Release(noise),)),
            job.plan.epsilon(),
        )
    except ValueError:
        return {}
    pool = train.pool(job.dataset, job.split.members)
    params = train.fitted(baseline, pool, job.n, plan, key)
    return {name: functools.partial(baseline.sample, params)}
