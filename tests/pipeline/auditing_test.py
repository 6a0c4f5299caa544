"""fpu/pipeline/auditing.py: what refutes a claim, and a broken mechanism through the whole door."""

import functools
import json
import math
import types

import jax
import numpy as np
import pytest
import quick_run

from fpu import models
from fpu.baselines import BASELINES, real
from fpu.commands import run as command
from fpu.dp import accounting
from fpu.dp.plan import DPSGD, Plan
from fpu.pipeline import auditing, copies, generator, jobs, run, settings, sweep
from fpu.pipeline.settings import Options
from fpu.privacy import audit

pytestmark = [
    pytest.mark.filterwarnings("default::DeprecationWarning:jax_privacy"),
    pytest.mark.usefixtures("plain"),
]


@pytest.fixture(autouse=True, scope="module")
def _few_designs():
    """An audit chooses from 5 counts, not 20: a bound of one_run takes a tenth of a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit, "_RANKS", 5)
        yield
    audit._one_run_design.cache_clear()
    audit._two_world_design.cache_clear()


def sides(gap, n=60):
    rng = np.random.default_rng(0)
    return rng.normal(gap, 1, n), rng.normal(0, 1, n)


def claimed(noise, delta=1e-6):
    return audit.claim(Plan(delta, (DPSGD(4, 1.0, 1, noise, 4),)))


@pytest.mark.parametrize("method", [audit.one_run, audit.two_worlds])
def test_a_bound_above_the_claim_refutes_it_and_one_below_does_not(method):
    rows = {"weak": sides(0.0), "strong": sides(9.0)}
    broken = auditing.judge(method, rows, claimed(30.0))
    assert broken["refuted"]
    assert not any(row["refuted"] for row in broken["scores"]["weak"].values())
    for row in broken["scores"]["strong"].values():
        assert row["refuted"]
        assert row["refutable"]
        assert row["claim"] < 0.2 < 1 < row["at_alarm"] <= row["limit"]
        assert row["at_alarm"] < row["bound"]
        assert row["ceiling"] < row["claim"]
        assert row["confidence"] == 0.95
    assert broken["verdict"] == "refuted"
    held = auditing.judge(method, {"weak": rows["weak"]}, claimed(30.0))
    assert (held["verdict"], held["limit"] > 1) == ("held", True)
    honest = auditing.judge(method, rows, claimed(0.3))
    assert not honest["refuted"]
    assert honest["verdict"] == "could not tell"  # eps 24: not even a perfect attack shows it
    assert honest["limit"] < 24
    assert [row["refutable"] for row in honest["scores"]["strong"].values()] == [False, False]
    assert json.loads(json.dumps(broken)) == broken


def test_the_alarm_is_shared_by_all_tests_of_a_sweep(monkeypatch):
    asked = []

    def method(inside, outside, claim, confidence):
        asked.append(1 - confidence)
        return {name: {"bound": 0.0, "ceiling": 1.0, "limit": 2.0} for name in "xyz"}

    found = auditing.judge(method, {"a": sides(0.0), "b": sides(0.0)}, claimed(1.0), siblings=5)
    assert found["alarm"] == pytest.approx(1e-4 / 30)
    assert sorted(asked) == pytest.approx([1e-4 / 30] * 2 + [0.05] * 2)


@pytest.mark.parametrize("eps", [1.0, 3.0, 10.0])
@pytest.mark.parametrize("delta", [1e-5, 1e-3])
def test_the_default_size_can_refute_a_third_of_the_noise(eps, delta):
    """And does so, where the attack is the best one: 50 copies could not at eps = 10."""
    plan = accounting.calibrate(lambda noise: Plan(delta, (DPSGD(4, 1.0, 1, noise, 4),)), eps)
    count, mu = auditing.copies_needed(plan), 3 / plan.sgd().noise_multiplier
    assert 100 <= count <= 250
    rng, claim = np.random.default_rng(1), audit.claim(plan)
    broken = {"s": (rng.normal(mu, 1, count), rng.normal(0, 1, count))}
    found = auditing.judge(audit.two_worlds, broken, claim)
    assert found["verdict"] == "refuted"
    assert auditing.catches("two_worlds", plan, count, found["alarm"])["a third of the noise"]
    honest = {"s": (rng.normal(mu / 3, 1, count), rng.normal(0, 1, count))}
    assert auditing.judge(audit.two_worlds, honest, claim)["verdict"] == "held"
    assert not any(auditing.catches("two_worlds", plan, 10, 1e-5).values())


def test_what_would_have_been_caught_grows_with_the_fault_and_the_size():
    plan = Plan(1e-5, (DPSGD(4, 1.0, 1, 1.5, 4),))  # eps 2.7
    found = [auditing.catches("two_worlds", plan, size, 1e-5) for size in (20, 60, 500)]
    for caught in found:
        assert list(caught) == list(auditing.FAULTS)
        assert list(caught.values()) == sorted(caught.values(), reverse=True)
    assert not any(found[0].values())
    assert 0 < sum(found[1].values()) < 3
    assert all(found[2].values())
    one = audit.one_run_power(500, audit.claim(plan), audit.Claim(math.inf, 1e-5, ()), 1 - 1e-5)
    limits = audit.one_run(np.ones(250), np.zeros(250), audit.claim(plan), 1 - 1e-5)
    for method, bound in one.items():  # without noise the best attack never errs, on its average
        assert bound == pytest.approx(limits[method]["limit"])


def test_nothing_refutes_a_run_that_claims_nothing():
    found = auditing.judge(audit.one_run, {"s": sides(9.0)}, claimed(0.0))
    row = found["scores"]["s"]["one_run"]
    assert (found["refuted"], row["claim"]) == (False, "inf")
    assert row["bound"] > 1
    json.dumps(found, allow_nan=False)


def test_copies_that_diverged_prove_nothing():
    lost = np.full(60, np.nan)
    found = auditing.judge(audit.two_worlds, {"s": (lost, sides(0.0)[1])}, claimed(30.0))
    assert not found["refuted"]
    assert found["scores"]["s"]["gaussian"]["bound"] == 0


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 3), (9, 13, 1)])
def test_the_canary_is_black_and_white_in_squares(shape):
    image = auditing.canary(models.Spec(shape, 2))
    assert (image.shape, image.dtype) == ((1, *shape), np.uint8)
    assert set(np.unique(image)) == {0, 255}
    assert 0.4 < (image == 255).mean() < 0.6
    assert (image == image[..., :1]).all()


# Through the whole door, with the judges away. 3 steps of much noise claim eps < .1.


def flags(folder, **change):
    given = {
        "model": "vae", "set": (*quick_run.TINY, "recipe.learning_rate=1e-2"), "n_per_class": 10,
        "n_samples": 50, "noise_multiplier": 100.0, "steps": 3, "sample_rate": 1.0, "workdir": str(folder),
        "audit": "two_worlds:10",
    }  # fmt: skip
    return Options(**(given | change))


def ended(options, monkeypatch):
    """The exit code of experiments.run."""
    monkeypatch.setattr(settings, "from_flags", lambda: options)
    given = types.SimpleNamespace(process=None, dry_run=False)
    monkeypatch.setattr(command, "flags", types.SimpleNamespace(FLAGS=given))
    return command.main(["run"])


def test_a_refuted_run_keeps_its_record_and_ends_with_code_3(tmp_path, quick, monkeypatch, capsys):
    honest = tmp_path / "honest"
    assert ended(flags(honest), monkeypatch) == 0
    found = json.loads((honest / "record.json").read_text())
    assert found["privacy"]["eps"] < 0.5
    assert found["privacy"]["audit"]["refuted"] is False
    assert found["privacy"]["audit"]["runs"] == 10
    assert "not private" in found["privacy"]["audit"]["note"]
    assert found["cost"]["seconds"]["audit"] > 0
    assert "REFUTED" not in capsys.readouterr().err

    # Copies that give the canary away, as those of a mechanism without its noise do.
    monkeypatch.setattr(auditing, "_canary_worlds", lambda *_: {"elbo": sides(9.0, 20)})
    broken = tmp_path / "broken"
    assert ended(flags(broken), monkeypatch) == run.REFUTED == 3
    assert len([line for line in capsys.readouterr().err.splitlines() if "REFUTED" in line]) == 1
    found = json.loads((broken / "record.json").read_text())
    assert found["privacy"]["audit"]["refuted"] is True
    assert found["privacy"]["eps"] < 0.5
    assert (broken / "report.html").exists()
    assert (honest / "release").exists()
    assert not (broken / "release").exists()
    assert "REFUTED" in (broken / "release.refuted" / "PRIVACY.md").read_text()
    assert ended(flags(broken), monkeypatch) == 3  # finished, and still refuted

    monkeypatch.setattr(sweep, "name", lambda options: options.workdir.rpartition("/")[2])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").symlink_to(tmp_path)
    wanted = [flags(honest), flags(broken), flags("bad", model="nope")]
    failed, refuted = sweep.sweep(wanted, tmp_path / "out")
    assert (failed, [line.partition(":")[0] for line in refuted]) == (["bad"], ["broken"])


def test_one_run_tosses_a_coin_for_each_member_and_repeats_itself(tmp_path, calls_of):
    job = jobs.prepare(flags(tmp_path, audit="one_run"))
    trained = calls_of(copies, "train_masks")
    found = [auditing.run(job, jax.random.key(i), jax.random.key(0)) for i in (3, 3, 4)]
    seen = [masks for (_, _, masks, *_), _ in trained]
    assert found[0] == found[1]
    assert (seen[0] == seen[1]).all()
    assert (seen[0] != seen[2]).any()
    for mask in seen:
        assert mask.shape == (1, 100)
        assert 30 < mask.sum() < 70
    assert found[0]["canaries"] == 100
    for rows in found[0]["scores"].values():
        assert set(rows) == {"one_run", "one_run_gaussian"}


def test_too_few_members_leave_a_reason(monkeypatch):
    monkeypatch.setattr(auditing, "_one_run", lambda *_: {"elbo": (np.zeros(4), np.zeros(6))})
    job = jobs.prepare(flags("", audit="one_run"))
    found = auditing.run(job, jax.random.key(3), jax.random.key(0))
    assert found["refuted"] is False
    assert "10 scores" in found["reason"]
    assert auditing.refutation({"privacy": {"audit": found, "eps": 1.0}}) is None


def test_keys_of_models_beside_the_run_are_none_of_its_own():
    root = jax.random.key(8)
    own = jax.random.key_data(jax.random.split(root, 1000)).tolist()
    purposes = run.SHADOWS, run.AUDIT, run.WORLDS, run.CLASSIFIER, run.REPEATS, run.FOLDS
    words = [
        jax.random.key_data(jax.random.fold_in(root, purpose)).tolist()
        for purpose in (*purposes, generator.RIVAL)
    ]
    assert [words.count(word) for word in words] == [1] * 7
    assert not [word for word in words if word in own]


# The audit of samples alone, on a release of few images with a canary among them.


def released():
    """The audit of 22 copies with and 22 without the canary, of --model=gaussian on 20 images a class."""
    options = Options(model="gaussian", eps=1.0, n_per_class=20, n_samples=100, audit="samples:22")
    return auditing.run(jobs.prepare(options), jax.random.key(3), jax.random.key(0))


def copier(spec):
    """A release that claims an eps and keeps its images."""
    honest = BASELINES["merf"](spec)

    def fit(pool, denominator, noise_multiplier, key):
        first = pool.units[:, 0][-190:]
        return {"images": pool.images[first], "labels": pool.labels[first]}

    return honest._replace(fit=fit, sample=functools.partial(real.sample, spec))


def test_samples_alone_give_a_copying_release_away_and_an_honest_one_passes(monkeypatch):
    honest = released()
    assert set(honest["scores"]) == {"nearest", "mean", "classifier"}
    assert (honest["kind"], honest["runs"]) == ("samples", 22)
    assert not honest["refuted"]
    assert honest["verdict"] == "held"

    monkeypatch.setitem(BASELINES, "gaussian", copier)
    broken = released()
    assert broken["verdict"] == "refuted", broken
    best = broken["scores"]["nearest"]["gaussian"]
    assert best["at_alarm"] == best["limit"] > 1


def test_samples_of_a_trained_model_are_audited_too(tmp_path):
    job = jobs.prepare(flags(tmp_path, audit="samples:10"))
    found = auditing.run(job, jax.random.key(3), jax.random.key(0))
    assert (found["runs"], set(found["scores"])) == (10, {"nearest", "mean", "classifier"})
    assert not found["refuted"]
    assert found == auditing.run(job, jax.random.key(3), jax.random.key(0))
