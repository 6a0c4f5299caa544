"""What a comparison of runs concludes: pairs, claims, Pareto sets, triangles, the paper's figures, thumbnails."""

import base64
import copy
import io

import numpy as np
import pytest
from fake_records import m, null, record
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

import fpu.report
from fpu.report import claims, gallery, paired, papers, pareto, rocs, schema, thumbnails, triangle


def runs(model, eps, accuracies, coverage=0.6, auc=0.51, **config):
    """One run for each accuracy, of seeds 0, 1, ..."""
    found = []
    for seed, accuracy in enumerate(accuracies):
        one = record(model, eps, accuracy, auc, seed=seed, **config)
        one["fidelity"]["synthetic"]["coverage"] = m(coverage + 0.001 * seed, 0.05)
        found.append(one)
    return found


def nominal(model, sigma, accuracies, **others):
    """Runs of the paper's preset; noise that buys an eps of a million."""
    found = runs(model, 1e6 if sigma else "inf", accuracies, preset="paper", **others)
    for one in found:
        one["privacy"]["noise_multiplier"] = sigma
    return found


def verdicts(found, claim, noise):
    return {c.tested: c.verdict for c in found if (c.claim, c.noise) == (claim, noise)}


def test_the_papers_story_is_confirmed_where_it_holds_and_refuted_where_it_does_not():
    steady = [0.90, 0.91, 0.92]
    told = [
        *nominal("gan", 0.0, steady), *nominal("gan", 0.4, [0.89, 0.90, 0.905]),
        *nominal("ddpm", 0.0, steady), *nominal("ddpm", 0.4, [0.90, 0.91, 0.915]),
        *nominal("vae", 0.0, steady), *nominal("vae", 0.2, steady), *nominal("vae", 0.4, [0.5, 0.52, 0.51]),
        *runs("gan", "inf", steady), *runs("gan", 1.0, [0.3, 0.31, 0.3]),
        *runs("vae", "inf", steady), *runs("vae", 1.0, [0.5, 0.51, 0.53]),
    ]  # fmt: skip
    found = claims.claims(told)
    kept = verdicts(found, 0, 0)
    assert kept["GAN keeps its utility"] == kept["DDPM keeps its utility"] == "confirmed"
    assert kept["DDPM keeps its fidelity"] == "confirmed"
    assert set(verdicts(found, 1, 0).values()) == {"confirmed", "open"}  # coverage is equal
    assert verdicts(found, 1, 0)["VAE loses utility faster than the GAN"] == "confirmed"
    assert verdicts(found, 0, 1)["GAN keeps its utility"] == "refuted"
    assert verdicts(found, 1, 1)["VAE loses utility faster than the GAN"] == "refuted"
    said = claims.summary(found)
    assert len(said) == 3
    assert "at nominal noise 4 confirmed, 0 refuted, 0 open" in said[0]
    (where,) = {c.where for c in found if c.claim == 0 and c.noise == 0}
    assert where == "digits, n = 500, σ = 0 to σ = 0.4"  # the least and the most


def test_losses_are_between_runs_of_one_delta_and_those_without_privacy_stand_in_each():
    told = runs("gan", "inf", [0.9, 0.91])
    for delta, accuracies in ((1e-5, [0.3, 0.31]), (2e-4, [0.5, 0.51])):
        for one in runs("gan", 1.0, accuracies):
            one["privacy"]["delta"] = delta
            told.append(one)
    kept = [c for c in claims.claims(told) if c.tested == "GAN keeps its utility"]
    assert [(c.where.rpartition("δ = ")[2], c.effect.split()[0]) for c in kept] == [
        ("1e-5", "60.0"),
        ("2e-4", "40.0"),
    ]


def test_one_pair_proves_nothing_and_other_members_are_no_pair():
    one = [*runs("gan", "inf", [0.9]), *runs("gan", 1.0, [0.1])]
    assert claims.claims(one) == []
    apart = copy.deepcopy([*runs("gan", "inf", [0.9, 0.9]), *runs("gan", 1.0, [0.1, 0.1])])
    for i, run in enumerate(apart):
        run["data"]["sha256_members"] = str(i)
    assert claims.claims(apart) == []


