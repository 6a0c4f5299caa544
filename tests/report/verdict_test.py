"""fpu/report/verdict.py: a tile says good only on numbers that can carry it, and names what it cannot tell."""

import math
import re

import numpy as np
import pytest
from fake_records import m, null, record

from fpu import report
from fpu.report import verdict


def another(metric, low, high):
    return metric | {"another": [low, high]}


CANNOT_TELL = "Cannot tell from 360 test images"
WIDE = another(m(0.93, 0.03), 0.71, 0.99)


@pytest.mark.parametrize(
    ("key", "value", "mark", "title"),
    [
        ("accuracy", m(0.93, 0.038), "good", "As useful as the real members"),
        ("accuracy", m(0.86, 0.038), "fair", "8 points short of the real members"),
        ("accuracy", m(0.60, 0.038), "bad", "34 points short of the real members"),
        ("accuracy", WIDE, "plain", CANNOT_TELL),
        ("balanced_accuracy", m(0.12, 0.03), "bad", "No more useful than guessing"),
        ("balanced_accuracy", m(0.12, 0.5), "plain", CANNOT_TELL),  # better is not ruled out
    ],
)
def test_utility_goes_by_what_another_run_would_give(key, value, mark, title):
    run = record()
    run["utility"]["synthetic"][key] = value
    tile = verdict.utility(run)
    assert (tile.mark, tile.title) == (mark, title)
    if value is WIDE:
        assert "93.0 % [90.0, 96.0]" in tile.text.replace("\N{NO-BREAK SPACE}", " ")
        assert "another run: [71, 99]" in tile.text


def test_a_private_classifier_that_is_clearly_better_is_named():
    run = record()
    for accuracy, named in ((0.83, False), (0.95, True)):
        run["utility"]["private_classifier"] = {"accuracy": m(accuracy, 0.03)}
        assert ("fpu.utility.private_classifier" in verdict.utility(run).text) == named


VARIED, FEW = m(0.95, 0.02), null("12 on each side; at least 50 are needed")
NOISE = {"coverage": m(0.7, 0.03), "precision": m(0.02, 0.02)}  # it reaches every real image


@pytest.mark.parametrize(
    ("changes", "network", "mark", "title"),
    [
        ({"coverage": VARIED}, "domain", "good", "As varied as real images"),
        ({"coverage": VARIED}, "random", "plain", CANNOT_TELL),
        ({"coverage": VARIED, "near_copies": m(0.2, 0.03)}, "domain", "bad", "It repeats its training images"),
        (NOISE, "domain", "bad", "Few look like real images"),
        ({"coverage": another(m(0.9, 0.03), 0.2, 0.99)}, "domain", "plain", CANNOT_TELL),
        ({"coverage": FEW}, "domain", "plain", CANNOT_TELL),
    ],
)  # fmt: skip
def test_fidelity_is_praised_only_where_nothing_speaks_against_it(changes, network, mark, title):
    run = record()
    run["fidelity"]["synthetic"] |= changes
    run["fidelity"]["features"]["network"] = network
    tile = verdict.fidelity(run)
    assert (tile.mark, tile.title) == (mark, title)
    assert ("at least 50" in tile.text) == (changes["coverage"] is FEW)


@pytest.mark.parametrize(
    ("simple", "mark", "word"),
    [
        (m(0.90, 0.03), "bad", "is better"),
        (m(0.83, 0.04), "fair", "as good"),
        (m(0.80, 0.04), "fair", "hardly better"),
        (m(0.60, 0.04), "good", "beats"),
    ],
)
def test_a_model_is_compared_with_one_release_at_the_same_eps(simple, mark, word):
    run = record()
    assert verdict.worth(run) is None  # an older record: nothing to compare with
    run["utility"]["one_shot"] = {"accuracy": simple}
    finding = verdict.worth(run)
    assert ("--model=gaussian" in finding.text) == ("test images, without noise" in finding.text)
    assert finding.mark == mark
    assert word in finding.title
    assert ("--model=gaussian" in finding.text) == (simple["value"] > 0.82)
    run["utility"]["warmup"] = {"accuracy": m(0.71, 0.04)}
    assert "71.0" in verdict.worth(run).text


def test_training_was_worth_it_only_where_another_run_would_say_so_too():
    run = record(accuracy=0.82)
    run["utility"]["one_shot"] = {"accuracy": m(0.70, 0.04)}
    assert verdict.worth(run).mark == "good"
    run["utility"]["one_shot"]["accuracy"] = another(m(0.70, 0.04), 0.5, 0.85)
    assert verdict.worth(run).title == "It is hardly better than the one-shot baseline"


