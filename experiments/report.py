"""Compare runs, with the claims and figures of arXiv:2606.07640: tables, figures, one HTML page.

    python -m experiments.report runs --out=comparison.html

As `fpu report` (see fpu/commands/report.py), which leaves the paper out. The page and the folder also hold
DATASET-paper.png and claims.md.
"""

from experiments import paper
from fpu.commands import door, report

define_flags, WORDS = report.define_flags, report.WORDS


def main(argv: list[str]) -> None:
    """As fpu.commands.report.main, with the paper's claims and figures."""
    report.main(argv, extras=paper.extras)


if __name__ == "__main__":
    door.enter("experiments.report")
