"""experiments/paper: the paper's claims tested, its figures drawn, and both added to a comparison."""

import copy

import pytest
from fake_records import m, record, runs

from experiments import paper
from experiments.paper import claims, epsilons, figures
from fpu import report
from fpu.report import records


def nominal(model, sigma, accuracies, **others):
    """Runs of the paper's preset; noise that buys an eps of a million."""
    records = runs(model, 1e6 if sigma else "inf", accuracies, preset="paper", **others)
    for one in records:
        one["privacy"]["noise_multiplier"] = sigma
    return records


def verdicts(tests, claim, noise):
    return {c.tested: c.verdict for c in tests if (c.claim, c.noise) == (claim, noise)}


def test_the_papers_story_is_confirmed_where_it_holds_and_refuted_where_it_does_not():
    steady = [0.90, 0.91, 0.92]
    shown = [
        *nominal("gan", 0.0, steady), *nominal("gan", 0.4, [0.89, 0.90, 0.905]),
        *nominal("ddpm", 0.0, steady), *nominal("ddpm", 0.4, [0.90, 0.91, 0.915]),
        *nominal("vae", 0.0, steady), *nominal("vae", 0.2, steady), *nominal("vae", 0.4, [0.5, 0.52, 0.51]),
        *runs("gan", "inf", steady), *runs("gan", 1.0, [0.3, 0.31, 0.3]),
        *runs("vae", "inf", steady), *runs("vae", 1.0, [0.5, 0.51, 0.53]),
    ]  # fmt: skip
    tests = claims.claims(shown)
    kept = verdicts(tests, 0, 0)
    assert kept["GAN keeps its utility"] == kept["DDPM keeps its utility"] == "confirmed"
    assert kept["DDPM keeps its fidelity"] == "confirmed"
    assert set(verdicts(tests, 1, 0).values()) == {"confirmed", "open"}  # coverage is equal
    assert verdicts(tests, 1, 0)["VAE loses utility faster than the GAN"] == "confirmed"
    assert verdicts(tests, 0, 1)["GAN keeps its utility"] == "refuted"
    assert verdicts(tests, 1, 1)["VAE loses utility faster than the GAN"] == "refuted"
    lines = claims.summary(tests)
    assert len(lines) == 3
    assert "at nominal noise 4 confirmed, 0 refuted, 0 open" in lines[0]
    (where,) = {c.where for c in tests if c.claim == 0 and c.noise == 0}
    assert where == "digits, n = 500, σ = 0 to σ = 0.4"  # the least and the most


def test_losses_are_between_runs_of_one_delta_and_those_without_privacy_stand_in_each():
    shown = runs("gan", "inf", [0.9, 0.91])
    for delta, accuracies in ((1e-5, [0.3, 0.31]), (2e-4, [0.5, 0.51])):
        for one in runs("gan", 1.0, accuracies):
            one["privacy"]["delta"] = delta
            shown.append(one)
    kept = [c for c in claims.claims(shown) if c.tested == "GAN keeps its utility"]
    found = [(c.where.rpartition("δ = ")[2], c.effect.split()[0]) for c in kept]
    assert found == [("1e-5", "60.0"), ("2e-4", "40.0")]


def test_one_pair_proves_nothing_and_other_members_are_no_pair():
    assert claims.claims([*runs("gan", "inf", [0.9]), *runs("gan", 1.0, [0.1])]) == []
    apart = copy.deepcopy([*runs("gan", "inf", [0.9, 0.9]), *runs("gan", 1.0, [0.1, 0.1])])
    for i, run in enumerate(apart):
        run["data"]["sha256_members"] = str(i)
    assert claims.claims(apart) == []


def test_an_axis_misleads_where_another_orders_the_same_models_the_other_way():
    a = runs("vae", 1.0, [0.5, 0.51, 0.52], coverage=0.9)
    b = runs("gan", 1.0, [0.7, 0.72, 0.73], coverage=0.2)
    name = "utility misleads about fidelity"
    assert verdicts(claims.claims([*a, *b]), 2, 1)[name] == "open"  # one pair may be chance
    again = copy.deepcopy([*a, *b])
    for run in again:
        run["data"]["n_members"] = 100
    assert verdicts(claims.claims([*a, *b, *again]), 2, 1)[name] == "confirmed"
    real = runs("copycat", 1.0, [0.9, 0.9, 0.9])  # has no mechanism
    assert name not in verdicts(claims.claims([*a, *real]), 2, 1)
    agree = runs("gan", 1.0, [0.7, 0.72, 0.73], coverage=0.99)
    (verdict,) = verdicts(claims.claims([*a, *agree]), 2, 1).values()
    assert verdict == "open"  # one pair that agrees does not refute


