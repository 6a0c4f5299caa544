import base64
from html.parser import HTMLParser

import pytest
from fake_records import m, null, record

from fpu import report
from fpu.report import verdict

PNG = b"\x89PNG pretended"
VOID = {"meta", "img", "br", "path", "circle", "rect"}


class Outline(HTMLParser):
    """Tags that do not close, what is loaded from where, and the text."""

    def __init__(self):
        super().__init__()
        self.open, self.loads, self.tags, self.text = [], [], set(), ""
        self.ids, self.links = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            elif name == "href" and value.startswith("#"):
                self.links.append(value[1:])
            elif name in ("src", "href", "srcset", "data", "action"):
                self.loads.append(value)
        if ("class", "scroll") in attrs:
            assert {"tabindex", "role", "aria-label"} <= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


def outline(html):
    parsed = Outline()
    parsed.feed(html)
    assert parsed.open == []
    return parsed


def overview(runs):
    return report.overview(report.comparison(runs))


def test_the_page_is_self_contained_and_well_formed():
    run = record()
    run["privacy"]["attacks"]["loss"]["roc"] = {"fpr": [0, 0.2, 1], "tpr": [0, 0.3, 1]}
    html = report.page(run, PNG)
    parsed = outline(html)
    samples, roc = parsed.loads
    assert samples == "data:image/png;base64," + base64.b64encode(PNG).decode()
    assert roc.startswith("data:image/png;base64,iVBOR")
    assert not parsed.tags & {"script", "link", "iframe", "object", "base"}
    assert "url(" not in html
    assert "@import" not in html


def test_the_page_holds_every_metric_with_interval_and_count():
    text = outline(report.page(record(), PNG)).text
    numbers = ("82.0 %", "[78.2, 85.8]", "94.1 %", "0.0412", "[0.0352, 0.0472]", "n = 360")
    others = ("7.46 %", "50,012", "model_config.width", "recipe.learning_rate", "dp_accounting")
    for shown in (*numbers, *others, "0.10.2", record()["privacy"]["statement"]):
        assert shown in text


def test_everything_from_outside_is_escaped():
    evil = "<script>alert('x')</script>&"
    run = record(model=evil, dataset=evil, note=evil)
    run["data"] |= {"class_names": [evil] * 10, "source": evil, "notes": {evil: evil}}
    run["privacy"] |= {"statement": evil, "relation": evil, "attacks": {evil: {"auc": null(evil)}}}
    run["fidelity"]["synthetic"] = {"kid": null(evil), evil: m(1, 0.1)}
    run["cost"]["device"] = run["versions"]["jax"] = evil
    run["config"]["preset"] = evil
    for html in (report.page(run, PNG), overview([run])):
        assert "script" not in outline(html).tags
        assert "alert" in html


def test_a_metric_without_a_value_shows_its_reason():
    run = record()
    run["fidelity"]["synthetic"]["recall"] = null("7 images; at least 50 are needed")
    run["utility"]["synthetic"] = {"accuracy": null("no test images")}
    run["privacy"]["attacks"] = {"loss": {"auc": null("no non-members")}}
    text = outline(report.page(run, PNG)).text
    for reason in ("7 images; at least 50 are needed", "no test images", "no non-members"):
        assert reason in text


def with_prior(plain, one_shot=0.8, model="ddpm", share=1, members=0, **config):
    """A record whose prior is glyphs, and draws of `gaussian` beside."""
    more = {"prior": "glyphs", "prior_version": "3", "warmup_share": share, "components": 1}
    run = record(model, steps=None, **more, **config)
    knows = "shapes drawn by code"
    about = {"name": "glyphs", "version": "3", "knows": knows, "n_images": 80_000}
    run["prior"] = about | {"members_among_them": members}
    run["utility"]["gaussian"] = {"accuracy": m(plain, 0.03)}
    if model != "prior":
        run["utility"]["one_shot"] = {"accuracy": m(one_shot, 0.03)}
    return run


