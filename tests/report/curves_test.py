"""fpu/report/curves.py: every run is in the picture, at its eps, with the interval of its runs."""

import math

import numpy as np
import pytest
from fake_records import null, record

from fpu.report import curves, tables


def line(figure, row, name, column=0):
    """(x, y) of the line of this label."""
    ax = next(ax for ax in figure.axes if ax.get_ylabel() == row)
    if column:
        ax = figure.axes[figure.axes.index(ax) + column]
    (found,) = [one for one in ax.get_lines() if one.get_label() == name]
    return np.array(found.get_xdata()), np.array(found.get_ydata())


def test_a_point_for_each_eps_and_a_column_for_each_count():
    runs = [
        record(eps=eps, accuracy=0.5 + seed / 10, n=n, seed=seed)
        for eps in (1.0, 10.0)
        for n in (100, 500)
        for seed in (0, 1)
    ]
    figure = curves.figure(runs)
    assert [ax.get_title() for ax in figure.axes[:2]] == ["n = 100", "n = 500"]
    for column in (0, 1):
        x, y = line(figure, "utility: accuracy %", "DDPM", column)
        np.testing.assert_allclose(x[1] / x[0], 10)
        np.testing.assert_allclose(y, [55, 55])


def test_against_n_there_is_a_column_for_each_eps():
    runs = [
        record(eps=eps, accuracy=n / 1000, n=n, seed=seed)
        for eps in (1.0, "inf")
        for n in (100, 500)
        for seed in (0, 1)
    ]
    figure = curves.figure(runs, against="n")
    assert [ax.get_title() for ax in figure.axes[:2]] == ["ε = 1", "ε = ∞"]
    for column in (0, 1):
        x, y = line(figure, "utility: accuracy %", "DDPM", column)
        np.testing.assert_allclose(x[1] / x[0], 5)
        np.testing.assert_allclose(y, [10, 50])


def test_an_eps_with_one_count_is_neither_a_column_against_n_nor_in_the_title():
    runs = [record(eps=10.0, accuracy=n / 1000, n=n) for n in (100, 500)]
    figure = curves.figure([*runs, record(eps=1.0, accuracy=0.5, n=500)], against="n")
    assert figure.axes[0].get_title() == "ε = 10"
    assert figure.get_suptitle().startswith("digits, ε = 10: at best 10.0 %")


def test_infinity_ends_the_axis_and_real_images_are_lines_beside():
    figure = curves.figure([record(eps=1.0), record("copycat", "inf", accuracy=0.9)])
    x, _ = line(figure, "utility: accuracy %", "copycat")
    assert 8 < x[0] < 12
    ticks = figure.axes[-1].get_xticklabels()
    assert [tick.get_text() for tick in ticks] == ["1", "∞"]
    _, y = line(figure, "utility: accuracy %", "the real members")
    np.testing.assert_allclose(y, 94.1)


def test_what_no_run_has_gets_no_row():
    one = record()
    one["utility"]["synthetic"]["auc"] = null("one class")
    labels = [ax.get_ylabel() for ax in curves.figure([one]).axes]
    assert "utility: accuracy %" in labels
    assert "utility: macro AUC" not in labels


def test_no_two_models_look_alike():
    models = ("vae", "gan", "ddpm", "gaussian", "merf", "fresh", "copycat")
    styles = [curves.style([record(m)]) for m in models]
    styles.append(curves.style([record("vae", warmup_share=1, steps=None)]))
    styles.append(curves.style([record("vae", warmup_share=0.5)]))
    assert len({(s["color"], s["marker"], s["mfc"], s["ls"]) for s in styles}) == len(styles)


def test_over_runs_is_the_t_interval_of_the_mean():
    metrics = [{"value": v, "low": 0, "high": 1, "n": 5} for v in (0.2, 0.4, 0.9)]
    found = tables.over_runs([*metrics, null("lost")])
    half = 4.302652729911275 * np.std([0.2, 0.4, 0.9], ddof=1) / math.sqrt(3)
    assert found["value"] == pytest.approx(0.5)
    assert found["high"] - found["value"] == pytest.approx(half)
    assert tables.over_runs(metrics[:1]) is metrics[0]
    assert tables.over_runs([null("lost")]) is None
