"""fpu/pipeline/folds.py: copies are made without a fold, where too few images are left to test on."""

import jax
import numpy as np
import pytest
import tiny_prior

from fpu import crossfit
from fpu.pipeline import copies, draw, folds, jobs
from fpu.pipeline.settings import Options
from fpu.priors import conditioning

LABELS = np.arange(20, dtype=np.int32) % 3


@pytest.fixture
def few(tmp_path):
    """A file of 120 images without a test part: 57 of a class, 60 of another and 3 of a third."""
    labels = np.repeat([0, 1, 2], [57, 60, 3])
    images = np.random.default_rng(0).integers(0, 256, (120, 8, 8), np.uint8)
    np.savez(tmp_path / "few.npz", train_images=images, train_labels=labels)
    return str(tmp_path / "few.npz")


def job(dataset, **flags):
    return jobs.prepare(Options(dataset=dataset, **({"model": "gaussian", "eps": 8.0} | flags)))


def test_they_are_made_by_default_only_where_few_images_are_left(few):
    assert len(job(few).split.test) < folds.FEW
    assert (folds.count(job(few)), folds.count(job(few, folds=0))) == (folds.DEFAULT, 0)
    assert folds.count(job("digits", n_per_class=3)) == 0
    assert folds.count(job("digits", n_per_class=3, folds=4)) == 4
    assert folds.count(job(few, model="copycat", eps=None)) == 0


def test_every_member_is_held_out_once_and_classes_of_three_are_kept(few, monkeypatch):
    of, seen = job(few), {}

    def train_masks(job, pool, masks, key, public):
        seen["masks"] = masks
        return [{"number": number} for number in range(len(masks))]

    def judge(members, made, labels, n_classes, **_):
        seen["members"], seen["copies"] = members, list(made)
        return {"folds": len(seen["copies"])}

    monkeypatch.setattr(copies, "train_masks", train_masks)
    monkeypatch.setattr(draw, "draw", lambda sample, *_: np.full(4, sample.args[-1]["number"]))
    monkeypatch.setattr(crossfit, "judge", judge)
    assert folds.judge(of, LABELS, jax.random.key(1), jax.random.key(0)) == {"folds": 5}
    members = seen["members"]
    assert len(members.images) == len(of.split.members) > 80
    assert np.bincount(members.labels)[2] <= 3
    np.testing.assert_array_equal((~seen["masks"]).sum(0), 1)
    for k, mask in enumerate(seen["masks"]):
        np.testing.assert_array_equal(mask, members.fold != k)
    assert len({copy.images.tobytes() for copy in seen["copies"]}) == 5


def test_images_of_a_copy_are_made_from_its_own_codes_as_the_released_ones_are(monkeypatch):
    tiny_prior.install(monkeypatch)
    of, drawn = job("digits", model="vae", n_per_class=3, folds=2), []
    made = [{"private": {}, "public": {}, "codes": number} for number in range(2)]
    monkeypatch.setattr(copies, "train_masks", lambda *_: made)
    monkeypatch.setattr(draw, "draw", lambda sample, *_: drawn.append(sample))
    monkeypatch.setattr(crossfit, "judge", lambda members, made, *_, **__: {"n": len(list(made))})
    assert folds.judge(of, LABELS, jax.random.key(1), jax.random.key(0)) == {"n": 2}
    assert [sample.func for sample in drawn] == [conditioning.sample] * 2
    assert [sample.args[0]["codes"] for sample in drawn] == [0, 1]
