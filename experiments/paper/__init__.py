"""Claims and figures of arXiv:2606.07640, from records: `python -m experiments.report` adds them to a comparison."""

from collections.abc import Sequence

from experiments.paper import claims, figures
from fpu.report import Extras, Picture, plots
from fpu.report.settings import by


def extras(runs: Sequence[dict]) -> Extras:
    """Its figure of each data set with runs of its preset, and tests of its claims where there are any."""
    pictures = []
    for name, some in sorted(by(runs, lambda run: run["data"]["name"]).items()):
        if (drawn := figures.figure(some)) is not None:
            about = f"The figures of the paper's own protocol: {name}"
            pictures.append(Picture(name, "paper", about, plots.png(drawn)))
    tests = claims.claims(runs)
    if not tests:
        return Extras(pictures)
    return Extras(pictures, [claims.section(tests)], {"claims.md": claims.markdown(tests).encode()})
