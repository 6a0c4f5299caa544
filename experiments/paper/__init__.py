"""Claims and figures of arXiv:2606.07640, from records: `python -m experiments.report` adds them to a comparison."""

from collections.abc import Sequence

from experiments.paper import claims, epsilons, figures
from fpu.report import Extras, Picture, Section, plots
from fpu.report.settings import by
from fpu.report.words import grid


def extras(runs: Sequence[dict]) -> Extras:
    """Its figure of each data set with runs of its preset, tests of its claims, and its epsilon beside the truth."""
    pictures = []
    for name, some in sorted(by(runs, lambda run: run["data"]["name"]).items()):
        if (drawn := figures.figure(some)) is not None:
            about = f"The figures of the paper's own protocol: {name}"
            pictures.append(Picture(name, "paper", about, plots.png(drawn)))
    sections = [claims.section(tests)] if (tests := claims.claims(runs)) else []
    sections += [table] if (table := epsilons.section(runs)) else []
    text = "\n".join(map(markdown, sections))
    return Extras(pictures, sections, {"claims.md": text.encode()} if sections else {})


def markdown(section: Section) -> str:
    """A section of the page, as markdown."""
    lines = "".join(f"* {line}\n" for line in section.lines) + "\n" * bool(section.lines)
    return f"# {section.title}\n\n{lines}{grid(section.header, section.rows, '---')}\n\n{section.note}\n"
