"""fpu/report/plots.py: every run is in the picture, at its eps, with the interval of its runs."""

from itertools import product

import numpy as np
import pytest
from fake_records import m, null, record

from fpu.report import plots


def line(figure, row, name, column=0):
    """(x, y) of the line of this label."""
    ax = next(ax for ax in figure.axes if ax.get_ylabel() == row)
    if column:
        ax = figure.axes[figure.axes.index(ax) + column]
    (drawn,) = [one for one in ax.get_lines() if one.get_label() == name]
    return np.array(drawn.get_xdata()), np.array(drawn.get_ydata())


@pytest.mark.parametrize(
    ("against", "epsilons", "accuracy", "titles", "apart", "means"),
    [
        ("eps", (1.0, 10.0), lambda n, seed: 0.5 + seed / 10, ["n = 100", "n = 500"], 10, [55, 55]),
        ("n", (1.0, "inf"), lambda n, seed: n / 1000, ["ε = 1", "ε = ∞"], 5, [10, 50]),
    ],
)
def test_a_point_for_each_on_the_axis_and_a_column_for_each_of_the_other(
    against, epsilons, accuracy, titles, apart, means
):
    cells = product(epsilons, (100, 500), (0, 1))
    runs = [record(eps=e, accuracy=accuracy(n, seed), n=n, seed=seed) for e, n, seed in cells]
    figure = plots.figure(runs, against=against)
    assert [ax.get_title() for ax in figure.axes[:2]] == titles
    for column in (0, 1):
        x, y = line(figure, "utility: accuracy %", "DDPM", column)
        np.testing.assert_allclose(x[1] / x[0], apart)
        np.testing.assert_allclose(y, means)


def test_an_eps_with_one_count_is_neither_a_column_against_n_nor_in_the_title():
    runs = [record(eps=10.0, accuracy=n / 1000, n=n) for n in (100, 500)]
    figure = plots.figure([*runs, record(eps=1.0, accuracy=0.5, n=500)], against="n")
    assert figure.axes[0].get_title() == "ε = 10"
    assert figure.get_suptitle().startswith("digits, ε = 10: at best 10.0 %")


def test_infinity_ends_the_axis_and_real_images_are_lines_beside():
    figure = plots.figure([record(eps=1.0), record("copycat", "inf", accuracy=0.9)])
    x, _ = line(figure, "utility: accuracy %", "copycat")
    assert 8 < x[0] < 12
    ticks = figure.axes[-1].get_xticklabels()
    assert [tick.get_text() for tick in ticks] == ["1", "∞"]
    _, y = line(figure, "utility: accuracy %", "the real members")
    np.testing.assert_allclose(y, 94.1)


def test_what_no_run_has_gets_no_row():
    one = record()
    one["utility"]["synthetic"]["auc"] = null("one class")
    labels = [ax.get_ylabel() for ax in plots.figure([one]).axes]
    assert "utility: accuracy %" in labels
    assert "utility: macro AUC" not in labels


def test_no_two_models_look_alike():
    models = ("vae", "gan", "ddpm", "gaussian", "merf", "prior", "pe", "merf_prior")
    models += ("fresh", "copycat")
    styles = [plots.style([record(m)]) for m in models]
    styles.append(plots.style([record("vae", warmup_share=1, steps=None)]))
    styles.append(plots.style([record("vae", warmup_share=0.5)]))
    styles.append(plots.style([record("vae", warmup_share=1, steps=None, prior="glyphs")]))
    assert len({(s["color"], s["marker"], s["mfc"], s["ls"]) for s in styles}) == len(styles)


def test_the_best_generator_at_both_ends_of_eps_with_the_most_members():
    runs = [
        record("vae", 1.0, 0.5), record("vae", 1.0, 0.7, seed=1), record("gan", 1.0, 0.55),
        record("gan", 3.0, 0.99), record("ddpm", "inf", 0.9), record("copycat", "inf", 0.95),
        record("ddpm", 1.0, 0.99, n=100),
    ]  # fmt: skip
    assert plots.best_against_eps(runs) == (
        "digits, n = 500: at best 60.0 % at ε = 1 (VAE), 90.0 % at ε = ∞ (DDPM); the real members give 94.1 %"
    )


def test_the_best_from_the_fewest_and_from_the_most_at_the_least_eps():
    cells = product((1.0, 10.0), (100, 300, 500))
    runs = [record("vae", eps, accuracy=n / 1000, n=n) for eps, n in cells]
    runs.append(record("gan", 10.0, accuracy=0.9, n=100))
    assert plots.best_against_n(runs).startswith(
        "digits, ε = 1: at best 10.0 % from 100 images (VAE), 50.0 % from 500 images (VAE); the real"
    )


def test_auc_where_there_is_no_accuracy_and_nothing_where_there_is_neither():
    runs = [record("vae", 1.0)]
    runs[0]["utility"]["synthetic"]["accuracy"] = null("one class")
    runs[0]["utility"]["synthetic"]["auc"] = m(0.75, 0.05)
    assert ": at best AUC 0.750 at ε = 1 (VAE)" in plots.best_against_eps(runs)
    runs[0]["utility"]["synthetic"]["auc"] = null("one class")
    assert plots.best_against_eps(runs) == "digits, n = 500"


def test_a_title_fits_its_figure_and_a_dollar_is_no_formula():
    drawn = plots.figure([record(dataset="pay $5 and $6 " + "at length " * 20)])
    title = drawn.get_suptitle()
    assert title.startswith(r"pay \$5 and \$6 ")
    assert max(map(len, title.split("\n"))) <= 10 * drawn.get_figwidth() + 2
    assert plots.png(drawn).startswith(b"\x89PNG")
