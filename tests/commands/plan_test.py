"""fpu plan: what to expect, on one screen, from public numbers alone."""

import re

import numpy as np
import pytest

from fpu import InputError, data
from fpu.commands import plan
from fpu.pipeline import planning


def test_one_screen_without_the_data():
    screen, look = plan.plan([1.0, 3.0, 10.0], n=500, classes=10, side=28)
    assert len(screen) <= 40
    assert max(map(len, screen)) <= 105
    text = "\n".join(screen)
    for words in ("500 images of 10 classes", "eps = 1:", "eps = 10:", "73 %"):
        assert words in text
    assert re.search(r"mnist, accuracy +\d+(±\d+)? \w+ \(\d+\), n=1000 ", text)
    assert screen[-1].startswith("  fpu run --model=prior --prior=scans --eps=1 ")
    assert look == []


def test_the_look_at_the_data_is_not_in_the_plan(tmp_path):
    path, rng = tmp_path / "scans.npz", np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 8, 8, 1), np.uint8)
    images[1:10] = images[0]  # copies: for their holder alone
    data.save_npz(path, images, np.arange(40) % 2, 2)
    screen, look = plan.plan([3.0], dataset=str(path))
    assert any("more than once among the members" in line for line in look)
    assert not any("more than once" in line for line in screen)
    assert "images of 2 classes, 8x8 grey" in screen[0]
    assert f"--eps=3 --dataset={path}" in screen[-1]


def test_hopeless_budgets_are_said_to_be():
    text = "\n".join(plan.plan([0.01], n=20, classes=10)[0])
    assert "nothing can be learned at this budget" in text
    assert "fpu run --model" not in text


def test_many_members_need_no_prior():
    text = planning.lines(planning.Facts(60_000, 10, 28), [1.0])
    assert text[-1].startswith("  fpu run --model=gaussian ")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "name the data"),
        ({"n": 5, "dataset": "digits"}, "name the data"),
        ({"n": 5}, "--classes"),
        ({"n": 5, "classes": 9}, "an image of each"),
        ({"n": 50, "classes": 2, "delta": 0.5}, "--delta=0.5"),
    ],
)
def test_bad_input_names_the_flag(given, words):
    with pytest.raises(InputError, match=words):
        plan.plan([1.0], **given)


@pytest.mark.parametrize("text", ["0", "1,x", "inf", "nan", "1,2,3,4,5,6"])
def test_budgets_are_a_few_numbers(text):
    assert plan.budgets(["3", "1", "1"]) == [1, 3]
    with pytest.raises(InputError, match=f"--eps={text}"):
        plan.budgets(text.split(","))
