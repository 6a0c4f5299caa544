"""fpu/privacy/targets.py: whom attacks are tried on where images are repeated. (Groups: tests/evaluation_test.py.)"""

from types import SimpleNamespace

import numpy as np
import pytest

from fpu.privacy import targets


def scene(black=0.0):
    """160 random images, a share of them black, in three sets of one class."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (160, 8, 8, 1), np.uint8)
    images[rng.random(160) < black] = 0
    labels = np.zeros(160, np.int32)
    parts = np.split(np.arange(160), [60, 120])
    names = ("members", "nonmembers", "reference")
    dataset = SimpleNamespace(images=images, labels=labels, groups=None)
    return dataset, SimpleNamespace(**dict(zip(names, parts, strict=True)))


@pytest.mark.parametrize("black", [0.0, 0.7])
def test_the_others_are_the_nonmembers_unless_they_were_released(black):
    dataset, split = scene(black)
    for released, others in (("members", "nonmembers"), ("nonmembers", "reference")):
        images = dataset.images[getattr(split, released)]
        chosen = targets.choose(dataset, split, images, np.random.default_rng(0), 1000)
        assert chosen.n_others == len(getattr(split, others))
        assert np.isin(chosen.index[: chosen.n_members], split.members).all()
        assert np.isin(chosen.index[chosen.n_members :], getattr(split, others)).all()


def test_at_most_so_many_are_attacked_and_scores_go_by_unit():
    dataset, split = scene()
    images = dataset.images[split.members]
    chosen = targets.choose(dataset, split, images, np.random.default_rng(0), 25)
    assert (chosen.n_members, chosen.n_others, chosen.unit) == (25, 25, "image")
    known = np.isin(chosen.index, split.members).astype(float)
    judged = targets.judge(chosen, {"oracle": known}, np.random.default_rng(0))
    assert judged["oracle"]["auc"]["value"] == 1
