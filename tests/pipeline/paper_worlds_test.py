"""fpu/pipeline/paper_worlds.py."""

import dataclasses

import jax
import numpy as np
import pytest

from fpu.pipeline import copies, draw, jobs, paper_worlds, settings, train
from fpu.privacy import paper_epsilon

pytestmark = pytest.mark.usefixtures("plain")
LABELS = np.array([1, 0, 2, 0, 1, 2, 0])


def test_every_world_holds_exactly_the_members_it_should():
    all_ = paper_worlds.worlds(LABELS, 2)
    assert all_.classes.tolist() == [0, 1, 2]
    left = [np.flatnonzero(m).tolist() for m in all_.ablated]
    assert left == [[0, 2, 4, 5], [1, 2, 3, 5, 6], [0, 1, 3, 4, 6]]
    assert all_.query.tolist() == [1, 3, 0, 4, 2, 5]  # the first two of each class
    assert all_.of.tolist() == [0, 0, 1, 1, 2, 2]
    for mask, query, of in zip(all_.victim, all_.query, all_.of, strict=True):
        assert np.flatnonzero(mask != all_.ablated[of]).tolist() == [query]
        assert mask[query]


def test_the_papers_masks_hold_90_and_91_of_100():
    all_ = paper_worlds.worlds(np.arange(100) % 10, 1)
    assert all_.ablated.shape == all_.victim.shape == (10, 100)
    assert (set(all_.ablated.sum(1)), set(all_.victim.sum(1))) == ({90}, {91})
    assert all_.query.tolist() == list(range(10))


def test_a_class_with_fewer_members_than_queries_gives_all_and_one_without_none():
    all_ = paper_worlds.worlds([0, 0, 0, 2], 2)
    assert (all_.classes.tolist(), all_.query.tolist()) == ([0, 2], [0, 1, 3])
    assert not paper_worlds.worlds(LABELS, 0).victim.size


def job(model="vae", more=(), **choices):
    choices |= {"set": ("model.size=tiny", *more), "steps": 2, "noise_multiplier": 0.05}
    return jobs.prepare(settings.Options(model=model, preset="paper", **choices))


@pytest.fixture(scope="module")
def plane():
    """A plane that needs no Isomap: mean brightness of the two halves of an image."""

    def embed(images):
        halves = images.reshape(len(images), 2, -1).mean(2)
        return halves + 1e-6 * np.random.default_rng(0).normal(size=halves.shape)

    return paper_epsilon.Embedding(embed, {0: 7}, 35)


def test_end_to_end_with_a_tiny_model(monkeypatch):
    monkeypatch.setattr(paper_epsilon, "PER_CLASS", 12)
    monkeypatch.setattr(paper_worlds, "SAMPLES", 2)
    monkeypatch.setattr(draw, "CHUNK", 20)
    set_ = tuple(f"model.{x}" for x in ("width=8", "depth=1", "latent=4"))
    mine, lines = job(more=set_, n_per_class=2), []
    out = paper_worlds.judge(mine, jax.random.key(0), lines.append)
    assert mine.plan.sgd().n == 20
    assert (out["trainings"], out["queries"], out["runs"]) == (20, 10, 1)
    assert (out["k"], out["neighbours"], out["dimension"]) == (20, 15, 2)
    assert (out["embedded"], out["embedded_per_class"]["3"]) == (5 * 120, 12)
    assert sorted(out["per_class"]) == [str(c) for c in range(10)]
    overall = out["overall"]
    assert overall["as_coded"]["low"] < overall["as_coded"]["value"] < overall["as_coded"]["high"]
    assert overall["with_dimension"]["value"] == 2 * overall["as_coded"]["value"]
    assert out["unchanged"]["as_coded"]["n"] == 10 * 18
    assert "not a bound" in out["note"].lower()
    assert any("20 trainings" in line for line in lines)


def handing_out(monkeypatch, plane, fit):
    """judge() where fit(pool, masks) -> (world number, labels, rng) -> images stands in for training."""

    def drawn(job, sample, key):
        labels = np.repeat(np.arange(job.dataset.n_classes), paper_worlds.SAMPLES)
        return (sample(i, labels, np.random.default_rng(i)) for i in range(60))

    monkeypatch.setattr(paper_epsilon, "embedding", lambda images, labels: plane)
    monkeypatch.setattr(copies, "train_masks", lambda job, pool, masks, key: fit(pool, masks))
    monkeypatch.setattr(train, "each", lambda params: [])
    monkeypatch.setattr(paper_worlds, "_drawn", drawn)
    alone = job("gaussian"), jax.random.key(0), lambda line: None
    return paper_worlds.judge(*alone, queries=2, runs=2)


def smeared(images, rng):
    return np.clip(images + rng.normal(0, 30, images.shape), 0, 255).astype(np.uint8)


def test_worlds_that_ignore_their_members_give_nothing(monkeypatch, plane):
    def fit(pool, masks):
        images = np.asarray(pool.images)
        return lambda i, labels, rng: smeared(images[rng.integers(0, 100, len(labels))], rng)

    out = handing_out(monkeypatch, plane, fit)
    overall = out["overall"]["as_coded"]
    assert overall["low"] < 0 < overall["high"]
    assert abs(overall["value"]) < 0.1
    same = out["unchanged"]["as_coded"]
    assert same["low"] < overall["value"] < same["high"]
    assert (out["trainings"], out["queries"]) == (2 * (10 + 20), 20)
    assert out["spread_over_runs"]["as_coded"]["value"] < 0.1


def test_worlds_that_draw_around_their_members_give_the_query_away(monkeypatch, plane):
    def fit(pool, masks):
        images, labels_ = np.asarray(pool.images), np.asarray(pool.labels)

        def sample(i, labels, rng):
            own = [masks[i] & (labels_ == y) for y in labels]
            rows = [rng.choice(np.flatnonzero(mask if mask.any() else masks[i])) for mask in own]
            return smeared(images[rows], rng)

        return sample

    out = handing_out(monkeypatch, plane, fit)
    assert out["overall"]["as_coded"]["low"] > 0
    assert out["overall"]["as_coded"]["value"] > out["unchanged"]["as_coded"]["value"] + 0.05


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": "copycat"}, "not trained"),
        ({"groups": True}, "group"),
        ({"one_class": True}, "one class"),
        ({"constant": True}, "distinct"),
    ],
)
def test_what_has_no_worlds_is_missing_with_a_reason(change, reason):
    base = job("gaussian")
    dataset, split = base.dataset, base.split
    if "model" in change:
        base = base._replace(options=dataclasses.replace(base.options, model=change["model"]))
    if "groups" in change:
        dataset = dataclasses.replace(dataset, groups=np.arange(len(dataset.labels)))
    if "one_class" in change:
        mine = split.members[dataset.labels[split.members] == 0]
        split = dataclasses.replace(split, members=mine)
    if "constant" in change:
        dataset = dataclasses.replace(dataset, images=np.zeros_like(dataset.images))
    base = base._replace(dataset=dataset, split=split)
    out = paper_worlds.judge(base, jax.random.key(0), lambda line: None)
    assert out["value"] is None
    assert reason in out["reason"]


def test_a_diverged_world_is_told(monkeypatch, plane):
    monkeypatch.setattr(paper_epsilon, "embedding", lambda images, labels: plane)
    broken = np.zeros((20, 3))
    broken[4] = np.nan
    monkeypatch.setattr(copies, "train_masks", lambda *a: {"w": broken})
    out = paper_worlds.judge(job("gaussian"), jax.random.key(0), lambda line: None)
    assert "1 of 20 trainings diverged" in out["reason"]
