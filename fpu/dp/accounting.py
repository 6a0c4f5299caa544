"""(eps, delta) of a plan, and the noise that a wanted eps needs.

A plan, here, is anything with `delta`, `private`, `event()` and `untruncated()`, such as plan.Plan.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import math
import os
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import dp_accounting as dpa
from absl import logging
from dp_accounting import pld, rdp
from scipy import optimize

# At this discretisation PLD costs below 1 % of eps at 60,000 steps; at 1e-3 it costs 7 %.
DISCRETIZATION = 1e-4
# Above this eps the grid of a privacy loss distribution grows out of memory and RDP is tight enough.
PLD_LIMIT = 50.0
LEAST_NOISE, MOST_NOISE = 1e-2, 1e6  # among which a noise multiplier is sought


def epsilon(plan) -> tuple[float, str]:
    """eps of a plan at its delta, and the accountant that vouches for it.

    Raises:
      ValueError: the plan truncates samples and its eps is beyond what PLD can hold (see `settle`).

    **Guarantees.** An upper bound when one unit is added, removed or zeroed out. PLD (arXiv:2106.02848)
    with pessimistic rounding; Renyi DP above eps = 50 for plans that truncate no sample. inf for a
    plan without noise.
    """
    if not plan.private:
        return math.inf, "none"
    bound = _epsilon(plan.untruncated(), "rdp")
    truncates = plan.untruncated() != plan
    if bound > PLD_LIMIT and not truncates:
        return bound, "rdp"
    if bound > 2 * PLD_LIMIT:
        raise ValueError(
            f"eps is above {PLD_LIMIT:g}: set capacity = n, so that no sample is truncated"
        )
    return spent(plan.event(), plan.delta, "pld"), "pld"


def settle(plan):
    """The same plan, run untruncated (capacity = n) where its eps is beyond what PLD can hold."""
    if plan.private and _epsilon(plan.untruncated(), "rdp") > PLD_LIMIT:
        return plan.untruncated()
    return plan


def calibrate(make_plan: Callable[[float], Any], eps: float):
    """The plan of the family `make_plan(noise)` with the least noise whose eps is at most the one asked.

    Args:
      make_plan: noise multiplier to plan, eps decreasing in it.
      eps: wanted eps > 0; inf gives make_plan(0). Above 50 the plan is run untruncated (Renyi DP).

    Raises:
      ValueError: eps is not positive, or no noise from LEAST_NOISE to MOST_NOISE reaches it; says
        what the nearest eps is that can be reached.

    **Guarantees.** epsilon(result) <= eps by the accountant that `epsilon` itself would name, and
    above 0.995 eps but for plans that truncate no sample just below eps = 50.
    """
    if not eps > 0:
        raise ValueError(f"eps must be positive, not {eps:g}")
    if math.isinf(eps):
        return make_plan(0.0)
    if eps > PLD_LIMIT:
        return make_plan(_solve(make_plan, eps, "rdp")).untruncated()
    question = {"event": repr(make_plan(1.0).event()), "delta": make_plan(1.0).delta}
    question |= {"eps": eps, "grid": DISCRETIZATION}
    noise = _cached(question, lambda: _solve(make_plan, eps, "pld"))
    plan = make_plan(noise)
    if epsilon(plan)[1] == "pld":
        return plan
    # `epsilon` would fall back to Renyi DP and name more than was asked: the least noise where it does not.
    return make_plan(_solve(make_plan, PLD_LIMIT, "rdp"))


def _solve(make_plan, eps, accountant) -> float:
    """The least noise, first by RDP, which takes milliseconds, then near it by the accountant asked for."""

    def rdp_gap(noise):
        return _epsilon(make_plan(noise).untruncated(), "rdp") - eps

    def pld_gap(noise):
        return _epsilon(make_plan(noise), "pld") - eps

    bound = _root(rdp_gap, 1.0, 4.0)
    if bound is not None and accountant == "pld":
        bound = _root(pld_gap, 0.7 * bound, 1.02 * bound)  # PLD needs 7 to 10 % less noise
    if bound is None:
        least, most = reach(make_plan)
        nearest = (
            f"the smallest is eps = {_rounded(least, math.ceil)}, with noise multiplier {MOST_NOISE:g}: ask for that "
            "or more, a larger delta or fewer steps"
            if eps < least
            else f"the largest is eps = {_rounded(most, math.floor)}, with noise multiplier {LEAST_NOISE:g}: ask "
            "for that or less, or for eps = inf, if no privacy is meant"
        )
        raise ValueError(
            f"eps = {eps:g} cannot be reached at delta = {make_plan(1.0).delta:g}: {nearest}"
        )
    return bound


def reach(make_plan: Callable[[float], Any]) -> tuple[float, float]:
    """The smallest and the largest eps that `calibrate` can reach, up to the slack of Renyi DP."""
    least, most = (
        _epsilon(make_plan(noise).untruncated(), "rdp") for noise in (MOST_NOISE, LEAST_NOISE)
    )
    return least, most


def _rounded(eps: float, towards: Callable[[float], int]) -> str:
    """To three digits, on the side that can be reached."""
    digit = 10.0 ** (math.floor(math.log10(eps)) - 2) if eps > 0 else 1.0
    return f"{towards(eps / digit) * digit:.3g}"


def _root(gap, lower, upper) -> float | None:
    """Where a falling function reaches 0, on the side where it is at most 0; None beyond the limits."""
    gap = functools.cache(gap)
    while gap(upper) > 0:
        if upper >= MOST_NOISE:
            return None
        lower, upper = upper, min(2 * upper, MOST_NOISE)
    while gap(lower) <= 0:
        if lower <= LEAST_NOISE:
            return None
        lower, upper = max(lower / 2, LEAST_NOISE), lower
    root = optimize.brentq(gap, lower, upper, xtol=1e-4 * lower)
    while gap(root) > 0:
        root += 1e-4 * lower
    return root


def _epsilon(plan, accountant: str) -> float:
    return _compose(plan.event(), plan.delta, accountant, DISCRETIZATION)


def spent(event: dpa.DpEvent, delta: float, accountant: str, grid: float = DISCRETIZATION) -> float:
    """eps of an event at delta by "pld" or "rdp"; PLD's answers are kept on disk.

    **Guarantees.** An upper bound for any `grid`, the spacing of PLD's privacy losses: they are rounded
    up. A coarser one is looser and quicker.
    """
    if accountant == "rdp":
        return _compose(event, delta, accountant, grid)
    question = {"event": repr(event), "delta": delta, "grid": grid}
    return _cached(question, lambda: _compose(event, delta, accountant, grid))


def _compose(event, delta, accountant, grid) -> float:
    with _quiet():
        if accountant == "rdp":
            made = rdp.RdpAccountant()
        else:
            made = pld.PLDAccountant(value_discretization_interval=grid)
        return float(made.compose(event).get_epsilon(delta))


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
