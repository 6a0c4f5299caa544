"""fpu/report/rows.py, on the page: attacks, audits, distances, the empirical epsilon of the paper."""

import re

from fake_records import m, null, record

from fpu import report
from fpu.privacy import samples_only
from fpu.report import metrics, rows


def page(run):
    return report.page(run, b"\x89PNG pretended")


def test_the_rare_rate_has_a_column_only_where_it_was_seen():
    run = record(eps=1.0)
    assert "TPR at 0.1 %" not in page(run)
    run["privacy"]["attacks"]["loss"]["tpr_at_01_fpr"] = m(0.004, 0.001, 500)
    assert page(run).count("TPR at 0.1 %") == 5  # a head, two attacks, guessing and the limit
    assert re.search(r"0\.40* %", page(run))


def test_metrics_classifiers_and_attacks_of_later_versions_are_shown_by_their_key():
    run = record()
    run["fidelity"]["synthetic"]["vendi_score"] = m(3.21, 0.1)
    run["utility"]["a_rival"] = {"accuracy": m(0.4321, 0.1)}
    run["privacy"]["attacks"]["loss"]["tpr_at_10_fpr"] = m(0.135, 0.01)
    run["privacy"]["distance_to_closest_record"] = {"median_gap": m(0.246, 0.01)}
    text = page(run)
    names = "vendi score", "a rival", "tpr at 10 fpr", "median gap"
    for shown in (*names, "3.21", "43", "0.135", "0.246"):
        assert shown in text


def test_recall_has_a_line_for_each_class():
    run = record()
    assert rows.recall(run) is None
    run["utility"]["synthetic"]["recall"] = {"0": m(0.5, 0.1), "1": null("no image"), "x": m(1, 0)}
    run["data"]["class_names"] = ["cat", "dog"]
    lines = rows.recall(run).lines
    assert [line.label for line in lines] == ["cat", "dog", "x"]
    assert [m["reason"] for m, _ in lines[1].cells] == ["no image", "not in this record"]


def test_a_record_without_audit_distances_or_epsilon_shows_none():
    text = page(record())
    for title in ("Audit", "Distance to the closest", "empirical epsilon"):
        assert title not in text


def test_an_audit_stands_beside_the_best_it_could_have_shown():
    run = record()
    row = {"bound": 0.25, "ceiling": 0.77, "at_alarm": 0.11, "limit": 5.5, "claim": 1.0}
    verdicts = {"held": "Held: no bound", "refuted": "release nothing", "could not tell": "Could"}
    for verdict, words in verdicts.items():
        refuted = verdict == "refuted"
        scores = {"elbo": {"one_run": row | {"refuted": refuted, "confidence": 0.95}}}
        run["privacy"]["audit"] = {
            "kind": "one_run", "canaries": 500, "scores": scores, "refuted": refuted, "verdict": verdict,
            "limit": 5.5, "catches": {"no noise": True, "half of the noise": False},
        }  # fmt: skip
        text = page(run)
        for shown in ("one run, 500 canaries", "0.25", "0.77", "0.11", "5.5", words):
            assert shown in text
        assert "would have caught: no noise." in text
        assert ("refutes the claim" in text) == refuted
        for other in set(verdicts.values()) - {words}:
            assert other not in text
    run["privacy"]["audit"] = {"kind": "one_run", "reason": "12 <members>", "refuted": False}
    assert "12 &lt;members&gt;" in page(run)


def test_distances_and_the_papers_epsilon_say_what_they_are_not():
    run = record()
    run["privacy"]["distance_to_closest_record"] = {
        "ks": m(0.31, 0.02), "ks_nearer": null("too few"), "area": m(-0.2, 0.1), "curve": None
    }  # fmt: skip
    overall = {"as_coded": m(0.4, 0.3), "with_dimension": m(0.8, 0.6)}
    run["privacy"]["empirical_epsilon"] = {"overall": overall}
    text = page(run)
    for shown in ("0.31", "too few", "nothing about privacy", "No bound on", "0.80"):
        assert shown in text


def test_every_attack_says_in_words_what_it_looks_at():
    run = record()
    names = "lira_loss", "domias", "of_tomorrow"
    run["privacy"]["attacks"] = {name: {"auc": m(0.5, 0.03)} for name in names}
    notes = {line.label: line.note for line in rows.attacks(run).lines}
    assert "denser around it" in notes["domias"]
    assert "trained with and without it" in notes["lira loss"]
    assert notes["of tomorrow"] == ""
    assert set(samples_only.SAMPLES_ONLY) <= set(metrics.TRIED)
