"""The training driver: a group of trainings side by side, each first on draws from a release, then by DP-SGD.

A run is a group of one. The runs of a sweep that share a program, shadow models, audited copies and the paper's
worlds are larger groups. Everything that varies between the trainings of a group is in its Task.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from fpu import data, distributed, models, priors, training
from fpu.baselines import Baseline
from fpu.dp.plan import DPSGD, Plan, Release
from fpu.pipeline import draw, progress
from fpu.priors import conditioning
from fpu.training import warmup

WARMUP, DP_SGD = "warmup", "0"  # names of the stages, and of their checkpoints' folders
TONED = 500  # images by which the grey levels of a model are compared to those of its draws
TRIED = 4000  # codes of draws of which the clear ones are kept

# Runs `fit(restore=...)` to its end and returns its last State: (stage, steps, fit).
Follow = Callable[[str, int, Callable[..., Iterator[tuple[int, training.State]]]], training.State]


class Trainer(NamedTuple):
    """What the trainings of a group share. It knows no data."""

    model: models.Model
    spec: models.Spec
    teacher: Baseline  # whose release and draws come first, where the plan begins with a Release
    recipe: training.Recipe  # of DP-SGD
    draw_recipe: training.Recipe  # of the training on draws
    draw_steps: int  # steps on draws
    # In whose space the images have the codes that the model is conditioned on, where it is on any.
    prior: priors.Prior | None = None


class Task(NamedTuple):
    """One generator to train: on whose images, under which plan, with which keys."""

    pool: training.Pool
    mask: np.ndarray  # bool [U], the members among the pool's privacy units
    n: int  # the public number of units of the plan
    plan: Plan  # a Release as its first stage means training on its draws
    clip: float  # clip norm of DP-SGD; inf: none
    release_key: jax.Array  # secret typed keys
    sgd_key: jax.Array
    public_key: jax.Array


class Trained(NamedTuple):
    """What a group learned. `params` as `sampler` takes them, with a leading axis [tasks]."""

    params: Any  # of the model; beside them CODES and TONES (fpu/priors/conditioning.py), where it has codes
    releases: list  # of each task; none where the plan has no release
    warmed: Any  # the parameters DP-SGD began from; None where it began from scratch


def pool(dataset: data.Dataset, indices: np.ndarray) -> training.Pool:
    """These images of a data set, on the device, with the privacy units among them."""
    arrays = dataset.images[indices], dataset.labels[indices], *data.units(dataset, indices)
    return training.Pool(*(jnp.asarray(x) for x in arrays))


def singles(images: Any, labels: Any) -> training.Pool:
    """A pool of uint8 images [n, H, W, C] with labels ints [n], each a unit."""
    rows = jnp.arange(len(labels))
    units = rows[:, None], jnp.ones_like(rows)
    return training.Pool(jnp.asarray(images), jnp.asarray(labels), *units)


def run_to_end(stage: str, steps: int, fit: Callable[..., Iterator]) -> training.State:
    """The Follow that shows and keeps nothing."""
    del stage, steps
    *_, (_, state) = fit(restore=None)
    return state


def train(
    trainer: Trainer,
    tasks: Sequence[Task],
    follow: Follow = run_to_end,
    mesh: Mesh | None = None,
    say: Callable[[str], Any] = lambda line: None,
) -> Trained:
    """Train all tasks side by side. Their plans differ in noise alone, and their pools have one shape.

    say: called with one line before and in each long part but the training itself.
    """
    plan, releases = tasks[0].plan, []
    params: Any = None
    held: dict[str, Any] = {}  # beside a model's parameters
    draws: Any = ()  # for public losses
    if isinstance(plan.stages[0], Release):
        say("release: noised sums of the members")
        releases = [release(trainer.teacher, task) for task in tasks]
        drawn = distributed.broadcast(stacked(_drawn(trainer, tasks, releases, say)))
        params = _averaged(_on_draws(trainer, tasks, drawn, follow, mesh), len(tasks))
        if trainer.prior is not None:
            held[conditioning.CODES] = drawn.codes
            draws = warmup.seen(trainer.model, drawn)
            each_task = zip(tasks, each(drawn), each(params), releases, strict=True)
            if trainer.prior.space.decode is not None:
                held[conditioning.TONES] = _of_each(_tones, trainer, each_task)
            elif trainer.prior.plausible == 1:
                held[conditioning.CODES] = _of_each(_clear, trainer, each_task)
        del drawn
    sgd = dpsgd(plan)
    warmed = {**params, **held} if releases else None
    if sgd is None:
        return Trained(warmed, releases, None)
    fit = functools.partial(
        training.fit,
        trainer.model,
        _shared_plan(tasks),
        trainer.recipe,
        _shared_pool(trainer, tasks),
        stacked([_cell(task) for task in tasks])._replace(draws=draws),
        mesh=mesh,
        start=params,
    )
    trained = _averaged(follow(DP_SGD, sgd.steps, fit), len(tasks))
    held.pop(conditioning.TONES, None)  # the grey levels of draws are not those that DP-SGD taught
    return Trained({**trained, **held}, releases, warmed)


def sampler(trainer: Trainer, params: Any) -> Callable[[jax.Array, jax.Array], Any]:
    """(key, labels) -> images of a trained generator. params: of one task, as in `Trained`."""
    sample = draw.sampler(trainer.model, params)
    if trainer.prior is None:
        return sample
    return functools.partial(conditioning.sample, params, trainer.spec.n_classes, sample)


def scorer(
    model: models.Model, prior: priors.Prior | None, params: Any, public: jax.Array
) -> Callable[..., dict]:
    """(images, labels) -> {name: float [n]}, membership scores by a model of one task.

    prior: as in Trainer.
    """

    def scores(images, labels):
        codes = () if prior is None else (conditioning.codes(prior, images),)
        return draw.scores(model, params, public, images, labels, *codes)

    return scores


def _of_each(function, trainer, each_task):
    """function(trainer, task, draws, params, release) of each task, with a leading axis for the tasks."""
    found = jnp.stack([function(trainer, *one) for one in each_task])
    return distributed.broadcast(found)  # another machine may round otherwise


def _tones(trainer: Trainer, task: Task, drawn: training.Pool, params: Any, release: Any) -> Any:
    """The tones (conditioning.py) by which a model's images get those of its draws."""
    del release
    made = _made(trainer, task, _first(drawn, TONED), params)
    return conditioning.tones(*map(conditioning.histogram, (made, drawn.images)))


