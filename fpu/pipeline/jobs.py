"""A run before anything of it exists: every choice made, the plan solved, nothing written."""

import bisect
import dataclasses
import functools
import math
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from fpu import InputError, data, models, priors, training
from fpu.baselines import OF_PRIOR, RELEASES, Baseline
from fpu.dp import accounting
from fpu.dp import plan as plans
from fpu.dp.plan import DPSGD, Plan, Release
from fpu.files import cache
from fpu.pipeline import choices, defaults, draw, prior, refusals, settings, train
from fpu.priors import conditioning, release
from fpu.training import warmup

_AT_ONCE = 10_000  # images that a one-shot generator draws at once


class Job(NamedTuple):
    """What was asked, on which data, under which plan."""

    options: settings.Options
    dataset: data.Dataset
    split: data.Split
    config: dict  # every resolved choice, JSON-able
    plan: Plan

    @property
    def spec(self) -> models.Spec:
        """What a model may know of the data."""
        return prior.spec(self.dataset)

    @property
    def trained(self) -> bool:
        """Whether the generator is a model, not a baseline."""
        return self.options.model in models.MODELS

    @property
    def n(self) -> int:
        """The public number of privacy units, by which sums are divided: at least as many as are members."""
        return self.config["n_public"]

    @property
    def labels(self) -> np.ndarray:
        """The labels that the run draws, int32 [n_samples], in order."""
        classes, count = self.dataset.n_classes, self.config["n_samples"]
        return settings.sampling_labels(self.options.labels, classes, count)

    @property
    def prior(self) -> priors.Prior | None:
        """The public prior that helps the release; None where there is none."""
        return prior.load(self.config["prior"], self.spec, self.options.data_dir)

    @property
    def prior_of_classifier(self) -> priors.Prior | None:
        """In whose space the private classifier works: the run's prior, or the one that its images would have."""
        options = self.options
        if self.prior or options.preset == "paper":
            return self.prior
        return prior.of_classifier(options.prior, self.dataset, options.data_dir)

    @property
    def baseline(self) -> Baseline:
        """The generator without steps, where the generator is not a model."""
        return prior.baseline(self.options.model, self.spec, self.prior)

    @property
    def teacher(self) -> Baseline:
        """The release whose draws teach a model."""
        return prior.baseline("prior" if self.prior else "gaussian", self.spec, self.prior)

    @property
    def trainer(self) -> train.Trainer:
        """What a training of this job shares with others; equal jobs share one model object and its programs."""
        name, code = self.options.model, self.config["code"] or 0
        config = models.load(name).Config(**self.config["model_config"])
        return train.Trainer(
            model=_model(name, config, self.spec._replace(code=code)),
            spec=self.spec._replace(code=code),
            teacher=self.teacher,
            recipe=training.Recipe(**self.config["recipe"]),
            draw_recipe=defaults.defaults(self.options.preset, name, 1, private=False).recipe,
            draw_steps=self.config["draw_steps"] or 0,
            prior=self.prior if code else None,
        )

    def sampler(self, params: Any) -> Callable[[jax.Array, jax.Array], Any]:
        """(key, labels) -> images, as they are released, of a generator with the parameters of one training."""
        if self.trained:
            return train.sampler(self.trainer, params)
        return functools.partial(self.baseline.sample, params)

    def scorer(self, params: Any, public: jax.Array) -> Callable[..., dict]:
        """(images, labels) -> {name: float [n]}, membership scores by the model of one training."""
        return train.scorer(self.trainer.model, self.trainer.prior, params, public)

    def at_once(self, count: int) -> int:
        """How many of `count` images are drawn at once."""
        return draw.CHUNK if self.trained else min(count, _AT_ONCE)

    def draw(self, sample: Callable, labels: np.ndarray, public: jax.Array) -> np.ndarray:
        """The images, uint8 [n, H, W, C], that sample(key, labels) releases under the public key of the run."""
        return draw.draw(sample, jax.random.fold_in(public, 2), labels, self.at_once(len(labels)))

    def task(
        self,
        release_key: jax.Array,
        sgd_key: jax.Array,
        public_key: jax.Array,
        pool: training.Pool | None = None,
        mask: np.ndarray | None = None,
    ) -> train.Task:
        """A training under this job's plan, on its members unless a pool and a mask are given."""
        pool = train.pool(self.dataset, self.split.members) if pool is None else pool
        mask = np.ones(len(pool.sizes), bool) if mask is None else mask
        unclipped = not self.plan.private and self.options.noise_multiplier is None
        clip = math.inf if unclipped else self.options.clip_norm
        return train.Task(pool, mask, self.n, self.plan, clip, release_key, sgd_key, public_key)


@functools.lru_cache(maxsize=8)
def _model(name: str, config, spec: models.Spec) -> models.Model:
    return models.load(name).make(config, spec)


