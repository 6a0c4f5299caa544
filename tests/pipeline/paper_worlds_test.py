"""fpu/pipeline/paper_worlds.py."""

import dataclasses
import functools

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


def test_end_to_end_with_a_tiny_model(monkeypatch, capsys):
    monkeypatch.setattr(paper_epsilon, "PER_CLASS", 12)
    monkeypatch.setattr(paper_worlds, "SAMPLES", 2)
    monkeypatch.setattr(draw, "CHUNK", 20)
    set_ = tuple(f"model.{x}" for x in ("width=8", "depth=1", "latent=4"))
    mine = job(more=set_, n_per_class=2)
    out = paper_worlds.judge(mine, jax.random.key(0))
    assert mine.plan.sgd().n == 20
    assert (out["trainings"], out["queries"]) == (20, 10)
    assert (out["k"], out["neighbours"], out["dimension"]) == (20, 15, 2)
    assert (out["embedded"], out["embedded_per_class"]["3"]) == (5 * 120, 12)
    assert sorted(out["per_class"]) == [str(c) for c in range(10)]
    overall = out["overall"]
    assert overall["as_coded"]["low"] < overall["as_coded"]["value"] < overall["as_coded"]["high"]
    assert overall["with_dimension"]["value"] == 2 * overall["as_coded"]["value"]
    assert out["unchanged"]["as_coded"]["n"] == 10 * 18
    assert "not a bound" in out["note"].lower()
    assert "20 trainings" in capsys.readouterr().err


def handing_out(monkeypatch, plane, sample):
    """judge() where sample(members' images and labels, their mask, labels, rng) -> images is the model of a world."""

    def trained(job, pool, masks, key):
        members = np.asarray(pool.images), np.asarray(pool.labels)
        return [functools.partial(sample, *members, mask) for mask in masks]

    def drawn(job, models, key):
        labels = np.repeat(np.arange(job.dataset.n_classes), paper_worlds.SAMPLES)
        return (model(labels, np.random.default_rng(i)) for i, model in enumerate(models))

    monkeypatch.setattr(paper_epsilon, "embedding", lambda images, labels: plane)
    monkeypatch.setattr(copies, "train_masks", trained)
    monkeypatch.setattr(train, "finite", lambda params: True)
    monkeypatch.setattr(paper_worlds, "_drawn", drawn)
    return paper_worlds.judge(job("gaussian"), jax.random.key(0), queries=2)


def smeared(images, rng):
    return np.clip(images + rng.normal(0, 30, images.shape), 0, 255).astype(np.uint8)


def test_worlds_that_ignore_their_members_give_nothing(monkeypatch, plane):
    def sample(images, classes, mask, labels, rng):
        return smeared(images[rng.integers(0, 100, len(labels))], rng)

    out = handing_out(monkeypatch, plane, sample)
    overall = out["overall"]["as_coded"]
    assert overall["low"] < 0 < overall["high"]
    assert abs(overall["value"]) < 0.1
    same = out["unchanged"]["as_coded"]
    assert same["low"] < overall["value"] < same["high"]
    assert (out["trainings"], out["queries"]) == (10 + 20, 20)


def test_worlds_that_draw_around_their_members_give_the_query_away(monkeypatch, plane):
    def sample(images, classes, mask, labels, rng):
        own = [mask & (classes == label) for label in labels]
        rows = [rng.choice(np.flatnonzero(some if some.any() else mask)) for some in own]
        return smeared(images[rows], rng)

    out = handing_out(monkeypatch, plane, sample)
    assert out["overall"]["as_coded"]["low"] > 0
    assert out["overall"]["as_coded"]["value"] > out["unchanged"]["as_coded"]["value"] + 0.05


@pytest.mark.parametrize("reason", ["not trained", "group", "one class", "distinct"])
def test_what_has_no_worlds_is_missing_with_a_reason(reason):
    base = job("gaussian")
    dataset, split = base.dataset, base.split
    if reason == "not trained":
        base = base._replace(options=dataclasses.replace(base.options, model="copycat"))
    if reason == "group":
        dataset = dataclasses.replace(dataset, groups=np.arange(len(dataset.labels)))
    if reason == "one class":
        mine = split.members[dataset.labels[split.members] == 0]
        split = dataclasses.replace(split, members=mine)
    if reason == "distinct":
        dataset = dataclasses.replace(dataset, images=np.zeros_like(dataset.images))
    base = base._replace(dataset=dataset, split=split)
    out = paper_worlds.judge(base, jax.random.key(0))
    assert out["value"] is None
    assert reason in out["reason"]


def test_a_diverged_world_is_told(monkeypatch, plane):
    monkeypatch.setattr(paper_epsilon, "embedding", lambda images, labels: plane)
    broken = np.zeros((20, 3))
    broken[4] = np.nan
    monkeypatch.setattr(copies, "train_masks", lambda *_: broken)
    out = paper_worlds.judge(job("gaussian"), jax.random.key(0))
    assert "1 of 20 trainings diverged" in out["reason"]
