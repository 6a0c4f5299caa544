"""fpu/report/verdict.py: a tile says good only on numbers that can carry it, and names what it cannot tell."""

import pytest
from fake_records import m, null, record

from fpu import report
from fpu.report import verdict


def another(metric, low, high):
    return metric | {"another": [low, high]}


def test_utility_goes_by_what_another_run_would_give():
    run = record(accuracy=0.93)
    assert verdict.utility(run).mark == "good"
    run["utility"]["synthetic"]["accuracy"] = another(m(0.93, 0.03), 0.71, 0.99)
    tile = verdict.utility(run)
    assert (tile.mark, tile.title) == ("plain", "Cannot tell from 360 test images")
    assert "93.0 % [90.0, 96.0]" in tile.text.replace("\N{NO-BREAK SPACE}", " ")
    assert "another run: [71, 99]" in tile.text


def test_training_was_worth_it_only_where_another_run_would_say_so_too():
    run = record(accuracy=0.82)
    run["utility"]["one_shot"] = {"accuracy": m(0.70, 0.04)}
    assert verdict.worth(run).mark == "good"
    run["utility"]["one_shot"]["accuracy"] = another(m(0.70, 0.04), 0.5, 0.85)
    assert verdict.worth(run).title == "It is hardly better than the one-shot baseline"


def test_where_no_stage_of_dpsgd_runs_the_report_says_that_none_has_shown_a_gain():
    told = verdict.made(record(warmup_share=1.0)).text
    assert "There is no stage of DP-SGD" in told
    assert "--warmup_share=0.3 adds one" in told
    assert "There is no stage" not in verdict.made(record(warmup_share=0.5)).text


def test_twelve_test_images_of_one_class_say_nothing():
    run = record()
    run["utility"]["members"]["accuracy"] = m(1.0, 0.0, 12)
    run["utility"]["synthetic"]["accuracy"] = m(1.0, 0.0, 12)
    run["utility"]["synthetic"]["recall"] = {"0": m(1.0, 0.0, 12), "1": null("no image of class 1")}
    tile = verdict.utility(run)
    assert (tile.mark, tile.title) == ("plain", "Cannot tell from 12 test images")
    assert "1 class has no test image" in tile.text


def test_guessing_is_bad_only_where_better_is_ruled_out():
    run = record()
    titles = {0.03: "No more useful than guessing", 0.5: "Cannot tell from 360 test images"}
    for half, title in titles.items():
        run["utility"]["synthetic"]["balanced_accuracy"] = m(0.12, half)
        assert verdict.utility(run).title == title


def test_an_untrained_network_cannot_say_that_images_are_varied():
    run = record()
    run["fidelity"]["synthetic"]["coverage"] = m(0.95, 0.02)
    assert verdict.fidelity(run).title == "As varied as real images"
    run["fidelity"]["features"]["network"] = "random"
    tile = verdict.fidelity(run)
    assert (tile.mark, tile.title) == ("plain", "Cannot tell from 360 test images")


def test_noise_that_reaches_every_real_image_does_not_look_like_them():
    run = record()
    run["fidelity"]["synthetic"] |= {"coverage": m(0.7, 0.03), "precision": m(0.02, 0.02)}
    assert verdict.fidelity(run).title == "Few look like real images"


def test_wide_coverage_is_called_wide():
    run = record()
    run["fidelity"]["synthetic"]["coverage"] = another(m(0.9, 0.03), 0.2, 0.99)
    assert verdict.fidelity(run).title == "Cannot tell from 360 test images"
    run["fidelity"]["synthetic"]["coverage"] = null("12 on each side; at least 50 are needed")
    tile = verdict.fidelity(run)
    assert tile.title == "Cannot tell from 360 test images"
    assert "at least 50" in tile.text


def test_few_targets_prove_no_attack_wrong():
    run = record()
    for attack in run["privacy"]["attacks"].values():
        attack["auc"] = m(0.5, 0.2, 32)
    tile = verdict.attack(run)
    assert (tile.mark, tile.title) == ("plain", "Cannot tell from 32 images")


@pytest.mark.parametrize("name", ["group", "group of images"])
def test_a_plans_group_of_images_is_a_group(name):
    run = record()
    run["privacy"]["unit"] = name
    run["data"] |= {"unit": "group", "n_units": 120}
    assert "for each single group of images." in verdict.guarantee(run).text
    assert "a listed group contributed" in verdict.guarantee(run).text
    assert "in 120 groups" in verdict.made(run).text
    assert "one group at a time" in report.page(run, b"\x89PNG")


def test_a_strangers_claim_is_not_proved_and_an_unknown_one_is_not_eps_infinity():
    run = record()
    run["privacy"]["proof"] = run["config"]["proof"] = "claimed"
    tile = verdict.guarantee(run)
    assert (tile.mark, tile.about) == ("plain", "Privacy, not proved")
    assert "Strong" not in tile.title
    assert verdict.release(run).title != "Share only the folder release/"
    run = record(eps="inf")
    run["privacy"]["proof"] = run["config"]["proof"] = "unknown"
    assert verdict.guarantee(run).title == "No guarantee is known"
    assert "∞" not in verdict.guarantee(run).text + verdict.headline(run)


def test_cross_fitted_numbers_stand_in_for_those_of_few_test_images():
    run = record(accuracy=0.95)
    run["cross_fitted"] = {
        "folds": 5,
        "n": 33,
        "utility": {
            "synthetic": {"accuracy": m(0.5, 0.1, 33)},
            "members": {"accuracy": m(0.9, 0.1, 33)},
        },
        "fidelity": {
            "synthetic": {"coverage": m(0.4, 0.2, 33)},
            "real": {"coverage": m(0.9, 0, 33)},
            "features": {"network": "random"},
        },
        "attacks": {"nearest": {"auc": m(0.5, 0.2, 33)}},
    }
    tiles = {tile.about: tile for tile in verdict.findings(run)}
    assert tiles["Utility, cross-fitted"].title == "40 points short of the real members"
    assert "5 generators like this one" in tiles["Utility, cross-fitted"].text
    assert "not of this very set" in tiles["Utility, cross-fitted"].text
    assert tiles["Fidelity, cross-fitted"].title == "Cannot tell from 33 test images"
    assert tiles["Privacy, tested, cross-fitted"].title == "Cannot tell from 33 images"
    assert "(cross-fitted)" in verdict.brief(run)[0]
    assert "right about 50 of 100" in verdict.sentence(run)
    assert 'id="crossed"' in report.page(run, b"\x89PNG")
    assert 'id="crossed"' not in report.page(record(), b"\x89PNG")
