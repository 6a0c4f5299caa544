"""The example in README.md, "As a library", runs as it stands and says what dp-accounting says."""

import os
import pathlib
import re

import dp_accounting as dpa
import pytest
from dp_accounting import pld

from fpu.dp.plan import longest_move

README = pathlib.Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def ran():
    """(names the block leaves behind, what it printed)."""
    section = README.read_text(encoding="utf-8").split("\n## As a library\n")[1].split("\n## ")[0]
    (block,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    printed, names = [], {"print": lambda *words: printed.append(" ".join(map(str, words)))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "urandom", lambda count: bytes(range(count)))  # a test must repeat
        exec(compile(block, "README.md", "exec"), names)
    return names, printed, block


def test_it_learns(ran):
    names, printed, _ = ran
    accuracy = (names["guesses"] == names["labels"][names["test"]]).mean()
    assert accuracy > 0.85  # guessing: 0.1
    assert printed[1].startswith(f"accuracy on the test set: {accuracy:.3f}"[:-1])


def test_the_statement_is_what_dp_accounting_says_of_its_own_words(ran):
    (statement, *_), names = ran[1], ran[0]
    number = r"([0-9][0-9.,e-]*)"
    found = re.search(
        rf"is \({number}, {number}\)-diff.*: {number} steps .* at rate {number} of n = {number} "
        rf"\(at most {number} kept.* noise multiplier {number}\.",
        statement,
    )
    eps, delta, steps, rate, n, kept, noise = (float(x.replace(",", "")) for x in found.groups())
    assert (delta, steps, n) == (1e-5, 200, names["train"].sum())
    assert (rate, noise) == pytest.approx((256 / n, names["plan"].sgd().noise_multiplier), rel=1e-5)
    noise /= longest_move(int(kept))
    step = dpa.TruncatedSubsampledGaussianDpEvent(int(n), rate, int(kept), noise)
    direct = pld.PLDAccountant().compose(step, int(steps)).get_epsilon(delta)
    assert eps == pytest.approx(direct, rel=1e-4)
    assert 7.9 < eps <= 8.0


def test_the_private_part_is_about_fifteen_lines(ran):
    private = ran[2].split("plan = ")[1].split("\nguesses")[0]
    assert len([line for line in private.splitlines() if line.strip()]) <= 15
