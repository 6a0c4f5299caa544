"""The parts of a run: plan, fit, sample, release, evaluate, record, report."""

import dataclasses
import math
import os
import pathlib
import time
from typing import NamedTuple

import jax
import numpy as np

from fpu import InputError, data, distributed, evaluation, models, record, report
from fpu.baselines import RELEASES
from fpu.data import sources
from fpu.dp import accounting, sampling
from fpu.dp import plan as plans
from fpu.dp.plan import DPSGD, Plan, Release
from fpu.pipeline import (
    auditing,
    copies,
    defaults,
    fitting,
    paper_worlds,
    processes,
    progress,
    settings,
    workdir,
)
from fpu.release import generators, pack
from fpu.report import thumbnails

# What the secret key is folded with for models beside the run. Far from 0, 1, 2 ...: to split a key is to
# fold it with these, and that is how the released model gets its own.
SHADOWS, AUDIT, WORLDS, CLASSIFIER = 1001, 1002, 1003, 1004


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
    share = settings.warmup_share(options)
    if options.model in models.MODELS:
        model_config = models.load(options.model).SIZES[config["size"]]
        if share:
            model_config = defaults.warmed(options.model, model_config)
        private = not math.isinf(options.eps or math.inf) or bool(options.noise_multiplier)
        steps, q, recipe = defaults.defaults(
            options.preset, options.model, n, private and share < 1, 0 < share < 1
        )
        model_config, recipe = settings.override(options.set, model_config, recipe)
        steps, q = options.steps or steps, options.sample_rate or q
        sgd = DPSGD(n, q, steps, 1.0, sampling.capacity(n, q))
        if share == 1:  # no DP-SGD, and none to tell of
            steps = q = None

        def make_plan(noise, steps=sgd.steps):
            stages = plans.shared(noise, share, dataclasses.replace(sgd, steps=steps))
            return Plan(config["delta"], stages, unit)
    else:
        model_config = recipe = None
        settings.override(options.set, None, None)
        steps = q = None

        def make_plan(noise, steps=None):
            private = options.model in RELEASES
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
    warmup_steps = options.warmup_steps or defaults.warmup_steps(dataset.shape)
    config = config | {
        "steps": steps,
        "sample_rate": q,
        "warmup": "moments" if share else "none",
        "warmup_share": share,
        "warmup_steps": warmup_steps if share else None,
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


def carry_out(
    job: Job, folder: pathlib.Path, begun: float, tensorboard: bool, siblings: int = 1
) -> None:
    """Everything from the secret key to the report. Repeats nothing that a killed run had finished.

    Of several processes each computes all of it, and the first alone writes: the key in the folder is its own.

    siblings: runs of the sweep that this one belongs to; see auditing.run.
    """
    options, dataset, split = job.options, job.dataset, job.split
    seconds = {"calibrate": time.monotonic() - begun}
    eps, accountant = accounting.epsilon(job.plan)
    progress.say(job.plan.statement(options.noise_seed is not None))
    key = processes.secret_key(folder, options.noise_seed)
    public = jax.random.key(options.seed)

    try:
        made, images, labels, beside = _generate(job, folder, key, public, tensorboard, seconds)
    except fitting.Diverged as error:  # a result too: left out, a grid would look better than it is
        seconds["total"] = time.monotonic() - begun
        nothing = {"fidelity": {}, "utility": {}}
        found = record.make(job, eps, accountant, nothing, seconds) | {"diverged": str(error)}
        if distributed.leads():
            _finish(folder, found, None)
        return
    beside_others = workdir.note(folder)
    seconds["train"] += beside_others.get("seconds", 0.0)
    if distributed.leads():
        _release(job, folder / "release", images, labels, made.params)
        members = dataset.images[split.members], dataset.labels[split.members]
        report.samples_png(folder / "samples.png", images, labels, dataset.class_names, *members)
        workdir.write_json(folder / "manifest.json", data.manifest(dataset, split))

    clock = time.monotonic()
    judged = evaluation.evaluate(
        dataset,
        split,
        images,
        labels,
        scores=made.scores,
        shadows=_lira(job, key, public) if options.shadows else None,
        beside=beside,
        budget=(eps, job.plan.delta) if job.plan.private else None,
        seed=options.seed,
        secret=jax.random.fold_in(key, CLASSIFIER),
        quick=options.evaluation == "quick",
        cache=sources.cache_dir() / "floors",
        progress=progress.say,
    )
    seconds |= judged["seconds"]
    if options.queries:
        judged["empirical_epsilon"] = paper_worlds.judge(
            job, jax.random.fold_in(key, WORLDS), progress.say, options.queries
        )
    seconds["evaluate"] = time.monotonic() - clock
    clock = time.monotonic()
    audited = auditing.run(job, jax.random.fold_in(key, AUDIT), public, siblings)
    seconds |= {"audit": time.monotonic() - clock} if audited else {}
    seconds["total"] = time.monotonic() - begun
    found = record.make(job, eps, accountant, judged, seconds, audited)
    found["cost"]["trained_side_by_side"] = beside_others.get("cells", 1)
    if job.plan.private:
        found["thumbnails"] = thumbnails.encode(images, labels)
    if distributed.leads():
        _finish(folder, found, (folder / "samples.png").read_bytes())


def _generate(job: Job, folder, key, public, tensorboard, seconds):
    """(the generator, its images, their labels, {rival: (images, labels)}); the time of both parts in `seconds`."""
    clock = time.monotonic()
    if job.trained:
        made = fitting.train(job, folder, key, public, tensorboard)
    else:
        made = fitting.one_shot(job, key)
    seconds["train"] = time.monotonic() - clock

    clock = time.monotonic()
    classes = job.dataset.n_classes
    wanted = settings.sampling_labels(job.options.labels, classes, job.config["n_samples"])
    labels = np.asarray(wanted, np.int32)
    size = fitting.CHUNK if job.trained else len(labels)
    images = fitting.draw(made.sample, jax.random.fold_in(public, 2), labels, size)
    beside = {
        name: (fitting.draw(rival, jax.random.fold_in(public, 6), labels, size), labels)
        for name, rival in made.rivals.items()
    }
    seconds["sample"] = time.monotonic() - clock
    return made, images, labels, beside


def _finish(folder: pathlib.Path, found: dict, picture: bytes | None) -> None:
    """Write record and report, and then destroy the key: nothing more will be drawn from it."""
    workdir.write_json(folder / "record.json", found)
    workdir.write_text(folder / "report.html", report.page(found, picture))
    workdir.destroy_secret(folder)


def _release(job: Job, folder: pathlib.Path, images, labels, params) -> None:
    """Write the pack that may leave the house."""
    names = tuple(map(str, job.dataset.class_names))
    parts = job.options.model, job.config["model_config"], job.spec, names, params
    pack.write(
        folder,
        pack.privacy(job.plan, job.options.noise_seed is not None),
        images,
        labels,
        job.dataset,
        None if params is None else generators.Generator(*parts),
        lambda path: report.samples_png(path, images, labels, names),
    )


def _lira(job: Job, key, public):
    """(Targets, scores) -> LiRA's scores, as evaluation.evaluate calls it."""

    def attack(targets, scores):
        secret = jax.random.fold_in(key, SHADOWS)
        return copies.attack(job, targets, scores, job.options.shadows, secret, public)

    return attack


def _compilation_cache() -> None:
    """Compile once per machine, not once per run."""
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", str(sources.cache_dir() / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