def prepare(options: settings.Options) -> Job:
    """The job of these options. InputError for bad input."""
    refusals.check(options)
    if jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        raise InputError("JAX_ENABLE_X64: fpu computes in 32 bits; unset it")
    _compilation_cache()
    dataset, split, config = choices.of(options)
    n = config["n_public"]
    unit = "image" if dataset.groups is None else "group of images"
    if options.model in models.MODELS:
        make_plan, learning = _trained(options, config, dataset, n, unit)
    else:
        make_plan, learning = _untrained(options, config, unit)
    plan = _solved(options, make_plan, learning["steps"], learning["sample_rate"])
    config |= learning | {"stages": [dataclasses.asdict(stage) for stage in plan.stages]}
    job = Job(options, dataset, split, config, plan)
    # Read last: what else is wrong with the flags should not wait for it.
    config["prior_version"] = job.prior.version if job.prior else None
    if job.prior:
        noise = plan.stages[0].noise_multiplier
        made = RELEASES[options.model] if options.model in OF_PRIOR else release
        public = job.prior, float(n), dataset.n_classes, noise
        config["components"] = made.components(*public)
        config["brightness"] = made is release and release.says_how_bright(*public)
    coded = job.trained and config["warmup_share"]
    config["code"] = conditioning.size(job.prior) if job.prior and coded else None
    return job


def _trained(
    options, config: dict, dataset: data.Dataset, n: int, unit: str
) -> tuple[Callable[..., Plan], dict[str, Any]]:
    """(noise, steps) -> Plan of a model, and how it is trained."""
    share = settings.warmup_share(options)
    if share == 1 and options.warmup_share is None:
        share = defaults.release_share(options.model, config["prior"], n)
    private = not math.isinf(options.eps or math.inf) or bool(options.noise_multiplier)
    steps, rate, recipe = defaults.defaults(
        options.preset, options.model, n, private and share < 1, 0 < share < 1
    )
    model_config = models.load(options.model).SIZES[config["size"]]
    if share:
        model_config = defaults.warmed(options.model, model_config, config["prior"])
    model_config, recipe = settings.override(options.set, model_config, recipe)
    if recipe.trained == "few" and not 0 < share < 1:
        raise InputError(
            "--set=recipe.trained=few: DP-SGD then goes on from what draws taught: add --warmup_share=0.5, or leave it "
            "out"
        )
    steps, rate = options.steps or steps, options.sample_rate or rate

    def make_plan(noise: float, steps: int = steps) -> Plan:
        slots = plans.capacity(n, rate, steps, config["delta"])
        stages = plans.shared(noise, share, DPSGD(n, rate, steps, 1.0, slots))
        return Plan(config["delta"], stages, unit)

    draw_steps = options.draw_steps or defaults.draw_steps(options.model, dataset.shape)
    return make_plan, {
        "steps": None if share == 1 else steps,  # there is no DP-SGD to tell of
        "sample_rate": None if share == 1 else rate,
        "warmup_share": share,
        "draws": warmup.DRAWS if share else None,
        "draw_steps": draw_steps if share else None,
        "model_config": dataclasses.asdict(model_config),
        "recipe": dataclasses.asdict(recipe),
    }


def _untrained(options, config: dict, unit: str) -> tuple[Callable[..., Plan], dict[str, Any]]:
    """The same of a baseline: one release, or no mechanism; nothing is trained."""
    settings.override(options.set, None, None)  # refuses what a baseline has not

    def make_plan(noise: float) -> Plan:
        stages = (Release(noise),) if options.model in RELEASES else ()
        return Plan(config["delta"], stages, unit)

    names = "steps", "sample_rate", "warmup_share", "draws", "draw_steps", "model_config", "recipe"
    return make_plan, dict.fromkeys(names) | {"warmup_share": 0.0}


def _solved(options, make_plan: Callable[..., Plan], steps: int | None, rate: float | None) -> Plan:
    """The plan with the noise given, or with the least noise that keeps the eps asked."""
    try:
        if options.noise_multiplier is not None:
            return make_plan(options.noise_multiplier)
        return accounting.calibrate(make_plan, options.eps or math.inf)
    except ValueError as error:
        way_out = _fewer_steps(make_plan, steps, options.eps)
        stage = "" if steps is None else f" ({steps:,} steps, q = {rate:g})"
        raise InputError(f"no plan for these flags{stage}: {error}{way_out}") from error


def _fewer_steps(make_plan: Callable[..., Plan], steps: int | None, eps: float | None) -> str:
    """ "; or use --steps=N" with the largest N that can keep eps, where there is one below `steps`."""
    if steps is None or eps is None:
        return ""

    def lost(count: int) -> bool:
        return accounting.epsilon(make_plan(accounting.MOST_NOISE, count))[0] > eps

    most = bisect.bisect_left(range(1, steps), True, key=lost)
    return f"; or use --steps={most}" if 0 < most < steps - 1 else ""


def _compilation_cache() -> None:
    """Compile once per machine, not once per run. A cache that the environment names is the user's own."""
    folder = cache.folder("xla")
    if folder is not None and not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
