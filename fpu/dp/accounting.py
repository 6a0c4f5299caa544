"""(eps, delta) of a plan, and the noise that a wanted eps needs."""

import contextlib
import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import math
import os
import pathlib
import tempfile
from collections.abc import Callable

from absl import logging
from dp_accounting import pld, rdp
from scipy import optimize

from fpu.dp import plan as plans

# At this discretisation PLD costs below 1 % of eps at 60,000 steps; at 1e-3 it costs 7 %.
DISCRETIZATION = 1e-4
# Above this eps the grid of a privacy loss distribution grows out of memory and RDP is tight enough.
PLD_LIMIT = 50.0
LEAST_NOISE, MOST_NOISE = 1e-2, 1e6  # among which a noise multiplier is sought


def _rdp():
    return rdp.RdpAccountant()


def _pld():
    return pld.PLDAccountant(value_discretization_interval=DISCRETIZATION)


ACCOUNTANTS = {"rdp": _rdp, "pld": _pld}


def epsilon(plan: plans.Plan) -> tuple[float, str]:
    """eps of a plan at its delta, and the accountant that vouches for it.

    Raises:
      ValueError: the plan truncates samples and its eps is beyond what PLD can hold (see `settle`).

    **Guarantees.** An upper bound when one unit is added, removed or zeroed out. PLD (arXiv:2106.02848)
    with pessimistic rounding; Renyi DP above eps = 50 for plans that truncate no sample. inf for a
    plan without noise.
    """
    if not plan.private:
        return math.inf, "none"
    bound = _epsilon(untruncated(plan), "rdp")
    truncates = untruncated(plan) != plan
    if bound > PLD_LIMIT and not truncates:
        return bound, "rdp"
    if bound > 2 * PLD_LIMIT:
        raise ValueError(
            f"eps is above {PLD_LIMIT:g}: set capacity = n, so that no sample is truncated"
        )
    return _cached({"plan": dataclasses.asdict(plan)}, lambda: _epsilon(plan, "pld")), "pld"


def settle(plan: plans.Plan) -> plans.Plan:
    """The same plan, run untruncated (capacity = n) where its eps is beyond what PLD can hold."""
    if plan.private and _epsilon(untruncated(plan), "rdp") > PLD_LIMIT:
        return untruncated(plan)
    return plan


def calibrate(make_plan: Callable[[float], plans.Plan], eps: float) -> plans.Plan:
    """The plan of the family `make_plan(noise)` with the least noise whose eps is at most the one asked.

    Args:
      make_plan: noise multiplier to Plan, eps decreasing in it.
      eps: wanted eps > 0; inf gives make_plan(0). Above 50 the plan is run untruncated (Renyi DP).

    Raises:
      ValueError: eps is not positive, or no noise from LEAST_NOISE to MOST_NOISE reaches it.

    **Guarantees.** epsilon(result) <= eps by the accountant that `epsilon` itself would name, and
    above 0.995 eps but for plans that truncate no sample just below eps = 50.
    """
    if not eps > 0:
        raise ValueError(f"eps must be positive, not {eps:g}")
    if math.isinf(eps):
        return make_plan(0.0)
    if eps > PLD_LIMIT:
        return untruncated(make_plan(_solve(make_plan, eps, "rdp")))
    noise = _cached(
        {"plan": dataclasses.asdict(make_plan(1.0)), "eps": eps},
        lambda: _solve(make_plan, eps, "pld"),
    )
    plan = make_plan(noise)
    if epsilon(plan)[1] == "pld":
        return plan
    # `epsilon` would fall back to Renyi DP and name more than was asked: the least noise where it does not.
    return make_plan(_solve(make_plan, PLD_LIMIT, "rdp"))


def _solve(make_plan, eps, accountant) -> float:
    """The least noise, first by RDP, which takes milliseconds, then near it by the accountant asked for."""

    def rdp_gap(noise):
        return _epsilon(untruncated(make_plan(noise)), "rdp") - eps

    def pld_gap(noise):
        return _epsilon(make_plan(noise), "pld") - eps

    bound = _root(rdp_gap, 1.0, 4.0)
    if bound is not None and accountant == "pld":
        bound = _root(pld_gap, 0.7 * bound, 1.02 * bound)  # PLD needs 7 to 10 % less noise
    if bound is None:
        raise ValueError(
            f"no noise multiplier from {LEAST_NOISE:g} to {MOST_NOISE:g} gives eps = {eps:g} at delta = "
            f"{make_plan(1.0).delta:g}: ask for a larger eps or delta, or fewer steps; or for eps = inf, "
            "if that is what you mean"
        )
    return bound


def _root(gap, lower, upper) -> float | None:
    """Where a falling function reaches 0, on the side where it is at most 0; None beyond the limits."""
    gap = functools.cache(gap)
    while gap(upper) > 0:
        lower, upper = upper, 2 * upper
        if upper > MOST_NOISE:
            return None
    while gap(lower) <= 0:
        lower, upper = lower / 2, lower
        if lower < LEAST_NOISE:
            return None
    root = optimize.brentq(gap, lower, upper, xtol=1e-4 * lower)
    while gap(root) > 0:
        root += 1e-4 * lower
    return root


def _epsilon(plan: plans.Plan, accountant: str) -> float:
    with _quiet():
        return float(ACCOUNTANTS[accountant]().compose(plan.event()).get_epsilon(plan.delta))


def untruncated(plan: plans.Plan) -> plans.Plan:
    """The same plan with room for every unit: what Renyi accounting can handle."""
    stages = tuple(
        dataclasses.replace(stage, capacity=stage.n) if isinstance(stage, plans.DPSGD) else stage
        for stage in plan.stages
    )
    return dataclasses.replace(plan, stages=stages)


@contextlib.contextmanager
def _quiet():
    """dp-accounting warns of every Renyi order it leaves out, which only loosens the bound."""
    level = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(level)


def _cached(question: dict, solve: Callable[[], float]) -> float:
    """A number kept on disk under the hash of its question and of dp-accounting's version."""
    question = question | {
        "version": importlib.metadata.version("dp-accounting"),
        "grid": DISCRETIZATION,
    }
    text = json.dumps(question, sort_keys=True)
    cache = (
        pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        / "fpu"
        / "accounting"
    )
    path = cache / f"{hashlib.sha256(text.encode()).hexdigest()}.json"
    try:
        known = json.loads(path.read_text())
        if known["question"] == text:
            return float(known["answer"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    answer = solve()
    with contextlib.suppress(OSError):  # a read-only home costs time, nothing else
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=cache, delete=False) as file:
            json.dump({"question": text, "answer": answer}, file)
        os.replace(file.name, path)
    return answer
