"""Audits of a run: does its own mechanism, on copies trained beside it, keep what its plan claims?

The members of the released model are fixed, so it cannot be audited itself. Its copies have the same model, plan and
recipe. Their secret keys are folded from the run's key, so a run that was killed repeats the same audit. They are never
released and cost the run no eps. What is reported about them is not private.

  one_run     one copy; each member of the run is in it with probability 1/2 (arXiv:2305.08846)
  two_worlds  R copies with a canary in place of one member, and R without either
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fpu import InputError, data, models, training
from fpu.pipeline import copies, draw, progress, settings, train
from fpu.pipeline.jobs import Job
from fpu.privacy import attacks, audit

ALARM = 1e-4  # probability that an honest run, or a sweep of them, is called refuted
CONFIDENCE = 0.95  # of a bound that is reported
NOTE = "of copies trained on private data beside the run; these numbers are not private"

Sides = Mapping[str, tuple[np.ndarray, np.ndarray]]  # {score: (inside, outside)}


def run(job: Job, key: jax.Array, public: jax.Array, siblings: int = 1) -> dict | None:
    """The record's `audit`; None where none was asked for.

    Args:
      job: of a trained model; job.options.audit says which audit.
      key: typed key, as secret as the data.
      public: the run's public key: scores of one image have the same draws from all copies.
      siblings: runs of the sweep that this one belongs to.

    Returns: {'kind', 'runs' or 'canaries', 'scores': {score: {method: row}}, 'refuted', 'alarm', 'note'}, or
    {'kind', 'reason', 'refuted': False} where there are too few members. A row holds the bound, the ceiling
    and the limit of privacy/audit.py, the claim (eps; 'inf' promises nothing), the confidence, and
    `refuted` and `refutable`: whether the bound at confidence 1 - alarm exceeds the claim, and whether that of
    an attacker who never errs would. alarm is ALARM over all tests of the run and its siblings. (At delta =
    1 / (10 n) and up to some 10,000 canaries the method one_run never refutes, as n delta is too large for it.
    Its Gaussian sibling does.)
    """
    kind, count = settings.audit(job.options)
    if kind not in ("one_run", "two_worlds"):
        return None
    progress.say(f"audit {kind}: on copies of the run")
    result: dict[str, Any] = {"kind": kind, "note": NOTE}
    try:
        if kind == "one_run":
            result["canaries"] = len(data.units(job.dataset, job.split.members)[1])
            sides = _one_run(job, key, public)
        else:
            result["runs"] = count
            sides = _two_worlds(job, key, public, count)
        return result | judge(getattr(audit, kind), sides, audit.claim(job.plan), siblings)
    except InputError as error:
        return result | {"reason": str(error), "refuted": False}


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
        f"REFUTED: this run claims eps = {claim:.4g}, and its audit shows eps >= {bound:.4g} ({score}, {method}; "
        f"95 % for this bound alone), above the claim at confidence 1 - {audited['alarm']:.1g}: the mechanism does "
        "not keep its guarantee. Release nothing of it"
    )


def judge(method: Callable, sides: Sides, claim: audit.Claim, siblings: int = 1) -> dict:
    """{'scores', 'alarm', 'refuted'} of `run`.

    Args:
      method: audit.one_run or audit.two_worlds.
      claim, siblings: as for `run`.
    """
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
            row["refutable"] = strict[way]["limit"] > claim.eps
            row["refuted"] = strict[way]["bound"] > claim.eps
    refuted = any(row["refuted"] for rows in scores.values() for row in rows.values())
    return {"scores": scores, "alarm": alarm, "refuted": refuted}


def _one_run(job: Job, key: jax.Array, public: jax.Array) -> Sides:
    """Scores of one copy: each member is in it by the toss of a coin of its own."""
    k_coins, k_train = jax.random.split(key)
    pool = train.pool(job.dataset, job.split.members)
    n = len(pool.sizes)
    coins = copies.generator(k_coins).random(n) < 0.5
    if not coins.any():  # so few members that no audit can tell anything
        raise InputError(f"none of the {n} members is in the copy")
    params = copies.train_masks(job, pool, coins[None], k_train, public)
    owner = np.empty(len(pool.labels), int)
    owner[np.asarray(pool.units)] = np.arange(n)[:, None]
    images, labels = np.asarray(pool.images), np.asarray(pool.labels)
    scores = draw.scores(job.trainer.model, next(copies.each(params)), public, images, labels)
    units = {name: attacks.means(values, owner, n) for name, values in scores.items()}
    return {name: (values[coins], values[~coins]) for name, values in units.items()}


def _two_worlds(job: Job, key: jax.Array, public: jax.Array, runs: int) -> Sides:
    """Scores of the canary by copies that were trained with it and by copies that were not."""
    image, label = canary(job.spec), np.zeros(1, np.int32)
    pool = _with_canary(train.pool(job.dataset, job.split.members), image, label)
    masks = np.ones((2 * runs, len(pool.sizes)), bool)
    masks[runs:, -1] = False
    params = copies.train_masks(job, pool, masks, key, public)
    model = job.trainer.model
    scores = [draw.scores(model, one, public, image, label) for one in copies.each(params)]
    values = {name: np.array([row[name][0] for row in scores]) for name in scores[0]}
    return {name: (v[:runs], v[runs:]) for name, v in values.items()}


def canary(spec: models.Spec) -> np.ndarray:
    """uint8 [1, H, W, C]: four by four squares, black and white; of the first class.

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
