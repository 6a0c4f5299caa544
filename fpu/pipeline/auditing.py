"""Audits of a run: does its own mechanism, on copies trained beside it, keep what its plan claims?

The members of the released model are fixed, so it cannot be audited itself. Its copies have the same model, plan and
recipe. Their secret keys are folded from the run's key, so a run that was killed repeats the same audit. They are never
released and cost the run no eps. What is reported about them is not private.

  one_run     one copy; each member of the run is in it with probability 1/2 (arXiv:2305.08846)
  two_worlds  R copies with a canary in place of one member, and R without either
  samples     the same copies, but seen through the synthetic images they draw alone (privacy/canary_scores.py): for
              releases whose generator is not published, and for one-shot releases

The verdict is one of three words. refuted: a bound at the confidence of the alarm is above the claim. held: none is,
and an attacker who never errs would have shown more than the claim. could not tell: even he would not.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fpu import InputError, data, models, training
from fpu.dp.plan import Plan
from fpu.dp.rounding import rounded_down, rounded_up
from fpu.pipeline import copies, draw, progress, settings, train
from fpu.pipeline.jobs import Job
from fpu.privacy import attacks, audit, canary_scores

ALARM = 1e-4  # probability that an honest run, or a sweep of them, is called refuted
CONFIDENCE = 0.95  # of a bound that is reported
KINDS = ("one_run", "two_worlds", "samples")
FAULTS = {"no noise": 0.0, "a third of the noise": 1 / 3, "half of the noise": 1 / 2}
REFUTED, HELD, UNTOLD = "refuted", "held", "could not tell"
# Copies in each world that a default is chosen from. (From 100 on the normal approximation of an area is good.)
SIZES = (100, 150, 200, 250, 300, 400, 500)
_TESTS = 8  # bounds that an audit is sized for
_SHOWN = 1000  # synthetic images of a copy that the audit of samples looks at, at most
NOTE = "of copies trained on private data beside the run; these numbers are not private"

Sides = Mapping[str, tuple[np.ndarray, np.ndarray]]  # {score: (inside, outside)}


def run(job: Job, key: jax.Array, public: jax.Array, siblings: int = 1) -> dict | None:
    """The record's `audit`; None where none was asked for.

    Args:
      key: typed key, as secret as the data.
      public: the run's public key: scores of one image have the same draws from all copies.
      siblings: runs of the sweep that this one belongs to.

    Returns: {'kind', 'runs' or 'canaries', 'scores': {score: {method: row}}, 'verdict', 'refuted', 'limit',
    'catches', 'alarm', 'note'}, or {'kind', 'reason', 'verdict', 'refuted': False} where there are too few members. A
    row holds the bound and the ceiling of privacy/audit.py at `confidence`, the bound `at_alarm` and the `limit` at
    confidence 1 - alarm, the claim (eps; 'inf' promises nothing), and `refuted` and `refutable`: whether these two
    are above the claim. limit is the highest of a row's. catches: {fault of FAULTS: whether an optimal attack on such
    a mechanism would have been called refuted}. alarm is ALARM over all tests of the run and its siblings. (At delta =
    1 / (10 n) and up to some 10,000 canaries the method one_run never refutes, as n delta is too large for it.
    Its Gaussian sibling does.)
    """
    kind, count = settings.audit(job.options)
    if kind not in KINDS:
        return None
    progress.say(f"audit {kind}: on copies of the run")
    result: dict[str, Any] = {"kind": kind, "note": NOTE}
    claim = audit.claim(job.plan)
    try:
        if kind == "one_run":
            result["canaries"] = size = len(data.units(job.dataset, job.split.members)[1])
            sides = _one_run(job, key, public)
        else:
            result["runs"] = size = count or copies_needed(job.plan, siblings)
            sides = _canary_worlds(job, key, public, size, kind)
        method = audit.one_run if kind == "one_run" else audit.two_worlds
        result |= judge(method, sides, claim, siblings)
        return result | {"catches": catches(kind, job.plan, size, result["alarm"])}
    except InputError as error:
        return result | {"reason": str(error), "verdict": UNTOLD, "refuted": False}


def copies_needed(plan: Plan, siblings: int = 1) -> int:
    """Copies in each world by which an audit of _TESTS bounds can refute a third of the noise; for eps up to 10."""
    alarm = ALARM / (_TESTS * siblings)
    if not plan.private:
        return SIZES[0]
    caught = (n for n in SIZES if catches("two_worlds", plan, n, alarm)["a third of the noise"])
    return next(caught, SIZES[2])


def catches(kind: str, plan: Plan, count: int, alarm: float) -> dict[str, bool]:
    """{fault: whether an audit of this size would on average refute a plan that ran with it}: by an optimal attack."""
    power = audit.one_run_power if kind == "one_run" else audit.two_worlds_power
    claim = audit.claim(plan)
    return {
        name: max(power(count, claim, _claim_with(plan, share), 1 - alarm).values()) > claim.eps
        for name, share in FAULTS.items()
    }


@functools.lru_cache(maxsize=16)
def _claim_with(plan: Plan, share: float) -> audit.Claim:
    """What a plan would claim with a share of its noise."""
    stages = [
        dataclasses.replace(stage, noise_multiplier=share * stage.noise_multiplier)
        for stage in plan.stages
    ]
    return audit.claim(dataclasses.replace(plan, stages=tuple(stages)))


def refutation(record: dict) -> str | None:
    """One line where the audit in a run's record refutes its claim, else None."""
    audited = record["privacy"].get("audit")
    if not (audited and audited["refuted"]):
        return None
    bound, score, method = max(
        (row["bound"], score, method)
        for score, rows in audited["scores"].items()
        for method, row in rows.items()
        if row["refuted"]
    )
    claim = record["privacy"]["eps"]
    return (
        f"REFUTED: this run claims eps = {rounded_up(claim, 4)}, and its audit shows eps >= {rounded_down(bound, 4)} "
        f"({score}, {method}; 95 % for this bound alone), above the claim at confidence 1 - {audited['alarm']:.1g}: "
        "the mechanism does not keep its guarantee. Release nothing of it"
    )


