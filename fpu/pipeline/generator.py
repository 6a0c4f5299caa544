"""How a run gets its generator: a model trained as a group of one, or a baseline's one look at the images."""

import contextlib
import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fpu import InputError, distributed
from fpu.baselines import BASELINES, gaussian
from fpu.dp import accounting
from fpu.dp.plan import Plan, Release
from fpu.pipeline import draw, keep, train
from fpu.pipeline.jobs import Job


class Made(NamedTuple):
    """A generator: what draws from it, what it is made of, what scores members, and what it has to beat."""

    sample: Callable  # (key, labels) -> images
    params: Any = None  # None where real images would be in them
    scores: Callable | None = None  # (images, labels) -> {name: float [n]}
    rivals: Mapping[str, Callable] = MappingProxyType({})  # name: sample


def trained(
    job: Job, folder: pathlib.Path, key: jax.Array, public: jax.Array, tensorboard: bool = False
) -> Made:
    """A model, warmed up on draws and trained by DP-SGD, as the plan says; checkpoints in `folder`.

    rivals: of what a private model has to beat. one_shot: draws of one DP release with the whole budget;
    where that is not the model's own warm-up it is made for comparison alone, and is never released.
    warmup: the model that DP-SGD began from.

    Raises Diverged where parameters are not finite at the end.
    """
    plan, trainer = job.plan, job.trainer
    k_release, k_sgd, k_rival = jax.random.split(key, 3)
    task = job.task(k_release, k_sgd, public)
    follow = keep.follower(
        [folder],
        log=folder / "log.jsonl" if distributed.is_first() else os.devnull,
        eps=plan.epsilon() if plan.private else None,
        tensorboard=_tensorboard(folder) if tensorboard and distributed.is_first() else None,
    )
    rivals = {}
    if plan.private and train.dpsgd(plan) is not None and (alone := _one_release(plan)):
        rival = task._replace(plan=alone, release_key=k_rival)
        rivals["one_shot"] = _draws_of(trainer, train.release(trainer.spec, rival))
    mesh = distributed.mesh() if distributed.layout()["devices"] > 1 else None
    result = train.train(trainer, [task], follow, mesh)
    params = _first(result.params)
    if not all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(params)):
        raise draw.Diverged(
            "training diverged (parameters are not finite): lower --set recipe.learning_rate"
        )
    if plan.private and train.dpsgd(plan) is None:
        rivals["one_shot"] = _draws_of(trainer, result.releases[0])
    if result.warmed is not None:
        rivals["warmup"] = draw.sampler(trainer.model, _first(result.warmed))
    score = functools.partial(draw.scores, trainer.model, params, public)
    return Made(draw.sampler(trainer.model, params), params, score, rivals)


def one_shot(job: Job, key: jax.Array) -> Made:
    """A baseline. InputError where one that hands out real images has none of some class."""
    dataset, name = job.dataset, job.options.model
    baseline = BASELINES[name](job.spec)
    indices = getattr(job.split, baseline.source)
    missing = sorted(set(range(dataset.n_classes)) - set(dataset.labels[indices].tolist()))
    # A private baseline is not refused by what it finds: it draws classes that have no member, too.
    if missing and not baseline.private:
        raise InputError(
            f"--model={name}: no {baseline.source} of class {missing[0]}; ask for fewer members"
        )
    noise = job.plan.stages[0].noise_multiplier if job.plan.stages else 0.0
    images = train.pool(dataset, indices)
    params = baseline.fit(images, float(job.n), noise, key)
    return Made(functools.partial(baseline.sample, params), params if baseline.private else None)


def _one_release(plan: Plan) -> Plan | None:
    """One release at the eps of a plan; None where no noise is little enough for that eps."""
    with contextlib.suppress(ValueError):
        return accounting.calibrate(
            lambda noise: dataclasses.replace(plan, stages=(Release(noise),)), plan.epsilon()
        )
    return None


def _draws_of(trainer: train.Trainer, release: Any) -> Callable:
    """(key, labels) -> images. The release is an argument of the program, not a constant: see draw.py."""
    return functools.partial(_sample_gaussian, trainer.spec, release)


_sample_gaussian = jax.jit(gaussian.sample, static_argnums=0)


def _first(params: Any) -> Any:
    return jax.tree.map(lambda x: x[0], params)


def _tensorboard(folder: pathlib.Path) -> Any:
    try:
        from tensorboardX import SummaryWriter  # pyright: ignore[reportMissingImports] (an extra)
    except ImportError as error:
        raise InputError(
            "--tensorboard: needs the extra `tensorboard` (uv sync --extra tensorboard)"
        ) from error
    return SummaryWriter(str(folder / "tensorboard"))
