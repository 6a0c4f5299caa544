"""What a step of training costs, measured on made-up images before anything is started: seconds and bytes."""

import itertools
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from fpu import models, training
from fpu.dp.plan import DPSGD, Plan, Release
from fpu.pipeline import train
from fpu.training import warmup

SHARE = 0.7  # of an accelerator's memory that cells may fill


class Price(NamedTuple):
    """Of one compiled stage of training."""

    steps: int  # of the stage
    seconds: float  # of one step of all cells
    bytes: int  # of all cells: data, state and what a step needs beside them
    flops: float = 0.0  # floating-point operations of one step of all cells, as XLA counts them


def stages(trainer: train.Trainer, plan: Plan, count: int = 1) -> list[Price]:
    """A price for each stage of a training under `plan`, with `count` cells side by side. Compiles all."""
    parts = []
    if isinstance(plan.stages[0], Release):
        on_draws = warmup.sgd(warmup.DRAWS, trainer.draw_steps)
        parts.append((trainer.draw_recipe, on_draws, warmup.step))
    if sgd := train.noiseless(plan):
        parts.append((trainer.recipe, sgd, training.step))
    return [
        price(trainer.model, recipe, trainer.spec, sgd, count, step=step)
        for recipe, sgd, step in parts
    ]


def most(trainer: train.Trainer, plan: Plan, limit: float | None = None) -> int:
    """How many such trainings fit side by side into `limit` bytes (default: the device's); 1 on a CPU.

    On a CPU cells gain little from running side by side (`experiments.bench --suite=grid`).
    """
    if limit is None:
        if jax.default_backend() == "cpu":
            return 1
        limit = float((jax.devices()[0].memory_stats() or {}).get("bytes_limit", 0))
    return max(1, int(SHARE * limit / max(each.bytes for each in stages(trainer, plan))))


def blank(n: int, spec: models.Spec) -> training.Pool:
    """n black images, each a unit, of all classes in turn, with codes where a model is conditioned on them."""
    codes = jnp.zeros((n, spec.code)) if spec.code else ()
    pool = train.singles(jnp.zeros((n, *spec.shape), jnp.uint8), jnp.arange(n) % spec.n_classes)
    return pool._replace(codes=codes)


def price(
    model: models.Model,
    recipe: training.Recipe,
    spec: models.Spec,
    sgd: DPSGD,
    count: int = 1,
    calls: int = 4,
    step: Callable[..., training.State] = training.step,
) -> Price:
    """Of `count` cells of one stage, side by side, each with a pool of its own; the least of `calls` - 1 steps."""
    pool = blank(sgd.n, spec)
    keys = jax.random.split(jax.random.key(0), (2, count))
    same = jnp.ones(count)
    pools = train.stacked([pool] * count)
    members = jnp.ones((count, sgd.n), bool)
    draws = train.stacked([warmup.seen(model, blank(warmup.DRAWS, spec))] * count)
    cells = training.Cell(members, same, same, *keys, draws=draws)
    if count == 1:
        pools, cells = next(train.each((pools, cells)))
    made = training.compiled(model, Plan(0.5, (sgd,)), recipe, count > 1, None, True, step)
    state = made.first(cells, None)
    program = made.jitted.lower(pools, cells, state, jnp.int32(0)).compile()
    held, counted = program.memory_analysis(), program.cost_analysis() or {}
    needed = held.argument_size_in_bytes + held.temp_size_in_bytes + held.output_size_in_bytes
    marks = []
    for stop in range(1, calls + 1):
        state = jax.block_until_ready(made.run(pools, cells, state, jnp.int32(stop)))
        marks.append(time.perf_counter())
    # The least: the first call compiles, and what else the machine does can only add to the others.
    seconds = min(after - before for before, after in itertools.pairwise(marks))
    # Where the device loops over steps, XLA does not know how many there are, and counts one.
    return Price(sgd.steps, seconds, needed, counted.get("flops", 0.0))
