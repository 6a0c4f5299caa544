"""fpu/report/panels.py: triangles and ROC curves, from records alone."""

import numpy as np
import pytest
from fake_records import m, null, record

from fpu.privacy import bounds
from fpu.report import panels


def test_corners_are_shares_of_what_real_images_give():
    one = record(accuracy=0.5205, auc=0.6)
    one["fidelity"]["synthetic"]["coverage"] = m(0.475, 0.01)
    values = {axis: metric["value"] for axis, metric in panels.corners(one).items()}
    assert values["utility"] == pytest.approx((0.5205 - 0.1) / (0.941 - 0.1))
    assert (values["fidelity"], values["privacy"]) == (pytest.approx(0.5), pytest.approx(0.8))
    one["fidelity"]["synthetic"]["coverage"] = null("too few")
    assert panels.corners(one)["fidelity"]["value"] is None
    assert panels.triangles([one, record("vae")]) is None  # one model left
    drawn = panels.triangles([record(), record("vae"), record("gaussian", 10.0)])
    assert [ax.get_title() for ax in drawn.axes] == ["n = 500, ε = 1, δ = 2e-4"]
    assert "in 1 setting, no model" in drawn.get_suptitle()


def test_a_curve_is_that_of_the_strongest_attack_that_has_one():
    one = record(auc=0.6)
    assert panels.rocs([one]) is None
    one["privacy"]["attacks"]["nearest_sample"]["roc"] = {"fpr": [0, 0.5, 1], "tpr": [0, 0.7, 1]}
    (ax,) = panels.rocs([one, record("vae")]).axes
    assert ax.get_title() == "n = 500, ε = 1, δ = 2e-4"
    (line,) = [line for line in ax.get_lines() if line.get_label() == "DDPM"]
    assert line.get_ydata().tolist() == [1e-3, 0.7, 1]
    assert "excluded by (ε, δ)" in ax.get_legend_handles_labels()[1]
    one["privacy"]["eps"] = "inf"
    (ax,) = panels.rocs([one]).axes
    assert "excluded by (ε, δ)" not in ax.get_legend_handles_labels()[1]


def with_curves(count, **facts):
    """A record with `count` attacks, the strongest last, each with a curve, but the very strongest."""
    run = record(**facts)
    run["privacy"]["attacks"] = {}
    for i in range(count):
        roc = {"fpr": [0, 0.1, 0.1, 1, 1], "tpr": [0, 0, 0.2 + 0.01 * i, 0.3, 1]}
        auc = m(0.5 + 0.01 * i, 0.03, 1000)
        run["privacy"]["attacks"][f"attack{i}"] = {"auc": auc, "roc": roc}
    del run["privacy"]["attacks"][f"attack{count - 1}"]["roc"]
    return run


def test_of_one_run_the_four_strongest_attacks_with_a_curve_are_drawn_beside_what_is_excluded():
    (ax,) = panels.roc(with_curves(7)).axes
    labels = ax.get_legend_handles_labels()[1]
    strongest = ["attack5", "attack4", "attack3", "attack2"]
    assert sorted(labels) == sorted(["excluded by (ε, δ)", "guessing", *strongest])
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert len({(lines[name].get_color(), lines[name].get_linestyle()) for name in strongest}) == 4
    assert lines["attack5"].get_xdata().tolist() == [1e-3, 0.1, 0.1, 1, 1]
    (ax,) = panels.roc(with_curves(3, eps="inf")).axes
    assert sorted(ax.get_legend_handles_labels()[1]) == ["attack0", "attack1", "guessing"]


def test_the_edge_of_what_is_excluded_is_that_of_a_swap():
    run = with_curves(3, eps=0.5)
    (ax,) = panels.roc(run).axes
    (shaded,) = ax.collections
    corners = shaded.get_paths()[0].vertices
    eps, delta = bounds.swapped(run["privacy"])
    lowest = corners[np.isclose(corners[:, 0], 1e-3), 1].min()
    assert lowest == pytest.approx(bounds.highest_tpr(1e-3, eps, delta))


def test_a_run_without_curves_has_no_picture():
    assert panels.roc(record()) is None
    run = record()
    roc = {"fpr": [0, 1], "tpr": [0, 1]}
    run["privacy"]["attacks"] = {"loss": {"auc": null("20 are needed"), "roc": roc}}
    assert panels.roc(run) is None


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ((1.0, 0.6), (3.0, 0.7), "at most 0.70 with a finite ε"),
        ((1.0, 0.6), ("inf", 0.9), "at most 0.60 with a finite ε, at most 0.90 without privacy"),
    ],
)
def test_attacks_with_and_without_privacy(one, other, words):
    runs = [record(eps=eps, auc=auc) for eps, auc in (one, other)]
    assert panels.strongest(runs) == f"digits: AUC of the strongest attack {words}"
