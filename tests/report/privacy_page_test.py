"""fpu/report/privacy.py: attacks and their curves, from the record alone."""

import re

from fake_records import m, null, record

from fpu.privacy import bounds
from fpu.report.privacy import privacy


def with_curves(count, **facts):
    """A record with `count` attacks, the strongest last, each with a curve, but the very strongest."""
    held = record(**facts)
    held["privacy"]["attacks"] = {
        f"attack{i}": {
            "auc": m(0.5 + 0.01 * i, 0.03, 1000),
            "roc": {"fpr": [0, 0.1, 0.1, 1, 1], "tpr": [0, 0, 0.2 + 0.01 * i, 0.3, 1]},
        }
        for i in range(count)
    }
    del held["privacy"]["attacks"][f"attack{count - 1}"]["roc"]
    return held


def curves(page):
    return re.findall(r'class="roc (roc\d)" d="M48', page), re.findall(
        r'class="key".*?>(.*?)<', page
    )


def test_the_four_strongest_attacks_that_have_a_curve_are_drawn_beside_what_is_excluded():
    page = privacy(with_curves(7))
    lines, names = curves(page)
    assert lines == ["roc0", "roc1", "roc2", "roc3"]
    assert names == ["excluded by (ε, δ)", "guessing", "attack5", "attack4", "attack3", "attack2"]
    nothing_excluded = curves(privacy(with_curves(3, eps="inf")))[1]
    assert nothing_excluded == ["guessing", "attack1", "attack0"]


def test_the_edge_is_that_of_a_swap():
    held = with_curves(3, eps=0.5)["privacy"]
    edge = re.search(r'class="limit" d="M[\d.]+ [\d.]+L([^L]+)L', privacy(with_curves(3, eps=0.5)))
    eps, delta = bounds.swapped(held)
    height = (310 - float(edge[1].split()[1])) / 300  # of the axis, three decades
    assert abs(10 ** (3 * (height - 1)) - bounds.highest_tpr(1e-3, eps, delta)) < 1e-4


def test_a_record_without_curves_has_no_picture():
    assert 'class="curves"' not in privacy(record())
    held = record()
    held["privacy"]["attacks"] = {
        "loss": {"auc": null("20 are needed"), "roc": {"fpr": [0, 1], "tpr": [0, 1]}}
    }
    assert 'class="curves"' not in privacy(held)


def test_the_rare_rate_has_a_column_only_where_it_was_seen():
    held = record(eps=1.0)
    assert "TPR at 0.1 %" not in privacy(held)
    held["privacy"]["attacks"]["loss"]["tpr_at_01_fpr"] = m(0.004, 0.001, 500)
    page = privacy(held)
    assert page.count("TPR at 0.1 %") == 5  # a head, two attacks, guessing and the limit
    assert re.search(r"0\.40* %", page)
