"""The parts of a run: plan, fit, sample, release, evaluate, record, report."""

import dataclasses
import functools
import math
import os
import pathlib
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import presets, progress, record, settings, workdir
from fpu import (
    InputError,
    checkpoint,
    data,
    distributed,
    evaluation,
    models,
    report,
    sources,
    training,
)
from fpu.dp import accounting, sampling
from fpu.dp.plan import DPSGD, Plan, Release
from fpu.models.baselines import BASELINES

CHECKPOINT_SECONDS = 60.0
CHUNK = 250  # images sampled or scored by a network at once


class Job(NamedTuple):
    """A run before anything of it exists: what was asked, on which data, under which plan."""

    options: settings.Options
    dataset: data.Dataset
    split: data.Split
    config: dict  # every resolved choice, JSON-able
    plan: Plan

    @property
    def spec(self) -> models.Spec:
        """What a model may know of the data."""
        return models.Spec(tuple(self.dataset.shape), self.dataset.n_classes)

    @property
    def trained(self) -> bool:
        """Whether the generator is a model, not a baseline."""
        return self.options.model in models.MODELS


def prepare(options: settings.Options, dataset, split, config: dict) -> Job:
    """Solve for the plan, and put the plan, the model's config and the recipe into `config`."""
    _compilation_cache()
    _refuse_constant(options, dataset.images[split.members])
    n = len(data.units(dataset, split.members)[1])
    unit = "image" if dataset.groups is None else "group of images"
    if options.model in models.MODELS:
        sizes = models.load(options.model).SIZES
        private = not math.isinf(options.eps or math.inf) or bool(options.noise_multiplier)
        steps, q, recipe = presets.defaults(options.preset, options.model, n, private)
        model_config, recipe = settings.override(options.set, sizes[config["size"]], recipe)
        steps, q = options.steps or steps, options.sample_rate or q
        slots = sampling.capacity(n, q)

        def make_plan(noise, steps=steps):
            return Plan(config["delta"], (DPSGD(n, q, steps, noise, slots),), unit)
    else:
        model_config = recipe = None
        settings.override(options.set, None, None)
        steps = q = None

        def make_plan(noise, steps=None):
            private = options.model == "gaussian"
            return Plan(config["delta"], (Release(noise),) if private else (), unit)

    try:
        if options.noise_multiplier is not None:
            plan = accounting.settle(make_plan(options.noise_multiplier))
        else:
            plan = accounting.calibrate(make_plan, options.eps or math.inf)
    except ValueError as error:
        way_out = _fewer_steps(make_plan, steps, options.eps)
        stage = "" if steps is None else f" ({steps:,} steps, q = {q:g})"
        raise InputError(f"no plan for these flags{stage}: {error}{way_out}") from error
    config = config | {
        "steps": steps,
        "sample_rate": q,
        "model_config": None if model_config is None else dataclasses.asdict(model_config),
        "recipe": None if recipe is None else dataclasses.asdict(recipe),
        "stages": [dataclasses.asdict(stage) for stage in plan.stages],
    }
    return Job(options, dataset, split, config, plan)


def _refuse_constant(options: settings.Options, images) -> None:
    """Nothing can be learned from one image repeated: most likely the file is not what it should be."""
    if len(images) > 1 and all(np.array_equal(image, images[0]) for image in images):
        raise InputError(
            f"--dataset={options.dataset}: all {len(images):,} members are the same image; "
            "check how the file was made"
        )


def _fewer_steps(make_plan, steps: int | None, eps: float | None) -> str:
    """ "; or use --steps=N" with the largest N that can keep eps, where there is one below `steps`."""
    if steps is None or eps is None:
        return ""

    def kept(count):
        return accounting.reach(lambda noise: make_plan(noise, count))[0] <= eps

    low, high = 0, steps
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if kept(middle) else (low, middle)
    return f"; or use --steps={low}" if low and low < steps - 1 else ""


