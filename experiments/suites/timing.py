"""How suites time: contestants take turns, so that whatever else the machine does falls on all of them."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np


def turns(contestants: Mapping[Any, Callable[[], Any]], rounds: int) -> dict[Any, list[float]]:
    """{name: seconds of its call in each round}. All are compiled."""
    seconds = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, act in contestants.items():
            start = time.perf_counter()
            jax.block_until_ready(act())
            seconds[name].append(time.perf_counter() - start)
    return seconds


def spread(three: Sequence[float]) -> str:
    """What `ratio` returns, in words: median [quartiles]."""
    return "{:.2f} [{:.2f}, {:.2f}]".format(*three)


def ratio(one: Sequence[float], other: Sequence[float]) -> list[float]:
    """Median and quartiles over rounds of one contestant's time over another's."""
    ratios = np.asarray(one) / np.asarray(other)
    return [round(float(x), 3) for x in np.quantile(ratios, (0.5, 0.25, 0.75))]
