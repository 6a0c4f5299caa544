"""How a run gets its generator: a warm-up, DP-SGD, or a baseline's one look; and how it draws from it."""

import contextlib
import dataclasses
import functools
import math
import os
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fpu import InputError, data, distributed, models, training
from fpu.baselines import BASELINES, gaussian
from fpu.dp import accounting
from fpu.dp.plan import DPSGD, Release
from fpu.pipeline import defaults, processes, progress, signals
from fpu.training import warmup

CHECKPOINT_SECONDS = 60.0
CHUNK = 250  # images sampled or scored by a network at once


class Diverged(InputError):
    """Training ended with parameters, or makes images, that are not finite."""


class Made(NamedTuple):
    """A generator: what draws from it, what it is made of, what scores members, and what it has to beat."""

    sample: Callable  # (key, labels) -> images
    params: Any = None  # None where real images would be in them
    scores: Callable | None = None  # (images, labels) -> {name: float [n]}
    rivals: Mapping[str, Callable] = MappingProxyType({})  # name: sample


def train(job, folder, key, public, tensorboard) -> Made:
    """A model trained as one cell: warmed up on draws, then by DP-SGD.

    rivals: of what a private model has to beat. one_shot: the draws of one DP release with
    the whole budget; where it is not the model's own warm-up it is made for comparison alone, and is
    never released. warmup: the model that DP-SGD began from.

    Raises:
      Diverged: parameters are not finite at the end.
    """
    plan = job.plan
    model, recipe = built(job)
    members = pool(job.dataset, job.split.members)
    board = _tensorboard(folder) if tensorboard and distributed.leads() else None
    k_release, k_sgd, k_rival = jax.random.split(key, 3)
    params, rivals = None, {}
    if plan.private and job.config["warmup_share"] != 1 and (alone := _alone(plan)):
        rivals["one_shot"] = _draws_of(job, release(job, members, alone, k_rival))
    if job.config["warmup"] != "none":
        released = release(job, members, plan.stages[0], k_release)
        if job.config["warmup_share"] == 1:
            rivals["one_shot"] = _draws_of(job, released)
        with _watched(folder, "warmup", job.config["warmup_steps"], board) as hooks:
            params = warmed_up(job, model, [released], public[None], **hooks)
    if any(isinstance(stage, DPSGD) for stage in plan.stages):
        sgd = plan.sgd()
        if params is not None:
            rivals["warmup"] = functools.partial(_sampled, model, _first(params))
        one = cell(job, jnp.ones(sgd.n, bool), k_sgd, public)
        cells = jax.tree.map(lambda x: x[None], one)
        with _watched(folder, "0", sgd.steps, board, plan.epsilon()) as hooks:
            params = training.fit(model, plan, recipe, members, cells, start=params, **hooks).ema
    params = _first(params)
    if not all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(params)):
        raise Diverged(
            "training diverged (parameters are not finite): lower --set recipe.learning_rate"
        )
    score = functools.partial(scores, model, params, public)
    return Made(functools.partial(_sampled, model, params), params, score, rivals)


def built(job):
    """(model, recipe) of a run; the same objects each time, so that what was compiled for them serves again."""
    config = models.load(job.options.model).Config(**job.config["model_config"])
    return _made(job.options.model, config, job.spec), training.Recipe(**job.config["recipe"])


@functools.lru_cache(maxsize=8)
def _made(name, config, spec):
    return models.load(name).make(config, spec)


def cell(job, mask, secret, public) -> training.Cell:
    """The cell that the plan of a run asks for, with this mask and these keys."""
    sgd, clip = job.plan.sgd(), job.options.clip_norm
    unclipped = not job.plan.private and job.options.noise_multiplier is None
    return training.Cell(
        mask=mask,
        clip=jnp.float32(math.inf if unclipped else clip),
        noise_std=jnp.float32(sgd.noise_multiplier * clip),
        secret=secret,
        public=jax.random.fold_in(public, 1),
    )


def warmed_up(job, model, releases, publics, **hooks):
    """What a model learns from draws of each release: parameters with a leading axis of cells.

    Args:
      publics: public keys [cells], one for each release.
      hooks: slice_size, mesh, observe and restore of training.fit.
    """
    recipe = defaults.defaults(job.options.preset, job.options.model, 1, private=False).recipe
    drawn = [
        warmup.draws(job.spec, one, jax.random.fold_in(public, 5))
        for one, public in zip(releases, publics, strict=True)
    ]
    pools = distributed.of_the_first(jax.tree.map(lambda *leaves: jnp.stack(leaves), *drawn))
    keys = jax.vmap(jax.random.fold_in, (0, None))(publics, 4)
    return warmup.pretrain(model, recipe, pools, keys, job.config["warmup_steps"], **hooks)


def _alone(plan) -> Release | None:
    """One release at the eps of a plan; None where no noise is little enough for that eps."""

    def one(noise):
        return dataclasses.replace(plan, stages=(Release(noise),))

    try:
        return accounting.calibrate(one, plan.epsilon()).stages[0]
    except ValueError:
        return None


def release(job, pool, stage: Release, key):
    """What one Gaussian release says of a pool: see fpu/baselines/gaussian.py."""
    said = gaussian.fit(job.spec, pool, float(len(pool.sizes)), stage.noise_multiplier, key)
    return distributed.of_the_first(said)  # another machine may round otherwise


