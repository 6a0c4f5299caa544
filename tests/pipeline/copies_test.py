"""fpu/pipeline/copies.py: models beside a run see their own members only; LiRA finds those of an overfitted one."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_prior
from quick_run import TINY
from tiny import leaves, same

from fpu.baselines import gaussian
from fpu.data import Dataset, Split
from fpu.dp import accounting
from fpu.pipeline import copies, draw, generator, jobs, train
from fpu.pipeline.settings import Options
from fpu.privacy import attacks, targets
from fpu.training import warmup

pytestmark = pytest.mark.usefixtures("plain")
KEY = jax.random.key(11)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Few draws, of a prior that takes no time, and noise that nobody has solved for."""
    monkeypatch.setattr(accounting, "calibrate", lambda make_plan, eps: make_plan(3 / eps))
    monkeypatch.setattr(warmup, "DRAWS", 200)
    tiny_prior.install(monkeypatch)


@functools.cache
def job(**change):
    return jobs.prepare(Options(**({"model": "vae", "set": TINY, "n_per_class": 2} | change)))


RUNS = {
    "DP-SGD": {"noise_multiplier": 2.0, "steps": 2},
    "both": {"eps": 8.0, "draw_steps": 2, "warmup_share": 0.5, "steps": 2},
    "gaussian": {"model": "gaussian", "eps": 8.0, "set": ()},
    "prior": {"model": "prior", "eps": 8.0, "set": ()},
}


def pool_and_masks(of):
    """All members and as many others; three cells with the plan's n, or fewer, of them."""
    pool = train.pool(of.dataset, np.concatenate([of.split.members, of.split.nonmembers[:20]]))
    masks = np.zeros((3, 40), bool)
    masks[0, :20] = masks[1, 10:25] = masks[2, :20] = True
    return pool, masks


def test_models_of_one_public_key_begin_alike_and_have_secrets_of_their_own(monkeypatch):
    of = job(**RUNS["DP-SGD"])
    monkeypatch.setattr(copies, "_train_in_slices", lambda trainer, tasks, done: tasks)
    pool, masks = pool_and_masks(of)

    def kinds(keys):
        return len({tuple(jax.random.key_data(key).tolist()) for key in keys})

    for public, wanted in ((None, 3), (jax.random.key(0), 1)):
        tasks = copies.train_masks(of, pool, masks, KEY, public)
        assert kinds(task.sgd_key for task in tasks) == kinds(t.release_key for t in tasks) == 3
        assert kinds(task.public_key for task in tasks) == wanted


@pytest.mark.parametrize("kind", ["both", "gaussian", "prior"])
def test_a_model_depends_on_its_mask_and_its_place_alone(kind, capsys):
    of = job(**RUNS[kind])
    pool, masks = pool_and_masks(of)
    found = copies.train_masks(of, pool, masks, KEY)
    assert all(np.isfinite(x).all() for x in leaves(found))
    assert not same(found[0], found[2])  # the same members, other keys
    others = pool._replace(images=jnp.where(masks[1][:, None, None, None], pool.images, 255))
    again = copies.train_masks(of, others, masks[:2], KEY)
    assert same(again[1], found[1])  # however many there are, and whatever is not in it
    assert not same(again[0], found[0])
    if kind == "both":
        assert "models beside the run: 3 of 3, 0 s left" in capsys.readouterr().err


def test_the_constants_stay_those_of_the_run():
    of = job(**RUNS["gaussian"])
    pool, masks = pool_and_masks(of)
    (found,) = copies.train_masks(of, pool, masks[1:2], KEY)
    key = jax.random.split(jax.random.fold_in(KEY, 0), 3)[1]
    mine = train.pool(of.dataset, np.concatenate([of.split.members, of.split.nonmembers])[10:25])
    wanted = gaussian.fit(of.spec, mine, 20.0, of.plan.stages[0].noise_multiplier, key)
    assert same(found, wanted)
    one = train._cell(job(**RUNS["DP-SGD"]).task(KEY, KEY, KEY, pool, masks[1]))
    assert (float(one.clip), float(one.noise_std)) == (1.0, 2.0)


