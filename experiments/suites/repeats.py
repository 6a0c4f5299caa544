"""Calibration of the interval of another run: how often what a second run gives lies in what the first one states.

One-shot runs on digits, alike but for the mechanism's noise. Each states, from repeats on draws of its own release,
where another would lie (fpu/pipeline/repeats.py, intervals.another). Judged cheaply: accuracy of a linear probe, KID
and coverage in random features. Beside it the interval of the set itself, which leaves the noise out.
"""

from collections.abc import Callable

import jax
import numpy as np

from fpu import data, fidelity, intervals
from fpu.fidelity import features
from fpu.pipeline import draw, generator, jobs, repeats, settings
from fpu.report import words
from fpu.utility import linear

SETTINGS = (("gaussian", 1.0, 100), ("gaussian", 10.0, 40))  # model, eps, runs
PER_CLASS = 50
SUBSET, KEYS = 101, 70_000  # of which nothing that makes the interval has been fixed
IMAGES = 1000
KINDS = {"accuracy": "right", "kid": "square", "coverage": "share"}


def measure(say: Callable[[str], None]) -> dict:
    """{'dataset', 'n', 'repeats', 'rows'}: a row for each setting and metric."""
    rows = []
    for model, eps, count in SETTINGS:
        job = jobs.prepare(
            settings.Options(model=model, eps=eps, n_per_class=PER_CLASS, seed=SUBSET)
        )
        made = runs(job, count, say)
        rows += [
            {"model": model, "eps": eps, "runs": count, "metric": name}
            | covering([one[name] for one in made])
            for name in KINDS
        ]
    return {"dataset": job.dataset.name, "n": job.n, "repeats": repeats.DEFAULT, "rows": rows}


def runs(job: jobs.Job, count: int, say: Callable[[str], None]) -> list[dict]:
    """{metric: {value, low, high, n, another}} of `count` runs that differ in their secret key alone."""
    judge = _judge(job)
    classes = job.dataset.n_classes
    labels = settings.sampling_labels(None, classes, IMAGES)
    public, results = jax.random.key(0), []
    for number in range(count):
        k_run, k_repeats = jax.random.split(jax.random.key(KEYS + number))
        sample = generator.one_shot(job, k_run).sample
        images = draw.draw(sample, jax.random.fold_in(public, 2), labels, len(labels))
        own = judge(images, labels, True)
        others = [
            judge(x, labels, False) for x in repeats.sets(job, sample, labels, k_repeats, public)
        ]
        for name, metric in own.items():
            metric |= intervals.another(metric, [other[name] for other in others], KINDS[name])
        results.append(own)
        if number % 20 == 19:
            say(
                f"repeats: {job.options.model}, eps = {job.options.eps:g}, {number + 1} of {count} runs"
            )
    return results


def _judge(job: jobs.Job) -> Callable:
    """(images, labels, with intervals?) -> {metric: metric, or its value alone}."""
    dataset, split = job.dataset, job.split
    test = dataset.images[split.test], dataset.labels[split.test]
    scale = dataset.images[split.reference]
    embed = features.random(dataset.shape, dataset.n_classes, seed=0, scale=scale)
    chosen = {name: fidelity.FIDELITY[name] for name in KINDS if name in fidelity.FIDELITY}

    def judge(images, labels, stated):
        rng = np.random.default_rng(0)
        fake, real = data.class_matched(rng, labels, test[1], most=IMAGES)
        guesses = linear.probabilities((images, labels), test[0], dataset.n_classes).argmax(1)
        right = float((guesses == test[1]).mean())
        sides = embed(test[0][real]), embed(images[fake]), test[1][real]
        if stated:
            return {"accuracy": intervals.share(right, 0.0, len(guesses))} | fidelity.compare(
                *sides, rng, chosen
            )
        return {"accuracy": right} | fidelity.values(*sides, chosen)

    return judge


def covering(metrics: list[dict]) -> dict:
    """Least, mean, greatest value; and in what share of pairs of runs the interval of one holds the other."""
    values = np.array([m["value"] for m in metrics])
    stated = {
        "this_set": np.array([[m["low"], m["high"]] for m in metrics]),
        "another_run": np.array([m["another"] for m in metrics]),
    }
    row = {"least": values.min(), "mean": values.mean(), "greatest": values.max()}
    others = ~np.eye(len(values), dtype=bool)
    for name, ends in stated.items():
        inside = (ends[:, :1] <= values[None]) & (values[None] <= ends[:, 1:])
        row[name] = inside[others].mean()
    return {name: float(value) for name, value in row.items()}


def table(result: dict) -> str:
    """A row for each eps and metric."""
    rows = [
        [row["model"], f"{row['eps']:g}", str(row["runs"]), row["metric"]]
        + [words.number(row[k]) for k in ("least", "mean", "greatest")]
        + [f"{100 * row[k]:.0f}" for k in ("this_set", "another_run")]
        for row in result["rows"]
    ]
    header = ["model", "ε", "runs", "metric", "least", "mean", "greatest"]
    header += ["in the interval of this set %", "of another run %"]
    return (
        f"Runs on {result['dataset']}, n = {result['n']}, alike but for their noise; intervals of 95 %, that of"
        f" another run from {result['repeats']} repeats on draws of the release\n\n{words.grid(header, rows)}"
    )