@pytest.mark.parametrize(
    ("plain", "one_shot", "mark", "flag"),
    [
        (0.60, 0.90, "bad", "--model=prior"),
        (0.90, 0.60, "bad", "--model=gaussian"),
        (0.60, 0.60, "good", None),
    ],
)
def test_a_model_is_compared_with_its_teacher_and_with_gaussian(plain, one_shot, mark, flag):
    finding = verdict.worth(with_prior(plain, one_shot))
    assert finding.mark == mark
    assert "one release of class means in the space of glyphs" in finding.text
    assert f"`gaussian`, without the prior, give {100 * plain:.1f}" in finding.text
    assert ("use --model=" in finding.text) == bool(flag)
    assert (flag or "") in finding.text


@pytest.mark.parametrize("model", ["ddpm", "prior"])
@pytest.mark.parametrize(("plain", "mark"), [(0.6, "good"), (0.79, "fair"), (0.9, "bad")])
def test_a_prior_that_hurts_is_told_in_a_sentence(model, plain, mark):
    run = with_prior(plain, model=model, share=model == "ddpm")
    finding = verdict.helped(run)
    assert finding.mark == mark
    told = "The prior does not fit these images: use --prior=none."
    for text in (finding.text, " ".join(verdict.screen(run)), outline(report.page(run, PNG)).text):
        assert (told in text) == (mark == "bad")
    assert verdict.helped(record()) is None


def test_members_among_the_public_images_are_a_warning():
    assert verdict.shared(with_prior(0.5)) is None
    assert verdict.shared(record()) is None
    run = with_prior(0.5, members=2)
    finding = verdict.shared(run)
    assert finding.mark == "bad"
    assert "2 members are, pixel for pixel, among the images of the prior glyphs" in finding.text
    assert finding.text in " ".join(verdict.screen(run))


def test_the_page_and_the_screen_tell_what_taught_what():
    run = with_prior(0.6, draws=10_000, draw_steps=1000)
    chain = "release of class means in the space of glyphs -> 10,000 draws -> DDPM, 1,000 steps; no DP-SGD"
    text = outline(report.page(run, PNG)).text
    for told in (chain, "The prior glyphs, version 3: shapes drawn by code.", "80,000 were there"):
        assert told in text
    assert verdict.screen(run) == [
        chain,
        "accuracy on real test images, trained on: these images 82.0 % [78.2, 85.8]; draws of the release 80.0 % "
        "[77.0, 83.0]; draws of `gaussian` 60.0 % [57.0, 63.0]; the members 94.1 % [91.7, 96.5]",
    ]
    assert "<img" in report.page(run, PNG)
    assert "prior" not in outline(report.page(record(), PNG)).text


def test_the_page_of_a_run_that_diverged_shows_no_images():
    lost = record() | {"fidelity": {}, "utility": {}, "diverged": "not finite"}
    page = report.page(lost, None)
    assert "No images: training diverged" in page
    assert "<img" not in page
    assert "Usefulness was not measured" not in page
    assert "<figure" in overview([lost])


def test_pages_have_a_main_part_and_contents_that_lead_somewhere():
    lost = record() | {"fidelity": {}, "utility": {}, "diverged": "not finite"}
    for html in (report.page(record(), PNG), report.page(lost, None), overview([record()])):
        parsed = outline(html)
        assert "main" in parsed.tags
        assert parsed.links
        assert set(parsed.links) <= set(parsed.ids)
        assert len(set(parsed.ids)) == len(parsed.ids)


def test_a_comparison_opens_with_what_was_found_and_holds_the_table():
    parsed = outline(overview([record(accuracy=0.82), record("vae", 3.0, accuracy=0.7)]))
    assert parsed.text.index("at best 82.0 %") < parsed.text.index("attack AUC")
    assert "VAE" in parsed.text
    assert all(source.startswith("data:image/png;base64,") for source in parsed.loads)


def test_another_run_stands_below_the_interval_of_this_one_and_in_the_three_lines_of_a_terminal():
    run = record()
    run["utility"]["synthetic"]["accuracy"]["another"] = [0.61, 0.93]
    assert "another run: [61, 93]" in outline(report.page(run, PNG)).text
    accuracy, coverage, privacy = report.brief(run)
    assert accuracy.startswith("accuracy: 82.0")
    assert "another run: [61, 93]" in accuracy
    assert coverage.startswith("coverage: 62.0")
    assert privacy == "privacy: Strong guarantee: ε = 1"
