"""fpu/privacy/audit.py: bounds against closed forms and simulated coverage, ceilings against simulated audits;
experiments/suites/audit.py: the audit of the engine."""

import json
import math

import numpy as np
import pytest
from scipy import optimize, stats

from experiments.suites import audit as suite
from fpu import InputError
from fpu.dp.plan import DPSGD, Plan
from fpu.privacy import audit, lower_bounds

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning:jax_privacy")

P = 1e-4
DELTA = 1e-5


def delta_of(eps, mu):
    """arXiv:1805.06530, eq. 6, with mu = sensitivity / sigma."""
    return stats.norm.cdf(mu / 2 - eps / mu) - math.exp(eps) * stats.norm.cdf(-mu / 2 - eps / mu)


def mu_of(eps, delta=DELTA):
    return optimize.brentq(lambda mu: delta_of(eps, mu) - delta, 1e-2, 20)


def plan(eps=4.0, q=1.0, steps=1, n=4, delta=DELTA):
    """Full batches, exactly on the trade-off curve of mu-GDP."""
    return Plan(delta, (DPSGD(n, q, steps, math.sqrt(steps) / mu_of(eps, delta), n),))


def scores(eps, n, rng, delta=DELTA):
    """Those of the optimal attack on plan(eps)."""
    return rng.normal(mu_of(eps, delta), 1, n), rng.normal(0, 1, n)


@pytest.mark.parametrize("eps", [1.0, 4.0])
def test_a_claim_is_the_closed_form_of_the_gaussian_mechanism(eps):
    claim, mu = audit.claim(plan(eps, steps=9)), mu_of(eps)
    assert claim.eps == pytest.approx(eps, rel=3e-3)
    assert claim.auc() == pytest.approx(stats.norm.cdf(mu / math.sqrt(2)), abs=1e-3)
    for fpr in (1e-3, 0.1, 0.5):
        best = stats.norm.sf(stats.norm.isf(fpr) - mu)
        assert best * (1 - 1e-6) <= claim.tpr(fpr) <= best * 1.02


def test_a_plan_without_noise_claims_nothing():
    claim = audit.claim(Plan(DELTA, (DPSGD(4, 1.0, 1, 0.0, 4),)))
    assert (claim.eps, claim.tpr(1e-3)) == (math.inf, 1)
    for row in audit.two_worlds(np.ones(50), np.zeros(50), claim).values():
        assert row["bound"] <= row["limit"] < math.inf


# The bound is above the true eps in at most 5 % of the audits, for every method.

KINDS = {"two_worlds": (audit.two_worlds, 200, 300), "one_run": (audit.one_run, 100, 120)}


@pytest.mark.parametrize(
    ("kind", "eps"), [("two_worlds", 0.5), ("two_worlds", 3.0), ("one_run", 6.0)]
)
def test_coverage(kind, eps):
    judge, count, repeats = KINDS[kind]
    rng, claim = np.random.default_rng(5), audit.claim(plan(eps))
    rows = []
    for _ in range(repeats):
        sides = scores(eps, count, rng)
        if kind == "one_run":  # one of `count` canaries, in with probability 1/2
            member = rng.random(count) < 0.5
            sides = sides[0][member], sides[1][~member]
        rows.append(judge(*sides, claim))
    for method in rows[0]:
        bounds = np.array([row[method]["bound"] for row in rows])
        covered = int((bounds <= eps).sum())
        assert stats.binomtest(covered, repeats, 0.95, alternative="less").pvalue > P, method
        # (Where most bounds are 0, as for 100 canaries at eps 3, their mean is above the ceiling.)
        assert np.mean(bounds) == pytest.approx(rows[0][method]["ceiling"], rel=0.25, abs=0.1)


def test_pure_noise_never_looks_like_a_leak():
    rng, claim = np.random.default_rng(6), audit.claim(plan(3.0))
    rows = [audit.two_worlds(rng.normal(size=200), rng.normal(size=200), claim) for _ in range(200)]
    for method in rows[0]:
        leaks = sum(row[method]["bound"] > 0 for row in rows)
        assert stats.binomtest(leaks, len(rows), 0.05, alternative="greater").pvalue > P, method


def test_perfect_separation_gives_the_limit_in_closed_form():
    n, claim = 100, audit.claim(plan(3.0, delta=1e-3))
    rows = audit.two_worlds(np.full(n, np.inf), np.zeros(n), claim)
    error = 1 - 0.025 ** (1 / n)  # Clopper and Pearson at no error in n, 2.5 % for each rate
    limit = math.log((1 - error - 1e-3) / error)
    assert rows["clopper_pearson"]["limit"] <= limit + 1e-9
    for row in rows.values():
        assert row["bound"] == row["limit"]
    # A claim this high can be refuted at no error alone.
    rows = audit.two_worlds(np.ones(n), np.zeros(n), audit.claim(plan(3.2, delta=1e-3)))
    assert rows["clopper_pearson"]["bound"] == pytest.approx(limit)
    one = audit.one_run(np.ones(n), np.zeros(n), audit.claim(plan(3.0, delta=1e-9)))["one_run"]
    share = 0.05 ** (1 / n)  # of right guesses, n of n; eps is its logit
    assert 3.0 < one["limit"] <= math.log(share / (1 - share)) + 1e-3
    assert one["ceiling"] < one["bound"] == one["limit"]