def test_an_axis_misleads_where_another_orders_the_same_models_the_other_way():
    a = runs("vae", 1.0, [0.5, 0.51, 0.52], coverage=0.9)
    b = runs("gan", 1.0, [0.7, 0.72, 0.73], coverage=0.2)
    both = paired.orders([*a, *b], ("utility", "fidelity"))
    assert [(x[1:]) for x in both] == [("VAE", "GAN", -1, 1)]
    told = "utility misleads about fidelity"
    assert verdicts(claims.claims([*a, *b]), 2, 1)[told] == "open"  # one pair may be chance
    again = copy.deepcopy([*a, *b])
    for run in again:
        run["data"]["n_members"] = 100
    assert verdicts(claims.claims([*a, *b, *again]), 2, 1)[told] == "confirmed"
    agree = runs("gan", 1.0, [0.7, 0.72, 0.73], coverage=0.99)
    (found,) = verdicts(claims.claims([*a, *agree]), 2, 1).values()
    assert found == "open"  # one pair that agrees does not refute
    assert (
        paired.orders([*a, *runs("copycat", 1.0, [0.9, 0.9, 0.9])], ("utility", "fidelity")) == []
    )


def test_settings_differ_by_data_members_noise_and_delta():
    base, other = record(), record("vae")
    assert list(paired.settings([base, other])) == [paired.setting(base)]
    for change in ({"n": 100}, {"eps": 3.0}, {"dataset": "mnist"}):
        assert paired.settings([base, record("vae", **change)]) == {}
    other["privacy"]["delta"] = 1e-5
    assert paired.settings([base, other]) == {}


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=2, max_size=6))
def test_without_error_membership_is_that_of_the_pareto_set(points):
    models = [(np.array([p], float), np.zeros((1, 3))) for p in points]
    for point, share in zip(points, pareto.membership(models), strict=True):
        beaten = any(
            all(a >= b for a, b in zip(other, point, strict=True)) and other != point
            for other in points
        )
        assert share == (not beaten)


def test_membership_is_unsure_where_runs_scatter():
    sure = (np.array([[0.9, 0.9, 0.5]] * 3), np.zeros((3, 3)))
    close = (np.array([[0.89, 0.9, 0.5]] * 3), np.full((3, 3), 0.02))
    first, second = pareto.membership([sure, close])
    assert 0.5 < first <= 1
    assert 0.3 < second < 0.95
    worse, better = runs("vae", 1.0, [0.5, 0.6], 0.1), runs("gan", 1.0, [0.9, 0.8], auc=0.3)
    (table,) = pareto.tables([*worse, *better])
    assert [row[:3] for row in table.rows] == [["GAN", "2", "100"], ["VAE", "2", "0"]]


def test_corners_are_shares_of_what_real_images_give():
    one = record(accuracy=0.5205, auc=0.6)
    one["fidelity"]["synthetic"]["coverage"] = m(0.475, 0.01)
    found = {axis: metric["value"] for axis, metric in triangle.corners(one).items()}
    assert found["utility"] == pytest.approx((0.5205 - 0.1) / (0.941 - 0.1))
    assert found["fidelity"] == pytest.approx(0.5)
    assert found["privacy"] == pytest.approx(0.8)
    one["fidelity"]["synthetic"]["coverage"] = null("too few")
    assert triangle.corners(one)["fidelity"]["value"] is None
    assert triangle.figure([one, record("vae")]) is None  # one model left
    drawn = triangle.figure([record(), record("vae"), record("gaussian", 10.0)])
    assert [ax.get_title() for ax in drawn.axes] == ["n = 500, ε = 1, δ = 2e-4"]
    assert "in 1 setting, no model" in drawn.get_suptitle()