def _clear(trainer: Trainer, task: Task, drawn: training.Pool, params: Any, release: Any) -> Any:
    """The codes of draws from which a model makes clear images (conditioning.py), where all of a pool may be like the
    members: images far from them all are clearly of some class, and say nothing of it.
    """
    assert trainer.prior is not None
    first = _first(drawn, TRIED)
    made = _made(trainer, task, first, params)
    return conditioning.clear(trainer.prior, release, first, made, trainer.spec.n_classes)


def _first(drawn, count):
    return jax.tree.map(lambda x: x[:count], drawn)


def _made(trainer, task, drawn, params):
    """What a model makes of the codes of draws, uint8 [N, H, W, C]."""
    sample, key = draw.sampler(trainer.model, params), jax.random.fold_in(task.public_key, 7)
    try:
        return draw.draw(sample, key, drawn.labels, draw.CHUNK, drawn.codes)
    except draw.Diverged:  # whoever draws next will tell
        return np.asarray(drawn.images)


def release(teacher: Baseline, task: Task) -> Any:
    """The first stage of a task's plan: one Gaussian release of its members, by a private baseline."""
    members = task.pool._replace(units=task.pool.units[task.mask], sizes=task.pool.sizes[task.mask])
    return fitted(teacher, members, task.n, task.plan, task.release_key)


