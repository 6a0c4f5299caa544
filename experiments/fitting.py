"""How a run gets its generator: a warm-up, DP-SGD, or a baseline's one look; and how it draws from it."""

import contextlib
import dataclasses
import functools
import math
import time

import jax
import jax.numpy as jnp
import numpy as np

from experiments import presets, progress
from fpu import InputError, checkpoint, data, distributed, models, training, warmup
from fpu.dp import accounting
from fpu.dp.plan import DPSGD, Release
from fpu.models import gaussian
from fpu.models.baselines import BASELINES

CHECKPOINT_SECONDS = 60.0
CHUNK = 250  # images sampled or scored by a network at once


def train(job, folder, key, public, tensorboard):
    """(sample, scores, rivals) of a model trained as one cell: warmed up on draws, then by DP-SGD.

    rivals: {name: sample} of what a private model has to beat. one_shot: the draws of one DP release with
    the whole budget; where it is not the model's own warm-up it is made for comparison alone, and is
    never released. warmup: the model that DP-SGD began from.
    """
    options, plan = job.options, job.plan
    module = models.load(options.model)
    model = module.make(module.Config(**job.config["model_config"]), job.spec)
    recipe = training.Recipe(**job.config["recipe"])
    pool = _pool(job.dataset, job.split.members)
    board = _tensorboard(folder) if tensorboard else None
    k_release, k_sgd, k_rival = jax.random.split(key, 3)
    params, rivals = None, {}
    if plan.private and job.config["warmup_share"] != 1 and (alone := _alone(plan)):
        rivals["one_shot"] = _release(job, pool, alone, k_rival)[1]
    if job.config["warmup"] != "none":
        release, draw_ = _release(job, pool, plan.stages[0], k_release)
        if job.config["warmup_share"] == 1:
            rivals["one_shot"] = draw_
        steps, key = job.config["warmup_steps"], jax.random.fold_in(public, 4)
        own = presets.defaults(options.preset, options.model, 1, private=False).recipe
        with _watched(folder, "warmup", steps, board) as hooks:
            drawn = warmup.draws(job.spec, release, jax.random.fold_in(public, 5))
            params = warmup.pretrain(model, own, drawn, key, steps, **hooks)
    if any(isinstance(stage, DPSGD) for stage in plan.stages):
        sgd = plan.sgd()
        if params is not None:
            rivals["warmup"] = functools.partial(jax.jit(model.sample), _first(params))
        unclipped = not plan.private and options.noise_multiplier is None
        cell = training.Cell(
            mask=jnp.ones(sgd.n, bool),
            clip=jnp.float32(math.inf if unclipped else options.clip_norm),
            noise_std=jnp.float32(sgd.noise_multiplier * options.clip_norm),
            secret=k_sgd,
            public=jax.random.fold_in(public, 1),
        )
        cells = jax.tree.map(lambda x: x[None], cell)
        with _watched(folder, "0", sgd.steps, board, plan.epsilon()) as hooks:
            params = training.fit(model, plan, recipe, pool, cells, start=params, **hooks).ema
    params = _first(params)
    if not all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(params)):
        raise InputError(
            "training diverged (parameters are not finite): lower --set recipe.learning_rate"
        )
    return functools.partial(jax.jit(model.sample), params), _scores(model, params, public), rivals


def _alone(plan) -> Release | None:
    """One release at the eps of a plan; None where no noise is little enough for that eps."""

    def one(noise):
        return dataclasses.replace(plan, stages=(Release(noise),))

    try:
        return accounting.calibrate(one, plan.epsilon()).stages[0]
    except ValueError:
        return None


def _release(job, pool, stage: Release, key):
    """(release, its (key, labels) -> images)."""
    release = gaussian.fit(job.spec, pool, float(len(pool.sizes)), stage.noise_multiplier, key)
    # The release is an argument, not a constant of the program: see _scores.
    return release, functools.partial(_sample_gaussian, job.spec, release)


_sample_gaussian = jax.jit(gaussian.sample, static_argnums=0)


def _first(params):
    """The parameters of a group's first cell, on the first device."""
    return jax.tree.map(lambda x: x[0], jax.device_put(params, jax.devices()[0]))


@contextlib.contextmanager
def _watched(folder, name: str, steps: int, board, eps: float | None = None):
    """What training.fit needs to show its progress, to keep its state in checkpoints/name, and to go on."""
    saved, layout, last = folder / "checkpoints" / name, distributed.layout(), time.monotonic()
    with progress.training(folder / "log.jsonl", steps, eps, board) as show:

        def restore(number, like):
            found = checkpoint.restore(saved, like)
            if found is None:
                return None
            step, state, before = found
            progress.say(f"continuing from step {step:,}")
            if before != layout:
                progress.say(
                    f"saved with {_said(before)}, now {_said(layout)}: the result will be the same to "
                    "f32 rounding, not bitwise"
                )
            return state

        def observe(number, step, state):
            nonlocal last
            show(step, state.diagnostics)
            if step == steps or time.monotonic() - last > CHECKPOINT_SECONDS:
                checkpoint.save(saved, step, state, layout)
                last = time.monotonic()

        mesh = distributed.mesh() if layout["devices"] > 1 else None
        yield {"mesh": mesh, "restore": restore, "observe": observe}


def _scores(model, params, public):
    """The model's membership scores: (images, labels) -> {name: float [n]}."""

    # params is an argument, not a constant of the program: programs are cached outside the run's folder.
    @jax.jit
    def score(params, images, labels, keys):
        examples = models.Example(images.astype(jnp.float32) / 255.0, labels)
        keys = jax.random.wrap_key_data(keys)  # they travel as words: the host can slice those
        return jax.vmap(model.scores, (None, 0, 0))(params, examples, keys)

    def scores(images, labels):
        keys = jax.random.split(jax.random.fold_in(public, 3), len(labels))
        inputs = images, np.asarray(labels, np.int32), jax.random.key_data(keys)
        parts = [score(params, *chunk) for chunk in _chunks(CHUNK, *inputs)]
        return {k: np.concatenate([p[k] for p in parts])[: len(labels)] for k in parts[0]}

    return scores


def _said(layout: dict) -> str:
    """A layout in words."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in layout.items())


def one_shot(job, key):
    """sample of a baseline: (key, labels) -> images."""
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
    pool = _pool(dataset, indices)
    params = baseline.fit(pool, float(len(pool.sizes)), noise, key)
    return functools.partial(baseline.sample, params)


def _pool(dataset, indices) -> training.Pool:
    arrays = dataset.images[indices], dataset.labels[indices], *data.units(dataset, indices)
    return training.Pool(*(jnp.asarray(x) for x in arrays))


def draw(sample, key, labels, size: int) -> np.ndarray:
    """Synthetic images, uint8 [n, H, W, C], drawn `size` at a time."""
    parts = [
        np.asarray(sample(jax.random.fold_in(key, i), chunk))
        for i, (chunk,) in enumerate(_chunks(size, labels))
    ]
    return np.round(np.concatenate(parts)[: len(labels)] * 255.0).astype(np.uint8)


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
