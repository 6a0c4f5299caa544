"""fpu/report/verdict/lead.py: the first sentence says what was found, and the next what to do."""

import pytest
from fake_records import m, record

from fpu import report
from fpu.report import verdict


def test_the_page_begins_with_what_was_found_and_what_to_do():
    run = record(accuracy=0.93)
    found = (
        "1,000 synthetic images, made from 500 real ones of digits, hide whether any one real image was among them (a"
        " strong guarantee, ε = 1), and a program that learned from them alone is right about 93 of 100 real images,"
        " one that learned from the real ones about 94."
    )
    assert verdict.sentence(run) == found
    page = report.page(run, b"\x89PNG")
    assert page.index("<h1>") < page.index(found) < page.index("What to do next.")
    assert page.index("What to do next.") < page.index("<nav")


def test_groups_are_persons_and_few_test_images_say_nothing():
    run = record()
    run["privacy"]["unit"] = "group of images"
    run["utility"]["synthetic"]["accuracy"] = m(0.8, 0.25, 12)
    assert "any one person's images were among them" in verdict.sentence(run)
    assert "cannot be told from so few test images" in verdict.sentence(run)
    assert "test with more real images" in verdict.next_step(run)


@pytest.mark.parametrize(
    ("change", "found", "step"),
    [
        ({"eps": "inf"}, "may show the real ones", "Keep these images where the real ones are"),
        ({"eps": 0.1, "auc": 0.9}, "something is broken", "Release nothing"),
        ({"eps": 15.0}, "hide, though weakly,", "Ask whoever answers for these data"),
        ({"accuracy": 0.4}, "right about 40 of 100", "Do not train on these images"),
        ({"accuracy": 0.93}, "right about 93 of 100", "Hand out the folder release/"),
    ],
)
def test_the_next_step_follows_from_the_verdict(change, found, step):
    run = record(**change)
    assert found in verdict.sentence(run)
    assert step in verdict.next_step(run)


def test_neither_a_claim_nor_a_failure_is_handed_out():
    run = record() | {"diverged": "lower the learning rate"}
    assert verdict.sentence(run) == "Training failed: there are no synthetic images."
    for proof, found in (("claimed", "their maker's word"), ("unknown", "without any known")):
        run = record()
        run["privacy"]["proof"] = run["config"]["proof"] = proof
        assert found in verdict.sentence(run)
        assert "Hand out" not in verdict.next_step(run)
    run = record() | {"prior": {"name": "glyphs", "members_among_them": 3}}
    assert verdict.next_step(run).startswith("Release nothing before")