def fitted(baseline: Baseline, pool: training.Pool, n: int, plan: Plan, key: jax.Array) -> Any:
    """Parameters of a baseline of a pool, with the noise of the first stage of a plan that has one."""
    noise = plan.stages[0].noise_multiplier if plan.stages else 0.0
    params = baseline.fit(pool, float(n), noise, key)
    return distributed.broadcast(params)  # another machine may round otherwise


def dpsgd(plan: Plan) -> DPSGD | None:
    """The DP-SGD stage of a plan, or None."""
    return next((stage for stage in plan.stages if isinstance(stage, DPSGD)), None)


def noiseless(plan: Plan) -> DPSGD | None:
    """A plan's DP-SGD without its noise, which is each cell's own and no part of a program; or None."""
    sgd = dpsgd(plan)
    return None if sgd is None else dataclasses.replace(sgd, noise_multiplier=0.0)


def _drawn(trainer, tasks, releases, say) -> list[training.Pool]:
    """Draws of each release."""
    teacher, classes, due = trainer.teacher, trainer.spec.n_classes, progress.clock()
    of = f" for each of {len(tasks)} models" if len(tasks) > 1 else ""

    def done(images: int) -> None:
        if due(images == warmup.DRAWS):
            say(f"draws of the release: {images:,} of {warmup.DRAWS:,}{of}")

    return [
        _coded(
            trainer,
            warmup.draws(teacher, one, classes, jax.random.fold_in(task.public_key, 5), done=done),
        )
        for one, task in zip(releases, tasks, strict=True)
    ]


def _coded(trainer: Trainer, pool: training.Pool) -> training.Pool:
    """A pool with the codes of its images, where the model is conditioned on them."""
    if trainer.prior is None:
        return pool
    codes = jnp.asarray(conditioning.codes(trainer.prior, pool.images))
    return pool._replace(codes=distributed.broadcast(codes))  # another machine may round otherwise


def _on_draws(trainer, tasks, pools, follow, mesh) -> training.State:
    keys = jnp.stack([jax.random.fold_in(task.public_key, 4) for task in tasks])
    recipe, steps = trainer.draw_recipe, trainer.draw_steps
    fit = functools.partial(warmup.pretrain, trainer.model, recipe, pools, keys, steps, mesh=mesh)
    return follow(WARMUP, steps, fit)


def _cell(task: Task) -> training.Cell:
    sgd = task.plan.sgd()
    noise = sgd.noise_multiplier * task.clip if sgd.noise_multiplier else 0.0  # not 0 * inf
    return training.Cell(
        mask=jnp.asarray(task.mask),
        clip=jnp.float32(task.clip),
        noise_std=jnp.float32(noise),
        secret=task.sgd_key,
        public=jax.random.fold_in(task.public_key, 1),
    )


def _shared_plan(tasks: Sequence[Task]) -> Plan:
    """The plan of all tasks; where they differ in noise, a plan that claims nothing: each cell brings its own."""
    plan = tasks[0].plan
    if all(task.plan == plan for task in tasks):
        return plan
    return dataclasses.replace(plan, stages=(noiseless(plan),))


def _shared_pool(trainer: Trainer, tasks: Sequence[Task]) -> training.Pool:
    """The one pool of all tasks, or, with a leading axis, the pool of each."""
    first = tasks[0].pool
    if all(task.pool is first for task in tasks):
        return _coded(trainer, first)
    return stacked([_coded(trainer, task.pool) for task in tasks])


def _averaged(state: training.State, count: int) -> Any:
    """State.ema with a leading axis [count], on this process's first device."""
    params = distributed.gather(state.ema)
    if state.step.ndim == 0:
        return jax.tree.map(lambda x: x[None], params)
    return jax.tree.map(lambda x: x[:count], params)


def stacked(trees: Sequence[Any]) -> Any:
    """One tree, whose leaves have a leading axis for the trees."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def finite(params: Any) -> bool:
    """Whether all parameters are."""
    return all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(params))


def each(params: Any) -> Iterator[Any]:
    """The trees of a stack, one after the other."""
    count = len(jax.tree.leaves(params)[0])
    return (jax.tree.map(lambda x, i=i: x[i], params) for i in range(count))
