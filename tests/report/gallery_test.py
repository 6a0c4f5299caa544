"""fpu/report/gallery.py: what the page and the folder of a comparison hold."""

import numpy as np
from fake_records import record, runs

from fpu import report

THUMBNAIL = report.thumbnails(np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2, int))


def test_page_and_folder_hold_what_the_records_allow():
    assert set(report.files(report.comparison([record()]))) == {"digits.png", "runs.csv"}
    drawn = record("ddpm", 3.0) | {"thumbnails": THUMBNAIL}
    two = [*runs("gan", 1.0, [0.5, 0.5]), *runs("vae", 1.0, [0.5, 0.6])]
    shown = report.comparison([*two, record(n=100), drawn])
    files = report.files(shown)
    names = {"digits.png", "digits-n.png", "digits-triangle.png", "runs.csv", "pareto.md"}
    assert set(files) == names
    assert "in the Pareto set %" in files["pareto.md"].decode()
    page = report.overview(shown)
    for text in ("6 runs compared", "Pareto sets at matched", THUMBNAIL):
        assert text in page


def test_what_a_caller_adds_comes_last():
    def extras(shown):
        picture = report.Picture("digits", "mine", "a <picture>", b"\x89PNG")
        section = report.Section("Mine", ["a line"], ("a", "b"), [("<1>", "2")], "a note")
        return report.Extras([picture], [section], {"mine.txt": str(len(shown)).encode()})

    shown = report.comparison([record()], extras)
    assert shown.pictures[-1].kind == "mine"
    assert {"digits-mine.png", "mine.txt"} <= set(report.files(shown))
    assert report.files(shown)["mine.txt"] == b"1"
    page = report.overview(shown)
    for text in ('<h2 id="section-1">Mine</h2>', "&lt;1&gt;", "a note", "a &lt;picture&gt;"):
        assert text in page