def judge(method: Callable, sides: Sides, claim: audit.Claim, siblings: int = 1) -> dict:
    """{'scores', 'alarm', 'limit', 'refuted', 'verdict'} of `run`. method: audit.one_run or audit.two_worlds."""
    # A copy that diverged has no score. The lowest score says that it is out, which costs power only.
    sides = {
        name: (np.where(np.isnan(a), -np.inf, a), np.where(np.isnan(b), -np.inf, b))
        for name, (a, b) in sides.items()
    }
    scores = {name: method(*pair, claim, CONFIDENCE) for name, pair in sides.items()}
    alarm = ALARM / (sum(map(len, scores.values())) * siblings)
    for name, pair in sides.items():
        strict = method(*pair, claim, 1 - alarm)
        for way, row in scores[name].items():
            row["claim"] = "inf" if math.isinf(claim.eps) else claim.eps
            row["confidence"] = CONFIDENCE
            row["at_alarm"], row["limit"] = strict[way]["bound"], strict[way]["limit"]
            row["refutable"] = row["limit"] > claim.eps
            row["refuted"] = row["at_alarm"] > claim.eps
    rows = [row for each in scores.values() for row in each.values()]
    refuted = any(row["refuted"] for row in rows)
    verdict = REFUTED if refuted else HELD if any(row["refutable"] for row in rows) else UNTOLD
    limit = max(row["limit"] for row in rows)
    return {
        "scores": scores,
        "alarm": alarm,
        "limit": limit,
        "refuted": refuted,
        "verdict": verdict,
    }


def _one_run(job: Job, key: jax.Array, public: jax.Array) -> Sides:
    """Scores of one copy: each member is in it by the toss of a coin of its own."""
    k_coins, k_train = jax.random.split(key)
    pool = train.pool(job.dataset, job.split.members)
    n = len(pool.sizes)
    coins = copies.generator(k_coins).random(n) < 0.5
    if not coins.any():  # so few members that no audit can tell anything
        raise InputError(f"none of the {n} members is in the copy")
    (params,) = copies.train_masks(job, pool, coins[None], k_train, public)
    owner, _ = data.unit_of(job.dataset, job.split.members)
    images, labels = np.asarray(pool.images), np.asarray(pool.labels)
    scores = job.scorer(params, public)(images, labels)
    units = {name: attacks.means(values, owner, n) for name, values in scores.items()}
    return {name: (values[coins], values[~coins]) for name, values in units.items()}


def _canary_worlds(job: Job, key: jax.Array, public: jax.Array, runs: int, kind: str) -> Sides:
    """Scores of the canary by copies that were trained with it and by copies that were not."""
    image, label = canary(job.spec), job.labels[:1]
    pool = _with_canary(train.pool(job.dataset, job.split.members), image, label)
    masks = np.ones((2 * runs, len(pool.sizes)), bool)
    masks[runs:, -1] = False
    made = copies.train_masks(job, pool, masks, key, public)
    score = _by_model if kind == "two_worlds" else _by_samples
    scores = [score(job, params, public, image, label) for params in made]
    values = {name: np.array([row[name] for row in scores]) for name in scores[0]}
    return {name: (v[:runs], v[runs:]) for name, v in values.items()}


def _by_model(job: Job, params, public, image, label) -> dict[str, float]:
    values = job.scorer(params, public)(image, label)
    return {name: float(value[0]) for name, value in values.items()}


def _by_samples(job: Job, params, public, image, label) -> dict[str, float]:
    """Of a synthetic set as the run releases it, or a part of it. A copy that draws no image says that it is out."""
    labels = job.labels
    labels = labels[np.linspace(0, len(labels) - 1, min(len(labels), _SHOWN)).astype(int)]
    try:
        images = job.draw(job.sampler(params), labels, public)
    except draw.Diverged:
        images = np.zeros((1, *job.spec.shape), np.uint8)
        nothing = canary_scores.scores(image, int(label[0]), images, label)
        return dict.fromkeys(nothing, -math.inf)
    return canary_scores.scores(image, int(label[0]), images, labels)


def canary(spec: models.Spec) -> np.ndarray:
    """uint8 [1, H, W, C]: four by four squares, black and white; of the first class drawn.

    Public, and like no real image, so that only the canary itself teaches a model to draw it. Every pixel is at
    an end of its range, which makes its gradients long, and its frequencies are low, so that the
    one-shot release of a warm-up sees it as well.
    """
    h, w, c = spec.shape
    squares = (4 * np.arange(h)[:, None] // h + 4 * np.arange(w)[None] // w) % 2
    return np.repeat((255 * squares).astype(np.uint8)[None, :, :, None], c, axis=3)


def _with_canary(pool: training.Pool, image: np.ndarray, label: np.ndarray) -> training.Pool:
    """The pool with the canary as its last unit. The images of the unit it replaces stay, unused."""
    row = len(pool.labels)
    return pool._replace(
        images=jnp.concatenate([pool.images, image]),
        labels=jnp.concatenate([pool.labels, label]),
        units=pool.units.at[-1].set(row),
        sizes=pool.sizes.at[-1].set(1),
    )