@pytest.mark.parametrize(("eps", "confidence"), [(0.5, 0.95), (3.0, 0.95), (3.0, 1 - 1e-4)])
def test_who_never_errs_refutes_every_claim_that_can_be_refuted(eps, confidence):
    """Of all places an audit may look at, it takes one from which it can sound its alarm."""
    count, delta = 200, 2e-4
    claim, alpha = audit.claim(plan(eps, delta=delta)), 1 - confidence
    rows = audit.two_worlds(np.ones(count), np.zeros(count), claim, confidence)
    rows |= audit.one_run(np.ones(count // 2), np.zeros(count // 2), claim, confidence)
    reach = {}
    for name, bound in lower_bounds.ONE_RUN.items():
        reach[name] = max(bound(g, g, count, delta, alpha) for g in audit._counts(count))
    reach["clopper_pearson"] = lower_bounds.clopper_pearson(count, count, 0, count, delta, alpha)
    reach["gaussian"] = lower_bounds.gaussian(1.0, count, count, delta, alpha)
    for method, row in rows.items():
        assert row["bound"] == pytest.approx(row["limit"]), method
        assert (row["limit"] > eps) == (reach[method] > eps), method


def test_more_confidence_ties_and_weaker_scores_lower_a_bound():
    rng, claim = np.random.default_rng(7), audit.claim(plan(8.0, n=160))
    inside, outside = scores(8.0, 80, rng)
    for judge in (audit.two_worlds, audit.one_run):
        best = judge(inside, outside, claim)
        sure = judge(inside, outside, claim, 1 - 1e-4)
        coarse = judge(np.sign(inside), np.sign(outside), claim)
        blind = judge(np.zeros(80), np.zeros(80), claim)
        blurred = judge(inside + rng.normal(0, 3, 80), outside + rng.normal(0, 3, 80), claim)
        moved = judge(np.exp(inside), np.exp(outside), claim)  # ranks are all that counts
        assert moved == best
        for method, row in best.items():
            assert 0 < row["bound"] <= row["limit"]
            assert row["ceiling"] <= row["limit"]
            assert sure[method]["bound"] < row["bound"]
            assert coarse[method]["bound"] < row["bound"]
            assert blurred[method]["bound"] < row["bound"]
            assert blind[method]["bound"] == 0


@pytest.mark.parametrize("bad", [np.zeros(9), np.full(20, np.nan), np.zeros((20, 2))])
def test_bad_scores_are_refused_in_one_line(bad):
    claim = audit.claim(plan())
    for judge in (audit.two_worlds, audit.one_run):
        for sides in ((bad, np.zeros(20)), (np.zeros(20), bad)):
            with pytest.raises(InputError, match="an audit needs 10 scores"):
                judge(*sides, claim)


# The engine itself.


class TestEngine:
    def test_scores_of_full_batches_are_two_normals_a_known_distance_apart(self):
        steps, eps = 30, 4.0
        inside, outside = suite.two_worlds(plan(eps, steps=steps), 1000, seed=3)
        noise = suite.CLIP * plan(eps, steps=steps).sgd().noise_multiplier * math.sqrt(steps)
        noise *= math.sqrt(2) / 4  # two leaves, and a mean over n = 4
        for side in (inside, outside):
            spread = np.square(side - side.mean()).sum() / noise**2
            assert P < stats.chi2.sf(spread, 999) < 1 - P
        distance = (inside.mean() - outside.mean()) / noise
        assert abs(distance - mu_of(eps)) < stats.norm.isf(P) * math.sqrt(2 / 1000)

    @pytest.mark.parametrize(("eps", "q", "steps"), [(1.0, 1.0, 1), (4.0, 1.0, 1), (4.0, 0.5, 20)])
    def test_two_worlds_come_near_the_ceiling_and_not_above_the_claim(self, eps, q, steps):
        private = plan(eps, q=q, steps=steps)
        claim = audit.claim(private)
        rows = [audit.two_worlds(*suite.two_worlds(private, 1000, s), claim) for s in range(12)]
        for method in rows[0]:
            bounds = np.array([row[method]["bound"] for row in rows])
            assert bounds.mean() > 0.8 * rows[0][method]["ceiling"]
            covered = int((bounds <= claim.eps).sum())
            assert stats.binomtest(covered, len(rows), 0.95, alternative="less").pvalue > P
        assert rows[0]["gaussian"]["ceiling"] > 0.6 * claim.eps

    def test_one_run_comes_near_the_ceiling_and_not_above_the_claim(self):
        private = plan(8.0, n=160)
        claim = audit.claim(private)
        rows = [audit.one_run(*suite.one_run(private, s), claim) for s in range(4)]
        for method in rows[0]:
            bounds = [row[method]["bound"] for row in rows]
            assert np.mean(bounds) > 0.8 * rows[0][method]["ceiling"]
            assert max(bounds) < claim.eps


def test_the_suite_measures_and_prints(monkeypatch):
    settings = [("two worlds", 4.0, 1.0, 1), ("one run", 8.0, 1.0, 1)]
    for name, value in {"SETTINGS": settings, "RUNS": 50, "CANARIES": 60, "REPEATS": 2}.items():
        monkeypatch.setattr(suite, name, value)
    lines = []
    result = suite.measure(lines.append)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert len(lines) == len(result["rows"]) == 4
    assert {row["refuted"] for row in result["rows"]} == {0}
    text = suite.table(result).splitlines()
    assert (len(text), len({line.count("|") for line in text})) == (2 + 4, 1)
