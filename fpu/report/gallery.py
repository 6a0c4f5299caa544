"""Every picture and table of a comparison of runs: what the page shows, and what a folder of results holds."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fpu.report import claims, curves, papers, pareto, rocs, tables, triangle
from fpu.report.tables import Table


class Picture(NamedTuple):
    """A figure of one data set."""

    dataset: str
    kind: str  # "", "n", "triangle", "roc" or "paper"
    about: str  # what a reader who cannot see it is told
    png: bytes


def pictures(runs: Sequence[dict]) -> list[Picture]:
    """Of each data set, in alphabetical order: against eps; against n where they differ; triangle; ROC; the paper's."""
    found = []
    for name in sorted({r["data"]["name"] for r in runs}):
        mine = [r for r in runs if r["data"]["name"] == name]
        several = len({r["data"]["n_members"] for r in mine}) > 1
        drawn = (
            ("", "Utility, fidelity and privacy against ε", curves.figure(mine)),
            (
                "n",
                "Utility, fidelity and privacy against the number of members",
                curves.figure(mine, "n") if several else None,
            ),
            ("triangle", "Fidelity, privacy and utility as triangles", triangle.figure(mine)),
            ("roc", "ROC curves of the strongest attacks", rocs.figure(mine)),
            ("paper", "The figures of the paper's own protocol", papers.figure(mine)),
        )
        found += [
            Picture(name, kind, f"{about}: {name}", curves.png(figure))
            for kind, about, figure in drawn
            if figure is not None
        ]
    return found


def files(runs: Sequence[dict]) -> dict[str, bytes]:
    """{file name: content} of all pictures, the claims, the Pareto sets and one line of CSV for each run."""
    found = {}
    for picture in pictures(runs):
        stem = Path(picture.dataset).stem
        found[f"{stem}-{picture.kind}.png" if picture.kind else f"{stem}.png"] = picture.png
    found["runs.csv"] = tables.csv(runs).encode()
    if claims.claims(runs):
        found["claims.md"] = claims.markdown(runs).encode()
    if sets := pareto.tables(runs):
        found["pareto.md"] = _markdown("Pareto sets at matched ε", sets, pareto.NOTE).encode()
    return found


def _markdown(title: str, sets: Sequence[Table], note: str) -> str:
    parts = [f"# {title}", note]
    for one in sets:
        lines = [one.header, ["---"] + ["---:"] * (len(one.header) - 1), *one.rows]
        body = "\n".join(f"| {' | '.join(c.replace('|', '/') for c in line)} |" for line in lines)
        parts += [f"**{one.caption}**", body]
    return "\n\n".join(parts) + "\n"
