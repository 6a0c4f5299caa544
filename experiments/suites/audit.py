"""Audit of the engine: lower bounds on eps from whole trainings whose gradients are as bad as can be.

The model is a probe: the gradient of one image is sizes[label] along one axis of its parameters, in
opposite directions in two leaves, and far longer than the clip norm. So a canary moves every noised
sum that it enters by exactly the clip norm along a direction that the attacker knows. Trainings run
as vmapped cells of `training.fit`. The attacker sees the final state, of which Adam's first moment is
what she wants: with b1 next to 1 it is the sum of all noised gradients.
"""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fpu import models, training
from fpu.dp import accounting
from fpu.dp.plan import DPSGD, Plan
from fpu.privacy import audit

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


@functools.cache  # a new model would be compiled anew
def probe(axes: tuple[int, ...], sizes: tuple[float, ...]) -> models.Model:
    """The model whose gradient for label l is sizes[l] * (e, -e), e the unit vector of axis axes[l]."""
    axes, sizes = np.asarray(axes), np.asarray(sizes, np.float32)
    zeros = np.zeros(axes.max() + 1, np.float32)

    def init(key):
        del key
        return {"private": {"a": jnp.asarray(zeros), "b": jnp.asarray(zeros)}, "public": {}}

    def loss(private, public, example, step, key):
        del public, step, key
        axis = jnp.asarray(axes)[example.label]
        return jnp.asarray(sizes)[example.label] * (private["a"][axis] - private["b"][axis]), {}

    return models.Model(init, loss, None, None, None)


def trained(model, plan, masks, seed):
    """What each cell's noised gradients add up to along every axis: [cells, axes], one a unit.

    masks: bool [cells, units]; unit u is the only image of label u. All cells have keys of their own.
    """
    cells, units = masks.shape
    rows = jnp.arange(units, dtype=jnp.int32)
    pool = training.Pool(
        jnp.zeros((units, 1, 1, 1), jnp.uint8), rows, rows[:, None], jnp.ones_like(rows)
    )
    secret, public = (
        jax.random.split(key, cells) for key in jax.random.split(jax.random.key(seed))
    )
    std = CLIP * plan.sgd().noise_multiplier
    group = training.Cell(
        jnp.asarray(masks), jnp.full(cells, CLIP), jnp.full(cells, std), secret, public
    )
    recipe = training.Recipe(b1=_B1, microbatch=500)
    state = training.fit_all(model, plan, recipe, pool, group, slice_size=cells)
    moment = optax.tree.get(state.private_opt, "mu")
    return (np.asarray(moment["a"], np.float64) - np.asarray(moment["b"])) / (1 - _B1)


def two_worlds(plan, runs, seed, background=((1, _LONG),)):
    """Scores of `runs` trainings with a canary and of `runs` without it, both [runs].

    background: (axis, size) of the other members' gradients; the canary's are (0, -_LONG). Where a
    background lies on axis 0, a fault that lets one example push another aside shows best.
    """
    units = [(0, -_LONG), *background]
    masks = np.ones((2 * runs, plan.sgd().n), bool)
    masks[:, len(units) :] = False
    masks[runs:, 0] = False
    padded = units + [(0, 0.0)] * (plan.sgd().n - len(units))
    scores = -trained(probe(*zip(*padded, strict=True)), plan, masks, seed)[:, 0]
    return scores[:runs], scores[runs:]


def one_run(plan, seed):
    """Scores of the canaries that were in and of those that were out of one training.

    All n units of the plan are canaries, on axes of their own, each in with probability 1/2.
    """
    n = plan.sgd().n
    member = np.random.default_rng(seed).random(n) < 0.5
    scores = trained(probe(tuple(range(n)), (_LONG,) * n), plan, member[None], seed)[0]
    return scores[member], scores[~member]


def measure(say) -> dict:
    """Every setting of SETTINGS, REPEATS times.

    Args:
      say: called with one line per setting.

    Returns: {'rows': [...]}, for each setting and method the claim (eps, delta), `bounds` of all repeats
    and their median `bound`, the ceiling and the limit, `ratio` = bound / ceiling, `share` = bound / eps,
    `count` = R or m, the confidence, `above` = repeats whose bound exceeds the claim (5 % may), `refuted`
    = those where it does so at confidence 1 - ALARM (Bonferroni over all), and seconds of training.
    """
    rows, tests = [], 2 * REPEATS * len(SETTINGS)  # two methods each
    for kind, eps, q, steps in SETTINGS:
        n = 4 if kind == "two worlds" else CANARIES

        def make_plan(noise, n=n, q=q, steps=steps):
            return Plan(DELTA, (DPSGD(n, q, steps, noise, n),))

        plan = accounting.calibrate(make_plan, eps)
        claim = audit.claim(plan)
        judge, count = (
            (audit.two_worlds, RUNS) if kind == "two worlds" else (audit.one_run, CANARIES)
        )
        found, strict, seconds = [], [], 0.0
        for seed in range(REPEATS):
            start = time.perf_counter()
            scores = two_worlds(plan, RUNS, seed) if kind == "two worlds" else one_run(plan, seed)
            seconds += time.perf_counter() - start
            found.append(judge(*scores, claim))
            strict.append(judge(*scores, claim, 1 - ALARM / tests))
        setting = {"kind": kind, "sampling_rate": q, "steps": steps, "count": count}
        setting |= {"noise_multiplier": plan.sgd().noise_multiplier, "claim": claim.eps}
        setting |= {"delta": DELTA, "confidence": 0.95, "repeats": REPEATS, "seconds": seconds}
        for method in found[0]:
            rows.append(setting | {"method": method} | _summary(method, found, strict, claim.eps))
            last = rows[-1]
            say(
                f"audit: {kind}, q {q:g}, {steps} steps, {method}: bound {last['bound']:.2f} of a "
                f"possible {last['ceiling']:.2f}, claim {claim.eps:.2f}"
            )
    return {"rows": rows}


def _summary(method, found, strict, eps):
    bounds = [row[method]["bound"] for row in found]
    bound = float(np.median(bounds))
    ceiling = float(np.median([row[method]["ceiling"] for row in found]))
    return {
        "bound": bound,
        "bounds": bounds,
        "ceiling": ceiling,
        "limit": found[0][method]["limit"],
        "ratio": bound / ceiling if ceiling > 0 else None,
        "share": bound / eps,
        "above": sum(bound > eps for bound in bounds),
        "refuted": sum(row[method]["bound"] > eps for row in strict),
    }


def table(result) -> str:
    """The rows of `measure` as markdown."""
    columns = (
        "audit", "q", "steps", "runs or canaries", "method", "claimed eps", "bound (lowest to highest)",
        "ceiling", "bound / ceiling", "above the claim",
    )  # fmt: skip
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for r in result["rows"]:
        ratio = "" if r["ratio"] is None else f"{r['ratio']:.0%}"
        spread = f"{min(r['bounds']):.2f} to {max(r['bounds']):.2f}"
        lines.append(
            f"| {r['kind']} | {r['sampling_rate']:g} | {r['steps']} | {r['count']:,} "
            f"| {r['method'].replace('_', ' ')} | {r['claim']:.2f} "
            f"| {r['bound']:.2f} ({spread}) | {r['ceiling']:.2f} | {ratio} "
            f"| {r['above']} of {r['repeats']} |"
        )
    return "\n".join(lines)