def test_the_papers_ratio_takes_small_epsilons_for_a_tenth():
    one, *_ = nominal("vae", 0.1, [0.8])
    one["privacy"]["empirical_epsilon"] = {"overall": {"as_coded": m(-0.04, 0.1)}}
    assert papers.ratio(one)["value"] == pytest.approx(80 / 0.1)
    one["privacy"]["empirical_epsilon"]["overall"]["as_coded"] = m(-0.5, 0.1)
    assert papers.ratio(one)["value"] == pytest.approx(160)
    del one["privacy"]["empirical_epsilon"]
    assert papers.ratio(one)["value"] is None
    one["privacy"]["distance_to_closest_record"] = {
        "curve": {"distance": [1, 2], "synthetic": [0.2, 1], "heldout": [0.4, 1]}
    }
    drawn = papers.figure([one, *nominal("vae", 0.0, [0.9]), *nominal("gan", 0.0, [0.9])])
    ticks = [tick.get_text() for tick in drawn.axes[0].get_xticklabels()]
    assert ticks == ["0\nε ∞", "0.1\nε 1,000,000"]
    assert [ax.get_title().partition(":")[0] for ax in drawn.axes[-2:]] == ["VAE", "GAN"]
    assert papers.figure([record()]) is None


def test_a_curve_is_that_of_the_strongest_attack_that_has_one():
    one = record(auc=0.6)
    assert rocs.figure([one]) is None
    one["privacy"]["attacks"]["nearest_sample"]["roc"] = {"fpr": [0, 0.5, 1], "tpr": [0, 0.7, 1]}
    (ax,) = rocs.figure([one, record("vae")]).axes
    assert ax.get_title() == "n = 500, ε = 1, δ = 2e-4"
    (line,) = [line for line in ax.get_lines() if line.get_label() == "DDPM"]
    assert line.get_ydata().tolist() == [1e-3, 0.7, 1]
    assert "excluded by (ε, δ)" in ax.get_legend_handles_labels()[1]
    one["privacy"]["eps"] = "inf"
    (ax,) = rocs.figure([one]).axes
    assert "excluded by (ε, δ)" not in ax.get_legend_handles_labels()[1]


def test_thumbnails_show_classes_in_turn_and_nothing_else_passes_for_one():
    images = np.arange(30, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    text = thumbnails.encode(images, np.repeat([0, 1, 2], [2, 8, 20]))
    assert thumbnails.valid(text)
    strip = np.round(255 * imread(io.BytesIO(base64.b64decode(text)))[..., 0]).astype(int)
    assert strip.shape == (4, 5 * thumbnails.COUNT)
    assert strip[0, ::5].tolist() == [0, 2, 10, 1, 3, 11, 4, 12, 5, 13, 6, 14]
    for wrong in (3, "", "no base64!", base64.b64encode(b"<svg>").decode(), '"><script>'):
        assert not thumbnails.valid(wrong)
        assert schema.wrong(record() | {"thumbnails": wrong}) == "thumbnails"


def test_a_folder_holds_what_the_records_allow():
    one = [record()]
    assert set(gallery.files(one)) == {"digits.png", "runs.csv"}
    more = [
        *runs("gan", 10.0, [0.9, 0.8]), *runs("gan", 1.0, [0.5, 0.5]),
        *runs("vae", 1.0, [0.5, 0.6]), record(n=100), *nominal("vae", 0.1, [0.8]),
    ]  # fmt: skip
    found = gallery.files(more)
    assert {"digits-n.png", "digits-triangle.png", "digits-paper.png"} <= set(found)
    assert found["claims.md"].decode().startswith("# Claims of arXiv:2606.07640")
    assert "in the Pareto set %" in found["pareto.md"].decode()
    page = fpu.report.overview([*more, record("ddpm", 3.0) | {"thumbnails": THUMBNAIL}])
    for held in ("Pareto sets at matched", "keeps its utility", THUMBNAIL):
        assert held in page


THUMBNAIL = thumbnails.encode(np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2, int))
