"""Audit of the engine: lower bounds on eps from whole trainings whose gradients are the worst case.

The model is a probe: the gradient of one image is sizes[label] along one axis of its parameters, in opposite
directions in two leaves, and far longer than the clip norm. So a canary moves every noised sum that it enters by
exactly the clip norm, along a direction that the attacker knows. Trainings run as vmapped cells of training.fit.
The attacker sees the final state, and uses Adam's first moment: with b1 next to 1 it is the sum of all noised
gradients.
"""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fpu import models, training
from fpu.dp import accounting
from fpu.dp.plan import DPSGD, Plan
from fpu.pipeline import train
from fpu.privacy import audit
from fpu.report import words

DELTA = 1e-5
RUNS, CANARIES, REPEATS = 1000, 2000, 25
ALARM = 1e-4  # a bound above the claim at confidence 1 - ALARM refutes the claim
CLIP = 0.7
_LONG = 1e4  # the canary's gradient, in clip norms
_B1 = 1 - 2**-17  # of Adam: exact in float32; 1,000 steps then weigh the same within 1 %

# kind, eps, sampling rate, steps
SETTINGS = [
    ("two worlds", 1.0, 1.0, 1),
    ("two worlds", 1.0, 1.0, 50),
    ("two worlds", 1.0, 0.5, 1),
    ("two worlds", 1.0, 0.25, 200),
    ("two worlds", 4.0, 1.0, 1),
    ("two worlds", 4.0, 0.25, 200),
    ("two worlds", 8.0, 0.25, 200),
    ("one run", 4.0, 1.0, 1),
    ("one run", 4.0, 0.25, 50),
    ("one run", 8.0, 1.0, 1),
    ("one run", 8.0, 0.25, 50),
]


@functools.cache  # each new model object is compiled again
def probe(axes: tuple[int, ...], sizes: tuple[float, ...]) -> models.Model:
    """The model whose gradient for label l is sizes[l] * (e, -e), e the unit vector of axis axes[l]."""
    axis_of_label, size_of_label = np.asarray(axes), np.asarray(sizes, np.float32)
    zeros = np.zeros(max(axes) + 1, np.float32)

    def init(key):
        del key
        return {"private": {"a": jnp.asarray(zeros), "b": jnp.asarray(zeros)}, "public": {}}

    def loss(private, public, example, step, key):
        del public, step, key
        axis, size = (jnp.asarray(x)[example.label] for x in (axis_of_label, size_of_label))
        return size * (private["a"][axis] - private["b"][axis]), {}

    def never(*_: object) -> Any:
        raise NotImplementedError("a probe is neither sampled nor scored")

    return models.Model(init, loss, None, never, never)


def trained(model: models.Model, plan: Plan, masks: np.ndarray, seed: int) -> np.ndarray:
    """The sum of each cell's noised gradients along every axis: [cells, axes].

    masks: bool [cells, units]; unit u is the only image of label u. Each cell has its own keys.
    """
    cells, units = masks.shape
    pool = train.singles(jnp.zeros((units, 1, 1, 1), jnp.uint8), jnp.arange(units))
    secret, public = (
        jax.random.split(key, cells) for key in jax.random.split(jax.random.key(seed))
    )
    std = CLIP * plan.sgd().noise_multiplier
    group = training.Cell(
        jnp.asarray(masks), jnp.full(cells, CLIP), jnp.full(cells, std), secret, public
    )
    recipe = training.Recipe(b1=_B1, microbatch=500)
    *_, (_, state) = training.fit(model, plan, recipe, pool, group)
    moment = optax.tree.get(state.private_opt, "mu")
    sums = (np.asarray(moment["a"], np.float64) - np.asarray(moment["b"])) / (1 - _B1)
    return sums.reshape(cells, -1)  # a cell alone has no axis of cells


