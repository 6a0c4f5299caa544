"""A comparison of runs: its tables and pictures, and the files that a folder of results holds."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from fpu.report import compare, frame, panels, plots
from fpu.report.frame import Table
from fpu.report.settings import by


class Picture(NamedTuple):
    """A figure of one data set."""

    dataset: str
    kind: str  # part of its file's name: "", "n", "triangle", "roc", or that of an extra
    about: str  # for readers who cannot see it
    png: bytes


class Section(NamedTuple):
    """A further section of the page: a title, lines, a table and a note."""

    title: str
    lines: Sequence[str]
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str


class Extras(NamedTuple):
    """What a caller adds to a comparison: pictures of a data set, sections of the page, files of the folder."""

    pictures: Sequence[Picture] = ()
    sections: Sequence[Section] = ()
    files: dict[str, bytes] = {}  # noqa: RUF012 (never changed)


class Comparison(NamedTuple):
    """Everything that is shown of several runs."""

    runs: Sequence[dict]
    tables: dict[str, Table]  # by data set
    pictures: list[Picture]
    pareto: list[Table]
    sections: Sequence[Section]
    files: dict[str, bytes]


def comparison(
    runs: Sequence[dict], extras: Callable[[Sequence[dict]], Extras] | None = None
) -> Comparison:
    """Compare runs, at least one. extras: called with them; what it returns comes after the rest."""
    added = extras(runs) if extras else Extras()
    on_data = dict(sorted(by(runs, lambda run: run["data"]["name"]).items()))
    tables = dict(zip(on_data, frame.tables(runs), strict=True))
    pictures = [picture for some in on_data.items() for picture in _pictures(*some)]
    pictures += added.pictures
    return Comparison(runs, tables, pictures, compare.pareto(runs), added.sections, added.files)


def _pictures(name: str, runs: Sequence[dict]) -> list[Picture]:
    """Of the runs on one data set: against eps; against n where it differs; triangles; ROC curves."""
    axes = "Utility, fidelity and privacy against"
    against_n = plots.figure(runs, "n") if len(set(map(plots.count, runs))) > 1 else None
    figures = (
        ("", f"{axes} ε", plots.figure(runs)),
        ("n", f"{axes} the number of members", against_n),
        ("triangle", "Fidelity, privacy and utility as triangles", panels.triangles(runs)),
        ("roc", "ROC curves of the strongest attacks", panels.rocs(runs)),
    )
    return [
        Picture(name, kind, f"{about}: {name}", plots.png(figure))
        for kind, about, figure in figures
        if figure is not None
    ]


def files(shown: Comparison) -> dict[str, bytes]:
    """{file name: content} of all pictures, the Pareto sets, one line of CSV for each run, and the extras' files."""
    contents = {}
    for picture in shown.pictures:
        stem = Path(picture.dataset).stem
        contents[f"{stem}-{picture.kind}.png" if picture.kind else f"{stem}.png"] = picture.png
    contents["runs.csv"] = frame.csv(shown.runs).encode()
    if shown.pareto:
        head = ["# Pareto sets at matched ε", compare.PARETO_NOTE]
        contents["pareto.md"] = frame.printed(head, shown.pareto).encode()
    return contents | shown.files