def carry_out(job: Job, folder: pathlib.Path, begun: float, tensorboard: bool) -> None:
    """Everything from the secret key to the report. Repeats nothing that a killed run had finished."""
    options, dataset, split = job.options, job.dataset, job.split
    seconds = {"calibrate": time.monotonic() - begun}
    eps, accountant = accounting.epsilon(job.plan)
    progress.say(job.plan.statement(options.noise_seed is not None))
    key = workdir.secret_key(folder, options.noise_seed)
    public = jax.random.key(options.seed)

    clock = time.monotonic()
    if job.trained:
        sample, scores = _train(job, folder, key, public, tensorboard)
    else:
        sample, scores = _baseline(job, key), None
    seconds["train"] = time.monotonic() - clock

    clock = time.monotonic()
    wanted = settings.sampling_labels(options.labels, dataset.n_classes, job.config["n_samples"])
    labels = np.asarray(wanted, np.int32)
    size = CHUNK if job.trained else len(labels)
    images = _draw(sample, jax.random.fold_in(public, 2), labels, size)
    seconds["sample"] = time.monotonic() - clock
    release = folder / "release"
    data.save_npz(release / "synthetic.npz", images, labels, dataset.n_classes)
    report.samples_png(release / "samples.png", images, labels, dataset.class_names)
    members = dataset.images[split.members], dataset.labels[split.members]
    report.samples_png(folder / "samples.png", images, labels, dataset.class_names, *members)
    workdir.write_json(folder / "manifest.json", data.manifest(dataset, split))

    clock = time.monotonic()
    judged = evaluation.evaluate(
        dataset,
        split,
        images,
        labels,
        scores=scores,
        seed=options.seed,
        quick=options.evaluation == "quick",
        progress=progress.say,
    )
    seconds["evaluate"] = time.monotonic() - clock
    seconds["total"] = time.monotonic() - begun
    found = record.make(job, eps, accountant, judged, seconds)
    workdir.write_json(folder / "record.json", found)
    picture = (folder / "samples.png").read_bytes()
    workdir.write_text(folder / "report.html", report.page(found, picture))
    workdir.destroy_secret(folder)


def _train(job: Job, folder, key, public, tensorboard):
    """(sample, scores) of a model trained as one cell, continued from its checkpoint if there is one."""
    options, plan, sgd = job.options, job.plan, job.plan.sgd()
    module = models.load(options.model)
    model = module.make(module.Config(**job.config["model_config"]), job.spec)
    recipe = training.Recipe(**job.config["recipe"])
    clip = math.inf if not plan.private and options.noise_multiplier is None else options.clip_norm
    cell = training.Cell(
        mask=jnp.ones(sgd.n, bool),
        clip=jnp.float32(clip),
        noise_std=jnp.float32(sgd.noise_multiplier * options.clip_norm),
        secret=key,
        public=jax.random.fold_in(public, 1),
    )
    saved = folder / "checkpoints"
    layout = distributed.layout()
    last = time.monotonic()

    def restore(number, like):
        found = checkpoint.restore(saved / str(number), like)
        if found is None:
            return None
        step, state, before = found
        progress.say(f"continuing from step {step:,}")
        if before != layout:
            progress.say(
                f"saved with {_said(before)}, now {_said(layout)}: the result will be the same to f32 "
                "rounding, not bitwise"
            )
        return state

    def observe(number, step, state):
        nonlocal last
        show(step, state.diagnostics)
        if step == sgd.steps or time.monotonic() - last > CHECKPOINT_SECONDS:
            checkpoint.save(saved / str(number), step, state, layout)
            last = time.monotonic()

    eps = accounting.epsilon(plan)[0]
    board = _tensorboard(folder) if tensorboard else None
    with progress.training(folder / "log.jsonl", sgd.steps, eps, board) as show:
        state = training.fit(
            model,
            plan,
            recipe,
            _pool(job.dataset, job.split.members),
            jax.tree.map(lambda x: x[None], cell),
            mesh=distributed.mesh() if layout["devices"] > 1 else None,
            observe=observe,
            restore=restore,
        )
    params = jax.tree.map(lambda x: x[0], jax.device_put(state.ema, jax.devices()[0]))
    if not all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(params)):
        raise InputError(
            "training diverged (parameters are not finite): lower --set recipe.learning_rate"
        )

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

    return functools.partial(jax.jit(model.sample), params), scores


def _said(layout: dict) -> str:
    """A layout in words."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in layout.items())


def _baseline(job: Job, key):
    """sample of a one-shot baseline."""
    options, dataset, plan = job.options, job.dataset, job.plan
    baseline = BASELINES[options.model](job.spec)
    indices = getattr(job.split, baseline.source)
    missing = sorted(set(range(dataset.n_classes)) - set(dataset.labels[indices].tolist()))
    if missing:
        raise InputError(
            f"--model={options.model}: no {baseline.source} of class {missing[0]}; ask for fewer members"
        )
    noise = plan.stages[0].noise_multiplier if plan.stages else 0.0
    pool = _pool(dataset, indices)
    params = baseline.fit(
        pool, float(len(pool.sizes)), options.clip_norm, noise * options.clip_norm, key
    )
    return functools.partial(baseline.sample, params)


def _pool(dataset, indices) -> training.Pool:
    arrays = dataset.images[indices], dataset.labels[indices], *data.units(dataset, indices)
    return training.Pool(*(jnp.asarray(x) for x in arrays))


def _draw(sample, key, labels, size: int) -> np.ndarray:
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


def _compilation_cache() -> None:
    """Compile once per machine, not once per run."""
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", str(sources.cache_dir() / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _tensorboard(folder):
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise InputError(
            "--tensorboard: needs the extra `tensorboard` (uv sync --extra tensorboard)"
        ) from error
    return SummaryWriter(str(folder / "tensorboard"))