def two_worlds(
    plan: Plan, runs: int, seed: int, background: Sequence[tuple[int, float]] = ((1, _LONG),)
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of `runs` trainings with a canary and of `runs` without it, both [runs].

    background: (axis, size) of the other members' gradients; the canary's are (0, -_LONG). A background on axis 0
    shows best a fault that lets one example displace another.
    """
    units = [(0, -_LONG), *background]
    masks = np.ones((2 * runs, plan.sgd().n), bool)
    masks[:, len(units) :] = False
    masks[runs:, 0] = False
    padded = units + [(0, 0.0)] * (plan.sgd().n - len(units))
    axes, sizes = zip(*padded, strict=True)
    scores = -trained(probe(axes, sizes), plan, masks, seed)[:, 0]
    return scores[:runs], scores[runs:]


def one_run(plan: Plan, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the canaries that were in and of those that were out of one training.

    All n units of the plan are canaries, on axes of their own, each in with probability 1/2.
    """
    n = plan.sgd().n
    member = np.random.default_rng(seed).random(n) < 0.5
    scores = trained(probe(tuple(range(n)), (_LONG,) * n), plan, member[None], seed)[0]
    return scores[member], scores[~member]


def measure(say: Callable[[str], None]) -> dict:
    """Every setting of SETTINGS, REPEATS times.

    Returns: {'rows': [...]}, for each setting and method the claim (eps, delta), `bounds` of all repeats
    and their median `bound`, the ceiling and the limit, `ratio` = bound / ceiling, `share` = bound / eps,
    `count` = R or m, the confidence, `above` = repeats whose bound exceeds the claim (5 % may), `refuted`
    = those where it does so at confidence 1 - ALARM (Bonferroni over all), and seconds of training.
    """
    rows = []
    for setting in SETTINGS:
        for row in _setting(*setting):
            rows.append(row)
            say(
                f"audit: {row['kind']}, q {row['sampling_rate']:g}, {row['steps']} steps, {row['method']}: bound "
                f"{row['bound']:.2f} of a possible {row['ceiling']:.2f}, claim {row['claim']:.2f}"
            )
    return {"rows": rows}


def _setting(kind: str, eps: float, q: float, steps: int) -> list[dict]:
    """The row of each method in one setting."""
    n = 4 if kind == "two worlds" else CANARIES
    plan = accounting.calibrate(lambda noise: Plan(DELTA, (DPSGD(n, q, steps, noise, n),)), eps)
    claim = audit.claim(plan)
    judge = audit.two_worlds if kind == "two worlds" else audit.one_run
    strict_confidence = 1 - ALARM / (2 * REPEATS * len(SETTINGS))  # two methods in each setting
    results, strict, seconds = [], [], 0.0
    for seed in range(REPEATS):
        start = time.perf_counter()
        scores = two_worlds(plan, RUNS, seed) if kind == "two worlds" else one_run(plan, seed)
        seconds += time.perf_counter() - start
        results.append(judge(*scores, claim))
        strict.append(judge(*scores, claim, strict_confidence))
    facts = {
        "kind": kind,
        "sampling_rate": q,
        "steps": steps,
        "count": RUNS if kind == "two worlds" else CANARIES,
        "noise_multiplier": plan.sgd().noise_multiplier,
        "claim": claim.eps,
        "delta": DELTA,
        "confidence": 0.95,
        "repeats": REPEATS,
        "seconds": seconds,
    }
    return [
        facts | {"method": method} | _summary(method, results, strict, claim.eps)
        for method in results[0]
    ]


def _summary(method: str, results: list[dict], strict: list[dict], eps: float) -> dict:
    bounds = [result[method]["bound"] for result in results]
    bound = float(np.median(bounds))
    ceiling = float(np.median([result[method]["ceiling"] for result in results]))
    return {
        "bound": bound,
        "bounds": bounds,
        "ceiling": ceiling,
        "limit": results[0][method]["limit"],
        "ratio": bound / ceiling if ceiling > 0 else None,
        "share": bound / eps,
        "above": sum(bound > eps for bound in bounds),
        "refuted": sum(result[method]["bound"] > eps for result in strict),
    }


def table(result: dict) -> str:
    """The rows of `measure` as markdown."""
    header = ["audit", "q", "steps", "runs or canaries", "method", "claimed eps"]
    header += ["bound (lowest to highest)", "ceiling", "bound / ceiling", "above the claim"]
    rows = [
        [
            r["kind"],
            f"{r['sampling_rate']:g}",
            f"{r['steps']}",
            f"{r['count']:,}",
            r["method"].replace("_", " "),
            f"{r['claim']:.2f}",
            f"{r['bound']:.2f} ({min(r['bounds']):.2f} to {max(r['bounds']):.2f})",
            f"{r['ceiling']:.2f}",
            "" if r["ratio"] is None else f"{r['ratio']:.0%}",
            f"{r['above']} of {r['repeats']}",
        ]
        for r in result["rows"]
    ]
    return words.grid(header, rows)
