"""Calibration of the fidelity metrics: what they say of a perfect generator, from how few images.

Each metric compares two samples of the same real images, many times. Its mean over the repeats is its bias, its
standard deviation is what its stated interval should be as wide as.
"""

from collections.abc import Callable

import numpy as np

from fpu import data, fidelity
from fpu.fidelity import features, memorisation
from fpu.report import words
from fpu.utility import classifier

COUNTS = (50, 100, 500, 1000)
REPEATS = 10
REFERENCE = 2000  # images that the feature network learns from, at most a third of all


def measure(say: Callable[[str], None], name: str, data_dir: str | None) -> dict:
    """{'dataset', 'source', 'repeats', 'rows'} of one data set: a row for each count and metric.

    'mean' and 'sd' are over REPEATS pairs of real samples. Each repeat draws, class by class, n images for the test
    set, n for the synthetic set, and for memorisation n members and n unseen images. 'stated' is the mean half-width of
    the intervals over 1.96, 'covering' the share of them that cover the mean of all repeats, 'null' the share of
    repeats in which the metric is null.
    """
    dataset = data.load(name, data_dir)
    order = np.random.default_rng(0).permutation(len(dataset.labels))
    cut = min(REFERENCE, len(order) // 3)
    reference, rest = order[:cut], order[cut:]
    images, labels = dataset.images[rest], dataset.labels[rest]
    scale = dataset.images[reference]
    domain, _ = features.domain(
        scale,
        dataset.labels[reference],
        dataset.n_classes,
        seed=0,
        steps=classifier.STEPS,
        scale=scale,
    )
    plain = features.random(dataset.shape, dataset.n_classes, seed=0, scale=scale)
    rows = []
    for n in COUNTS:
        repeats = []
        for repeat in range(REPEATS):
            rng = np.random.default_rng([n, repeat])
            samples = _samples(rng, labels, n)
            if samples is None:
                break
            sets = [images[sample] for sample in samples]
            repeats.append(_metrics(sets, labels[samples[0]], domain, plain, rng))
        say(f"fidelity: fresh images, n = {n}: {len(repeats)} repeats")
        for metric in repeats[0] if repeats else ():
            rows.append({"n": n, "metric": metric} | _spread([one[metric] for one in repeats]))
    facts = {"dataset": dataset.name, "source": dataset.source, "repeats": REPEATS}
    return facts | {"rows": rows}


def _metrics(
    sets: list[np.ndarray],
    labels: np.ndarray,
    domain: Callable,
    plain: Callable,
    rng: np.random.Generator,
) -> dict[str, dict]:
    """Every metric of fresh images: `sets` are real, synthetic, members and unseen, in trained and random features."""
    real, synthetic, members, unseen = sets
    metrics = fidelity.compare(domain(real), domain(synthetic), labels, rng)
    metrics |= fidelity.control(plain(real), plain(synthetic), labels, rng)
    metrics["near_copies"] = memorisation.near_copies(members, unseen, synthetic, rng)
    embedded = plain(members), plain(unseen), plain(synthetic)
    metrics["authenticity"] = memorisation.authenticity(*embedded, rng)
    metrics["data_copying"] = memorisation.data_copying(*embedded, rng)
    return metrics


def _samples(rng: np.random.Generator, labels: np.ndarray, n: int) -> list[np.ndarray] | None:
    """Four disjoint index arrays of n images with the same class counts; None where there are too few images."""
    queues = [rng.permutation(np.flatnonzero(labels == k)) for k in range(labels.max() + 1)]
    counts = [n // len(queues) + (k < n % len(queues)) for k in range(len(queues))]
    if any(4 * count > len(queue) for count, queue in zip(counts, queues, strict=True)):
        return None
    return [
        np.concatenate([q[i * c : (i + 1) * c] for q, c in zip(queues, counts, strict=True)])
        for i in range(4)
    ]


def _spread(metrics: list[dict]) -> dict:
    """The row of one metric over its repeats; only 'null' and the reason where fewer than two have a value."""
    valid = [m for m in metrics if m["value"] is not None]
    row = {"null": 1 - len(valid) / len(metrics)}
    if len(valid) < 2:
        return row | {"reason": metrics[0].get("reason")}
    values, low, high = (np.array([m[key] for m in valid]) for key in ("value", "low", "high"))
    return row | {
        "mean": float(values.mean()),
        "sd": float(values.std(ddof=1)),
        "stated": float((high - low).mean() / 2 / 1.96),
        "covering": float(np.mean((low <= values.mean()) & (values.mean() <= high))),
    }


def table(result: dict) -> str:
    """A row for each metric, a column for each count."""
    rows = {(row["metric"], row["n"]): row for row in result["rows"]}
    names, counts = (dict.fromkeys(key[i] for key in rows) for i in (0, 1))
    return (
        f"Fresh real images of {result['dataset']}, {result['repeats']} repeats: mean ± standard deviation "
        "(stated error)\n\n"
        + words.grid(
            ["metric", *(f"n = {n:,}" for n in counts)],
            [[name, *(_cell(rows[name, n]) for n in counts)] for name in names],
        )
    )


def _cell(row: dict) -> str:
    if "mean" not in row:
        return "null"
    return f"{row['mean']:.3g} ± {row['sd']:.2g} ({row['stated']:.2g})"