def test_a_model_that_saw_no_image_is_said_to_have_seen_none_and_that_no_stage_has_shown_a_gain():
    assert "no real image" not in verdict.made(record()).text
    assert "There is no stage" not in verdict.made(record(warmup_share=0.5)).text
    run = record(warmup_share=1.0)
    for told in (
        "was shown no real image",
        "There is no stage of DP-SGD",
        "--warmup_share=0.3 adds one",
    ):
        assert told in verdict.made(run).text
    assert "DDPM on draws" in verdict.headline(run)


def test_twelve_test_images_of_one_class_say_nothing():
    run = record()
    run["utility"]["members"]["accuracy"] = m(1.0, 0.0, 12)
    run["utility"]["synthetic"]["accuracy"] = m(1.0, 0.0, 12)
    run["utility"]["synthetic"]["recall"] = {"0": m(1.0, 0.0, 12), "1": null("no image of class 1")}
    tile = verdict.utility(run)
    assert (tile.mark, tile.title) == ("plain", "Cannot tell from 12 test images")
    assert "1 class has no test image" in tile.text


def test_an_attack_is_judged_by_its_interval_and_by_the_guarantee():
    assert verdict.attack(record(auc=0.53)).mark == "good"
    assert verdict.attack(record(auc=0.55)).title == "An attack beats guessing"
    assert verdict.attack(record(eps="inf", auc=0.99)).title == "An attack beats guessing"
    broken = verdict.attack(record(eps=0.1, auc=0.9))
    assert broken.title == "An attack does better than the guarantee allows"
    for change, says in (
        ({"eps": 0.1, "auc": 0.9}, "REFUTED: the attack loss .* AUC 0.900, .* eps = 0.1, allows"),
        # Two standard errors above: not at the level of the alarm.
        ({"eps": 0.1, "auc": 0.6}, None),
        ({"eps": "inf", "auc": 0.99}, None),
    ):
        line = verdict.exceeded(record(**change))
        assert re.match(says, line) if says else line is None
    shifted = record(eps=0.1, auc=0.9)
    shifted["data"]["notes"] = {"nonmembers": "val: 500 images"}
    assert verdict.exceeded(shifted) is None


def test_the_strongest_of_many_attacks_is_given_a_wider_interval():
    many = record(auc=0.5)
    attacks = many["privacy"]["attacks"]
    attacks |= {f"attack {i}": {"auc": m(0.5, 0.036)} for i in range(6)}
    attacks["loss"]["auc"] = m(0.54, 0.036)  # above guessing on its own: one in twenty is
    tile = verdict.attack(many)
    assert (tile.mark, tile.title) == ("good", "No attack beats guessing")
    assert "may be chance" in tile.text
    attacks["loss"]["auc"] = m(0.56, 0.036)
    assert verdict.attack(many).title == "An attack beats guessing"


def test_the_alarm_for_the_strongest_of_eight_guesses_is_false_one_time_in_twenty_at_most():
    rng, alarms = np.random.default_rng(0), 0
    for _ in range(1000):
        aucs = rng.normal(0.5, 0.02, 8)
        run = record()
        attacks = {str(i): {"auc": m(auc, 1.96 * 0.02)} for i, auc in enumerate(aucs)}
        run["privacy"]["attacks"] = attacks
        alarms += verdict.attack(run).mark == "bad"
    assert 0.01 < alarms / 1000 < 0.05


def test_few_targets_prove_no_attack_wrong():
    run = record()
    for attack in run["privacy"]["attacks"].values():
        attack["auc"] = m(0.5, 0.2, 32)
    tile = verdict.attack(run)
    assert (tile.mark, tile.title) == ("plain", "Cannot tell from 32 images")


@pytest.mark.parametrize(
    ("eps", "delta", "mark", "word"),
    [
        (0.5, 2e-4, "good", "Strong"),
        (0.5, 2.1e-4, "bad", "Weak"),  # of 500
        (10.0, 2e-4, "fair", "Reasonable"),
        (11.0, 2e-4, "bad", "Weak"),
        (20.1, 1e-9, "bad", "Nominal"),
        ("inf", 2e-4, "bad", "No"),
    ],
)
def test_the_guarantee_is_graded(eps, delta, mark, word):
    run = record(eps=eps)
    run["privacy"]["delta"] = delta
    tile = verdict.guarantee(run)
    assert (tile.mark, tile.title.split()[0]) == (mark, word)
    if eps == 0.5:
        assert f"factor of {math.ceil(10 * math.exp(0.5)) / 10} " in tile.text  # never rounded down
    if word == "Nominal":
        assert "Share nothing" in verdict.release(run).title


def test_what_may_leave_depends_on_the_guarantee():
    assert verdict.release(record()).title == "Share only the folder release/"
    disclosed = record()
    disclosed["privacy"]["noise_seed_disclosed"] = True
    for run in (record(eps="inf"), disclosed):
        assert verdict.release(run).title == "Share nothing from this run"
    assert "void" in verdict.guarantee(disclosed).title


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
