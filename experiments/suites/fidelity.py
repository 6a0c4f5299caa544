"""Calibration of the fidelity metrics: what they say of a perfect generator, from how few images.

Every metric on two samples of the same real images, again and again: its mean (bias), how much it scatters (spread),
and whether its interval is as wide as that.
"""

import math

import numpy as np
from matplotlib.figure import Figure

from experiments.suites import drawing
from fpu import data, fidelity
from fpu.fidelity import features, memorisation
from fpu.utility import classifier

COUNTS = (50, 100, 500, 1000)
REPEATS = 10
REFERENCE = 2000  # images that teach the feature network, at most a third of all


def measure(say, name, data_dir) -> dict:
    """{'dataset', 'source', 'repeats', 'rows'} of one data set; see `fresh`.

    Args:
      say: called with one line for each count.
      name, data_dir: as data.load takes them.
    """
    dataset = data.load(name, data_dir)
    facts = {"dataset": dataset.name, "source": dataset.source, "repeats": REPEATS}
    return facts | {"rows": fresh(dataset, say)}


def fresh(dataset, say) -> list[dict]:
    """For each count and metric: mean, standard deviation and stated error over REPEATS pairs of real samples.

    Each repeat draws, class by class, n images in the place of the test set, n in that of the synthetic one, and for
    memorisation n members and n unseen besides. 'stated' is the mean half-width of the intervals over 1.96, 'held' the
    share of them that hold the mean of all repeats, 'null' the share of repeats in which the metric says it cannot say.
    """
    order = np.random.default_rng(0).permutation(len(dataset.labels))
    cut = min(REFERENCE, len(order) // 3)
    taught = order[:cut]
    images, labels = dataset.images[order[cut:]], dataset.labels[order[cut:]]
    reference = dataset.images[taught], dataset.labels[taught], dataset.n_classes
    domain, _ = features.domain(*reference, seed=0, steps=classifier.STEPS, scale=reference[0])
    plain = features.random(dataset.shape, dataset.n_classes, seed=0, scale=reference[0])
    rows = []
    for n in COUNTS:
        found = []
        for repeat in range(REPEATS):
            rng = np.random.default_rng([n, repeat])
            sides = _sides(rng, labels, n)
            if sides is None:
                break
            real, fake, members, unseen = (images[side] for side in sides)
            y = labels[sides[0]]
            one = fidelity.compare(domain(real), domain(fake), y, rng)
            one |= fidelity.control(plain(real), plain(fake), y, rng)
            one["near_copies"] = memorisation.near_copies(members, unseen, fake, rng)
            seen = [plain(x) for x in (members, unseen, fake)]
            one["authenticity"] = memorisation.authenticity(*seen, rng)
            one["data_copying"] = memorisation.data_copying(*seen, rng)
            found.append(one)
        say(f"calibration: fresh images, n = {n}: {len(found)} repeats")
        rows += (
            [{"n": n, "metric": name} | _spread([one[name] for one in found]) for name in found[0]]
            if found
            else []
        )
    return rows


def _sides(rng, labels, n):
    """Four disjoint index arrays of n images with the same class counts; None where they run out."""
    queues = [rng.permutation(np.flatnonzero(labels == k)) for k in range(labels.max() + 1)]
    counts = [n // len(queues) + (k < n % len(queues)) for k in range(len(queues))]
    if any(4 * count > len(queue) for count, queue in zip(counts, queues, strict=True)):
        return None
    return [
        np.concatenate([q[i * c : (i + 1) * c] for q, c in zip(queues, counts, strict=True)])
        for i in range(4)
    ]


def _spread(metrics) -> dict:
    known = [m for m in metrics if m["value"] is not None]
    row = {"null": 1 - len(known) / len(metrics)}
    if len(known) < 2:
        return row | {"reason": metrics[0].get("reason")}
    values = np.array([m["value"] for m in known])
    low, high = (np.array([m[end] for m in known]) for end in ("low", "high"))
    return row | {
        "mean": float(values.mean()),
        "sd": float(values.std(ddof=1)),
        "stated": float((high - low).mean() / 2 / 1.96),
        "held": float(np.mean((low <= values.mean()) & (values.mean() <= high))),
    }


def table(result) -> str:
    """A row per metric, a column per count."""
    rows = result["rows"]
    names, counts = (list(dict.fromkeys(row[key] for row in rows)) for key in ("metric", "n"))
    return (
        f"Fresh real images of {result['dataset']}, {result['repeats']} repeats: mean ± standard deviation "
        "(stated error)\n\n"
        + drawing.grid(
            ["metric", *(f"n = {n:,}" for n in counts)],
            [[name, *(_said(rows, name, n) for n in counts)] for name in names],
        )
    )


def _said(rows, metric, n) -> str:
    (row,) = (r for r in rows if (r["metric"], r["n"]) == (metric, n))
    if "mean" not in row:
        return "null"
    return f"{row['mean']:.3g} ± {row['sd']:.2g} ({row['stated']:.2g})"


def figure(result) -> Figure:
    """A panel per metric: its mean against n, with its spread and with its stated interval."""
    names = list(dict.fromkeys(row["metric"] for row in result["rows"]))
    across = 4
    down = math.ceil(len(names) / across)
    drawn = Figure(figsize=(13, 2.5 * down), layout="constrained")
    axes = drawn.subplots(down, across).ravel()
    for ax, name in zip(axes, names, strict=False):
        rows = [r for r in result["rows"] if r["metric"] == name and "mean" in r]
        n, mean, sd, stated = (
            np.array([r[k] for r in rows]) for k in ("n", "mean", "sd", "stated")
        )
        ax.errorbar(
            n, mean, 1.96 * sd, fmt="o", color="#0072b2", capsize=3, label="1.96 sd over repeats"
        )
        ax.errorbar(
            1.12 * n, mean, 1.96 * stated, fmt="none", ecolor="#d55e00", label="stated interval"
        )
        ax.set_title(name.replace("_", " "), fontsize=9)
        drawing.counts(ax, result["rows"])
    axes[0].legend(fontsize=7)
    for ax in axes[len(names) :]:
        ax.axis("off")
    drawn.suptitle(f"What the metrics say of fresh real images of {result['dataset']}", fontsize=11)
    drawn.supxlabel("images on each side", fontsize=9)
    return drawn
