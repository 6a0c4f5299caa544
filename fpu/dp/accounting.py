"""(eps, delta) of a plan, and the noise that a wanted eps needs."""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import math
import os
import pathlib
import tempfile
from collections.abc import Callable

import dp_accounting as dpa
from absl import logging
from dp_accounting import pld, rdp

from fpu.dp import plan as plans

# At this discretisation PLD costs below 1 % of eps at 60,000 steps; at 1e-3 it costs 7 %.
DISCRETIZATION = 1e-4
# Above this eps the grid of a privacy loss distribution grows out of memory and RDP is tight enough.
PLD_LIMIT = 50.0


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
      ValueError: eps is not positive, or no noise up to 1e6 reaches it.

    **Guarantees.** epsilon(result) <= eps by the accountant that `epsilon` itself would name.
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
    return make_plan(noise)


def _solve(make_plan, eps, accountant) -> float:
    """Bracket with RDP, which takes milliseconds, then finish with the accountant asked for."""
    first = make_plan(1.0)
    try:
        with _quiet():
            upper = dpa.calibrate_dp_mechanism(
                _rdp,
                lambda noise: untruncated(make_plan(noise)).event(),
                eps,
                first.delta,
                bracket_interval=dpa.ExplicitBracketInterval(1e-2, 1e6),
                tol=1e-3,
            )
            if accountant == "rdp":
                return upper
            # PLD needs 7 to 10 % less noise; the factors leave room on both sides.
            return dpa.calibrate_dp_mechanism(
                _pld,
                lambda noise: make_plan(noise).event(),
                eps,
                first.delta,
                bracket_interval=dpa.LowerEndpointAndGuess(0.7 * upper, 1.02 * upper),
                tol=1e-4 * upper,
            )
    except (dpa.mechanism_calibration.NoBracketIntervalFoundError, ValueError) as error:
        raise ValueError(
            f"no noise multiplier up to 1e6 gives eps = {eps:g} at delta = {first.delta:g}: "
            "ask for a larger eps or delta, or fewer steps"
        ) from error


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
