"""Claims and figures of arXiv:2606.07640, from records: `python -m experiments.report` adds them to a comparison."""

from collections.abc import Sequence

from experiments.paper import claims, figures
from fpu.report import Extras, Picture, plots


def extras(runs: Sequence[dict]) -> Extras:
    """Its figure of each data set with runs of its preset, and tests of its claims where there are any."""
    pictures = []
    for name in sorted({run["data"]["name"] for run in runs}):
        drawn = figures.figure([run for run in runs if run["data"]["name"] == name])
        if drawn is not None:
            about = f"The figures of the paper's own protocol: {name}"
            pictures.append(Picture(name, "paper", about, plots.png(drawn)))
    tests = claims.claims(runs)
    if not tests:
        return Extras(pictures)
    return Extras(pictures, [claims.section(tests)], {"claims.md": claims.markdown(tests).encode()})
