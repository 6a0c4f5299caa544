"""fpu/report/tried.py: audits with how high they could have come, distances, the paper's epsilon."""

from fake_records import m, null, record

from fpu.report.tried import tried


def test_a_record_without_any_shows_nothing():
    assert tried(record()) == ""


def test_an_audit_stands_beside_the_best_it_could_have_shown():
    held = record()
    row = {"bound": 0.25, "ceiling": 0.77, "limit": 5.5, "claim": 1.0, "confidence": 0.95}
    for refuted, words in ((False, "The claim stands."), (True, "release nothing")):
        scores = {"elbo": {"one_run": row | {"refuted": refuted}}}
        held["privacy"]["audit"] = {
            "kind": "one_run", "canaries": 500, "scores": scores, "refuted": refuted
        }  # fmt: skip
        page = tried(held)
        for text in ("one run, 500 canaries", "0.25", "0.77", "5.5", words):
            assert text in page
        assert ("refutes the claim" in page) == refuted
    held["privacy"]["audit"] = {"kind": "one_run", "reason": "12 <members>", "refuted": False}
    assert "12 &lt;members&gt;" in tried(held)


def test_distances_and_the_papers_epsilon_say_what_they_are_not():
    held = record()
    held["privacy"]["distance_to_closest_record"] = {
        "ks": m(0.31, 0.02), "ks_nearer": null("too few"), "area": m(-0.2, 0.1), "curve": None
    }  # fmt: skip
    held["privacy"]["empirical_epsilon"] = {
        "overall": {"as_coded": m(0.4, 0.3), "with_dimension": m(0.8, 0.6)}
    }
    page = tried(held)
    for text in ("0.31", "too few", "nothing about privacy", "No bound on", "0.80"):
        assert text in page
