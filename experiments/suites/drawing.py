"""What the tables and figures of several suites share."""


def grid(header, rows) -> str:
    """A markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def counts(ax, rows):
    """A logarithmic axis of the counts n of rows."""
    counts = sorted({r["n"] for r in rows})
    ax.set_xscale("log")
    ax.set_xticks(counts, [f"{count:,}" for count in counts])
    ax.minorticks_off()
