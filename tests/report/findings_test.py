"""fpu/report/findings.py: the title of a figure says what its records hold."""

import pytest
from fake_records import m, null, record

from fpu.report import curves, findings


def test_the_best_generator_at_both_ends_of_eps_with_the_most_members():
    runs = [
        record("vae", 1.0, accuracy=0.5, n=500),
        record("vae", 1.0, accuracy=0.7, n=500, seed=1),
        record("gan", 1.0, accuracy=0.55, n=500),
        record("gan", 3.0, accuracy=0.99, n=500),
        record("ddpm", "inf", accuracy=0.9, n=500),
        record("copycat", "inf", accuracy=0.95, n=500),
        record("ddpm", 1.0, accuracy=0.99, n=100),
    ]
    assert findings.against_eps(runs) == (
        "digits, n = 500: at best 60.0 % at ε = 1 (VAE), 90.0 % at ε = ∞ (DDPM); the real members give 94.1 %"
    )


def test_the_best_from_the_fewest_and_from_the_most_at_the_least_eps():
    runs = [
        record("vae", eps, accuracy=n / 1000, n=n) for eps in (1.0, 10.0) for n in (100, 300, 500)
    ]
    runs.append(record("gan", 10.0, accuracy=0.9, n=100))
    assert findings.against_n(runs).startswith(
        "digits, ε = 1: at best 10.0 % from 100 images (VAE), 50.0 % from 500 images (VAE); the real"
    )


def test_auc_where_there_is_no_accuracy_and_nothing_where_there_is_neither():
    runs = [record("vae", 1.0)]
    runs[0]["utility"]["synthetic"]["accuracy"] = null("one class")
    runs[0]["utility"]["synthetic"]["auc"] = m(0.75, 0.05)
    assert ": at best AUC 0.750 at ε = 1 (VAE)" in findings.against_eps(runs)
    runs[0]["utility"]["synthetic"]["auc"] = null("one class")
    assert findings.against_eps(runs) == "digits, n = 500"


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        (
            [record(eps=1.0, auc=0.6), record(eps=3.0, auc=0.7, seed=1)],
            "at most 0.70 with a finite ε",
        ),
        (
            [record(eps=1.0, auc=0.6), record(eps="inf", auc=0.9)],
            "at most 0.60 with a finite ε, at most 0.90 without privacy",
        ),
    ],
)
def test_attacks_with_and_without_privacy(runs, words):
    assert findings.attacks(runs) == f"digits: AUC of the strongest attack {words}"


def test_nominal_noise_is_told_with_the_eps_it_buys():
    runs = [record("vae", eps, preset="paper", auc=0.8, n=100) for eps in ("inf", 11438.4)]
    runs[0]["privacy"]["noise_multiplier"], runs[1]["privacy"]["noise_multiplier"] = 0.0, 0.4
    assert findings.nominal(runs) == (
        "digits, n = 100, the paper's protocol: σ = 0.4 buys ε = 11,438, and attacks reach AUC 0.80"
    )
    assert findings.nominal(runs[:1]) == "digits, n = 100, the paper's protocol"


def test_a_title_fits_its_figure_and_a_dollar_is_no_formula():
    drawn = curves.figure([record(dataset="pay $5 and $6 " + "at length " * 20)])
    said = drawn.get_suptitle()
    assert said.startswith(r"pay \$5 and \$6 ")
    assert max(map(len, said.split("\n"))) <= 10 * drawn.get_figwidth() + 2
    assert curves.png(drawn).startswith(b"\x89PNG")