def _draws_of(job, released):
    """(key, labels) -> images. The release is an argument, not a constant of the program: see _scorer."""
    return functools.partial(_sample_gaussian, job.spec, released)


_sample_gaussian = jax.jit(gaussian.sample, static_argnums=0)


def _first(params):
    """The parameters of a group's first cell, on this process's first device."""
    return jax.tree.map(lambda x: x[0], distributed.whole(params))


@contextlib.contextmanager
def _watched(folder, name: str, steps: int, board, eps: float | None = None):
    """What training.fit needs to show its progress, to keep its state in checkpoints/name, and to go on."""
    saved, layout, last = folder / "checkpoints" / name, distributed.layout(), time.monotonic()
    log = folder / "log.jsonl" if distributed.leads() else os.devnull
    with (
        signals.put_off() as asked_to_stop,
        progress.training(log, steps, eps, board) as show,
    ):

        def restore(number, like):
            found = processes.restored(saved, like)
            if found is None:
                return None
            step, state, before = found
            if step < steps:
                progress.say(f"continuing from step {step:,}")
            if step < steps and before != layout:
                progress.say(
                    f"saved with {_said(before)}, now {_said(layout)}: the result will be the same to "
                    "f32 rounding, not bitwise"
                )
            return state

        def observe(number, step, state):
            nonlocal last
            show(step, state.diagnostics)
            due = time.monotonic() - last > CHECKPOINT_SECONDS
            stop = distributed.anyone(asked_to_stop())
            if step == steps or due or stop:
                processes.save(saved, step, state, layout)
                last = time.monotonic()
            if stop:
                distributed.anyone(stop)  # nobody leaves before the first has written
                raise SystemExit(signals.CODE)

        mesh = distributed.mesh() if layout["devices"] > 1 else None
        yield {"mesh": mesh, "restore": restore, "observe": observe}


def scores(model, params, public, images, labels):
    """The model's membership scores: {name: float [n]}. Equal images have equal keys at equal places."""
    keys = jax.random.split(jax.random.fold_in(public, 3), len(labels))
    inputs = images, np.asarray(labels, np.int32), jax.random.key_data(keys)
    parts = [
        distributed.over_rows(_scorer(model), (params,), *chunk)
        for chunk in _chunks(CHUNK, *inputs)
    ]
    return {k: np.concatenate([p[k] for p in parts])[: len(labels)] for k in parts[0]}


@functools.lru_cache(maxsize=8)
def _scorer(model):
    # params is an argument, not a constant of the program: programs are cached outside the run's folder.
    @jax.jit
    def score(params, images, labels, keys):
        examples = models.Example(images.astype(jnp.float32) / 255.0, labels)
        keys = jax.random.wrap_key_data(keys)  # they travel as words: the host can slice those
        return jax.vmap(model.scores, (None, 0, 0))(params, examples, keys)

    return score


def _sampled(model, params, key, labels):
    """Images of a model, drawn on all devices."""
    return distributed.over_rows(_sampler(model), (params, key), labels)


@functools.lru_cache(maxsize=8)
def _sampler(model):
    return jax.jit(model.sample)


def _said(layout: dict) -> str:
    """A layout in words."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in layout.items())


def one_shot(job, key) -> Made:
    """A baseline."""
    options, dataset, plan = job.options, job.dataset, job.plan
    baseline = BASELINES[options.model](job.spec)
    indices = getattr(job.split, baseline.source)
    missing = sorted(set(range(dataset.n_classes)) - set(dataset.labels[indices].tolist()))
    # A private baseline is not refused by what it finds: it draws classes that have no member, too.
    if missing and not baseline.private:
        raise InputError(
            f"--model={options.model}: no {baseline.source} of class {missing[0]}; ask for fewer members"
        )
    noise = plan.stages[0].noise_multiplier if plan.stages else 0.0
    shown = pool(dataset, indices)
    params = baseline.fit(shown, float(len(shown.sizes)), noise, key)
    return Made(functools.partial(baseline.sample, params), params if baseline.private else None)


def pool(dataset, indices) -> training.Pool:
    """Those images of a data set, on the device, with the privacy units among them."""
    arrays = dataset.images[indices], dataset.labels[indices], *data.units(dataset, indices)
    return training.Pool(*(jnp.asarray(x) for x in arrays))


def draw(sample, key, labels, size: int) -> np.ndarray:
    """Synthetic images, uint8 [n, H, W, C], drawn `size` at a time. Diverged where a pixel is not finite."""
    parts = [
        np.asarray(sample(jax.random.fold_in(key, i), chunk))
        for i, (chunk,) in enumerate(_chunks(size, labels))
    ]
    images = np.concatenate(parts)[: len(labels)]
    if not np.isfinite(images).all():
        raise Diverged(
            "training diverged (pixels are not finite): lower --set recipe.learning_rate"
        )
    return np.round(images * 255.0).astype(np.uint8)


def _chunks(size: int, *arrays):
    """Slices of `size` rows, the last one filled up with row 0: every call has the same shapes."""
    count = len(arrays[0])
    for first in range(0, count, size):
        rows = np.arange(first, first + size)
        yield tuple(jnp.asarray(x)[np.where(rows < count, rows, 0)] for x in arrays)


def _tensorboard(folder):
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise InputError(
            "--tensorboard: needs the extra `tensorboard` (uv sync --extra tensorboard)"
        ) from error
    return SummaryWriter(str(folder / "tensorboard"))
