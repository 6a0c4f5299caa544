"""What the figures of several suites share."""

from matplotlib.axes import Axes


def count_axis(ax: Axes, rows: list[dict]) -> None:
    """A logarithmic x axis with a tick at each count row["n"]."""
    counts = sorted({row["n"] for row in rows})
    ax.set_xscale("log")
    ax.set_xticks(counts, [f"{count:,}" for count in counts])
    ax.minorticks_off()