def test_the_papers_ratio_takes_small_epsilons_for_a_tenth():
    one, *_ = nominal("vae", 0.1, [0.8])
    one["privacy"]["empirical_epsilon"] = {"overall": {"as_coded": m(-0.04, 0.1)}}
    assert figures.ratio(one)["value"] == pytest.approx(80 / 0.1)
    one["privacy"]["empirical_epsilon"]["overall"]["as_coded"] = m(-0.5, 0.1)
    assert figures.ratio(one)["value"] == pytest.approx(160)
    del one["privacy"]["empirical_epsilon"]
    assert figures.ratio(one)["value"] is None
    curve = {"distance": [1, 2], "synthetic": [0.2, 1], "heldout": [0.4, 1]}
    one["privacy"]["distance_to_closest_record"] = {"curve": curve}
    drawn = figures.figure([one, *nominal("vae", 0.0, [0.9]), *nominal("gan", 0.0, [0.9])])
    ticks = [tick.get_text() for tick in drawn.axes[0].get_xticklabels()]
    assert ticks == ["0\nε ∞", "0.1\nε 1,000,000"]
    assert [ax.get_title().partition(":")[0] for ax in drawn.axes[-2:]] == ["VAE", "GAN"]
    assert figures.figure([record()]) is None


def test_nominal_noise_is_told_with_the_eps_it_buys():
    runs = [record("vae", eps, preset="paper", auc=0.8, n=100) for eps in ("inf", 11438.4)]
    runs[0]["privacy"]["noise_multiplier"], runs[1]["privacy"]["noise_multiplier"] = 0.0, 0.4
    assert figures.title_of(runs) == (
        "digits, n = 100, the paper's protocol: σ = 0.4 buys ε = 11,438, and attacks reach AUC 0.80"
    )
    assert figures.title_of(runs[:1]) == "digits, n = 100, the paper's protocol"


def test_the_papers_epsilon_stands_beside_the_eps_an_audit_and_attacks():
    told, audited, other = nominal("vae", 0.4, [0.5, 0.6, 0.7], n=100)
    told["privacy"]["empirical_epsilon"] = {"overall": {"as_coded": m(-0.05, 0.25)}}
    bounds = {"loss": {"guesses": {"bound": 1.25}, "other": {"bound": -1.0}}}
    audited["privacy"]["audit"] = {"scores": bounds}
    other["config"]["model"] = "gan"  # neither
    table = epsilons.section([told, audited, other, record()])
    (row,) = table.rows
    assert row[:4] == ["digits", "100", "VAE", "0.4"]
    assert row[4:8] == ["1,000,000", "-0.05\xa0[-0.30,\xa00.20]", "1.25", row[7]]
    assert row[8] == "55\xa0%\xa0[0,\xa0100]"  # a share: of two runs Student's interval goes beyond
    told["fidelity"]["synthetic"]["coverage"] = records.point(0.5)  # without an interval
    (alone,) = epsilons.section([told]).rows
    assert alone[9] == "0.500"
    assert epsilons.section([other]) is None
    text = paper.extras([told, audited]).files["claims.md"].decode()
    assert "| digits | 100 | VAE | 0.4 | 1,000,000 |" in text


def test_both_are_added_to_a_comparison():
    more = [
        *runs("gan", 10.0, [0.9, 0.8]), *runs("gan", 1.0, [0.5, 0.5]), *nominal("vae", 0.1, [0.8])
    ]  # fmt: skip
    shown = report.comparison(more, paper.extras)
    files = report.files(shown)
    assert "digits-paper.png" in files
    assert files["claims.md"].decode().startswith("# Claims of arXiv:2606.07640")
    assert "GAN keeps its utility" in report.overview(shown)
    assert paper.extras([record()]) == report.Extras([], [])