def test_masks_that_the_plan_does_not_cover_are_refused():
    of = job(**RUNS["gaussian"])
    pool, _ = pool_and_masks(of)
    for masks in (np.ones((1, 40), bool), np.zeros((2, 40), bool), np.ones((1, 20), bool)):
        with pytest.raises(ValueError, match="not of 1 to 20 of 40 units"):
            copies.train_masks(of, pool, masks, KEY)


# LiRA. One model, plan and program; what makes it private is in the cell.

OVERFITTED = {
    "eps": math.inf, "steps": 30, "n_per_class": 4, "sample_rate": 1.0,
    "set": ("model.size=tiny", "recipe.learning_rate=2e-2"),
}  # fmt: skip


def aucs(folder, count=6):
    """{attack: AUC} on a run's model, from 40 members and 40 others."""
    of, public = job(**OVERFITTED), jax.random.key(0)
    folder.mkdir()
    scores = generator.trained(of, folder, jax.random.key(5), public).scores
    index = np.concatenate([of.split.members, of.split.nonmembers[:40]])
    whom = targets.Targets(index, np.arange(80), 40, 40, "image")
    found = copies.attack(of, whom, scores, count, jax.random.key(6), public)
    found |= scores(of.dataset.images[index], of.dataset.labels[index])
    rng = np.random.default_rng(0)
    judged = {name: attacks.membership(x[:40], x[40:], rng) for name, x in found.items()}
    return {name: each["auc"]["value"] for name, each in judged.items()}


def test_lira_finds_members_of_an_overfitted_model_and_not_of_a_private_one(tmp_path, monkeypatch):
    found = aucs(tmp_path / "open")
    assert found["lira_loss"] > 0.1 + found["loss"] > 0.7
    honest = train._cell

    def private(task):
        return honest(task)._replace(clip=jnp.float32(1), noise_std=jnp.float32(50))

    monkeypatch.setattr(train, "_cell", private)
    found = aucs(tmp_path / "private")
    names = [name for name in found if name.startswith("lira_")]
    assert len(names) == len(found) / 2
    for name in names:  # six standard deviations of 40 against 40
        assert abs(found[name] - 0.5) < 0.25


def test_a_target_is_its_group_and_members_that_are_none_stay_in_every_shadow(monkeypatch):
    """Groups of two images: 0 to 9 are members; 0 to 5 and 10 to 15 are targets."""
    of = job(**RUNS["DP-SGD"])
    rng = np.random.default_rng(1)
    groups = rng.permutation(np.repeat(np.arange(20), 2)).astype(np.int32)
    images = rng.integers(0, 256, (40, 8, 8, 1), np.uint8)
    dataset = Dataset("d", images, groups % 2, np.zeros(40, np.int8), groups, ("a", "b"), "")
    split = Split(np.flatnonzero(groups < 10), *[np.arange(0)] * 3, {})
    of = of._replace(dataset=dataset, split=split)
    first = np.array([np.flatnonzero(groups == g)[0] for g in (*range(6), *range(10, 16))])
    seen = {}

    def train(job, pool, masks, key, public):
        own = groups[np.isin(groups, [*range(10), *range(10, 16)])][np.asarray(pool.units)]
        assert (own[:, 0] == own[:, 1]).all()
        seen.update(zip(own[:, 0].tolist(), masks.T, strict=True))
        assert (masks.sum(1) == 10).all()  # as many as the run
        return masks  # a model for each

    monkeypatch.setattr(copies, "train_masks", train)
    fake = iter(rng.normal(size=(5, 12)))
    monkeypatch.setattr(draw, "scores", lambda *_: {"s": next(fake)})
    whom = targets.Targets(first, np.arange(12), 6, 6, "group")
    found = copies.attack(of, whom, lambda *_: {"s": np.zeros(12)}, 4, KEY, KEY)
    assert (list(found), found["lira_s"].shape) == (["lira_s"], (12,))
    assert sorted(seen) == list(range(16))
    for group, inside in seen.items():
        assert inside.sum() == (4 if 6 <= group < 10 else 2)
