"""Ablations at matched eps: what each stage and each setting earns, in paired runs judged on a validation part.

Every run is judged as a user would use it: a small network is trained on its synthetic images and asked about real
images of the official train split that no part of the run has seen. The official test set is never read.

stages    against the default, a model taught by draws of one release with the whole budget
dp-sgd    against a run that gives half of the budget (of the sum of 1 / sigma^2) to DP-SGD after that
"""

import dataclasses
import functools
import math

import numpy as np
from matplotlib.figure import Figure
from scipy.special import stdtrit

from experiments.suites import drawing, making
from fpu import data
from fpu.pipeline import settings
from fpu.utility import classifier

N = 1000  # members
SEEDS = (0, 1, 2)  # of all randomness: subset, noise, initialisation, classifier
MODELS = ("vae", "gan", "ddpm")
HALF = {"warmup_share": 0.5}
PARTS = {"stages": ({}, (1.0, 10.0)), "dp-sgd": (HALF, (10.0,))}  # what all its runs share, eps
_ALL, _BOTH = MODELS, ("vae", "ddpm")
SWITCHES = (  # part, what is changed, for which models, flags of experiments.run
    ("stages", "bare draws", _ALL, {"model": "gaussian"}),
    ("stages", "no warm-up", _ALL, {"warmup": "none"}),
    ("stages", "DP-SGD with 10 %", _ALL, {"warmup_share": 0.9}),
    ("stages", "DP-SGD with half", _ALL, HALF),
    ("dp-sgd", "30 steps", _ALL, {"steps": 30}),
    ("dp-sgd", "400 steps", _BOTH, {"steps": 400}),
    ("dp-sgd", "q = 0.25", _BOTH, {"sample_rate": 0.25}),
    ("dp-sgd", "C = 0.1", _BOTH, {"clip_norm": 0.1}),
    ("dp-sgd", "C = 10", _BOTH, {"clip_norm": 10.0}),
    ("dp-sgd", "learning rate 3e-4", _ALL, {"set": ("recipe.learning_rate=3e-4",)}),
    ("dp-sgd", "learning rate 3e-3", _BOTH, {"set": ("recipe.learning_rate=3e-3",)}),
    ("dp-sgd", "no averaging", _BOTH, {"set": ("recipe.ema=0",)}),
    ("dp-sgd", "half the width", _BOTH, {"set": ("model.width=64",)}),
    ("dp-sgd", "K = 1", ("ddpm",), {"set": ("model.multiplicity=1",)}),
    ("dp-sgd", "K = 16", ("ddpm",), {"set": ("model.multiplicity=16",)}),
    ("dp-sgd", "noise prediction", ("ddpm",), {"set": ("model.prediction=noise",)}),
    ("dp-sgd", "linear schedule", ("ddpm",), {"set": ("model.schedule=linear",)}),
    ("dp-sgd", "guidance 1", ("ddpm",), {"set": ("model.guidance=1",)}),
    ("dp-sgd", "ancestral sampler", ("ddpm",), {"set": ("model.sampler=ancestral",)}),
    ("dp-sgd", "1 critic step", ("gan",), {"set": ("recipe.critic_steps=1",)}),
    ("dp-sgd", "penalty 1", ("gan",), {"set": ("model.penalty=1",)}),
    ("dp-sgd", "beta 1", ("vae",), {"set": ("model.beta=1",)}),
)


def measure(say, name, data_dir) -> dict:
    """{'dataset', 'source', 'n', 'delta', 'seeds', 'rows'}: one row for each part, model, eps and switch.

    A row has 'accuracy', one number a seed, and, but for the base itself, 'gain': {mean, low, high, n} of the
    accuracy less the base's at the same seed, a 95 % t interval.
    """
    dataset = data.load(name, data_dir)
    facts = {"dataset": dataset.name, "source": dataset.source, "n": N, "seeds": list(SEEDS)}
    rows = []
    for part, (shared, budgets) in PARTS.items():
        for eps in budgets:
            for model in MODELS:
                base = settings.Options(model, name, data_dir, n_train=N, eps=eps, **shared)
                rows += _compared(base, part, say)
    return facts | {"delta": 0.1 / N, "rows": rows}


def _compared(base, part, say) -> list[dict]:
    """The base and every switch of this part that its model has."""
    rows = []
    for mine, label, models, changes in ((part, "base", MODELS, {}), *SWITCHES):
        if mine != part or base.model not in models:
            continue
        options = dataclasses.replace(base, **changes)
        # Runs of one seed share the noise of their release: what differs is the switch.
        runs = [dataclasses.replace(options, seed=seed, noise_seed=seed) for seed in SEEDS]
        accuracy = [_accuracy(run) for run in runs]
        row = {"part": part, "model": base.model, "eps": base.eps, "switch": label}
        rows.append(row | {"changes": changes, "accuracy": accuracy})
        if rows[1:]:
            rows[-1]["gain"] = gain(accuracy, rows[0]["accuracy"])
        say(
            f"{part}: {base.model}, eps {base.eps:g}, {label}: accuracy {float(np.mean(accuracy)):.3f}"
        )
    return rows


@functools.cache  # the rivals are the same for each model they are compared with
def _accuracy(options) -> float:
    """Accuracy, on the validation part, of a network trained on the run's synthetic images."""
    job, images, labels, _ = making.made(options)
    dataset, split = job.dataset, job.split
    unseen = np.concatenate([split.nonmembers, split.reference])
    unseen = unseen[dataset.split[unseen] != data.TEST]  # of small sets, half of test is lent out
    params = classifier.train(images, labels, dataset.n_classes, seed=options.seed)
    right = classifier.logits(params, dataset.images[unseen]).argmax(1) == dataset.labels[unseen]
    return float(right.mean())


def gain(accuracy, base) -> dict:
    """{mean, low, high, n} of paired differences: a 95 % t interval over seeds."""
    gains = np.asarray(accuracy) - np.asarray(base)
    n, mean = len(gains), float(gains.mean())
    half = float(stdtrit(n - 1, 0.975) * gains.std(ddof=1) / math.sqrt(n))
    return {"mean": mean, "low": mean - half, "high": mean + half, "n": n}


def table(result) -> str:
    """One table for each part: a row per switch, a column per model and eps."""
    parts = []
    for part in dict.fromkeys(r["part"] for r in result["rows"]):
        rows = [r for r in result["rows"] if r["part"] == part]
        columns = list(dict.fromkeys((r["model"], r["eps"]) for r in rows))
        found = {(r["switch"], r["model"], r["eps"]): r for r in rows}
        body = [
            [switch, *(_said(found.get((switch, *column))) for column in columns)]
            for switch in dict.fromkeys(r["switch"] for r in rows)
        ]
        header = [part, *(f"{model}, ε = {eps:g}" for model, eps in columns)]
        parts.append(drawing.grid(header, body))
    about = (
        f"{result['dataset']}, n = {result['n']:,}, δ = {result['delta']:g}: accuracy in percent of a network trained "
        f"on the synthetic images, on real images of train that no run saw. Base: mean over {len(result['seeds'])} "
        "subsets and seeds; the rest: mean gain over the base in points, [95 % t interval of paired differences]."
    )
    return "\n\n".join([about, *parts])


def _said(row) -> str:
    if row is None:
        return ""
    if "gain" not in row:
        return f"{100 * np.mean(row['accuracy']):.1f}"
    mean, low, high = (100 * row["gain"][key] for key in ("mean", "low", "high"))
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"


def figure(result) -> Figure:
    """A panel for each part, model and eps: the gains with their intervals."""
    panels = list(dict.fromkeys((r["part"], r["eps"], r["model"]) for r in result["rows"]))
    across = len({model for _, _, model in panels})
    down = -(-len(panels) // across)
    drawn = Figure(figsize=(4.2 * across, 2.9 * down), layout="constrained")
    for ax, panel in zip(drawn.subplots(down, across, squeeze=False).ravel(), panels, strict=False):
        rows = [r for r in result["rows"] if (r["part"], r["eps"], r["model"]) == panel]
        base, rows = rows[0], rows[:0:-1]
        for y, row in enumerate(rows):
            low, mean, high = (100 * row["gain"][key] for key in ("low", "mean", "high"))
            clear = "#0072b2" if low > 0 else "#d55e00" if high < 0 else "#888888"
            ax.plot([low, high], [y, y], color=clear, lw=2)
            ax.plot(mean, y, "o", color=clear, ms=4)
        ax.set_yticks(range(len(rows)), [row["switch"] for row in rows], fontsize=7)
        ax.axvline(0, color="#000000", lw=0.8)
        part, eps, model = panel
        percent = 100 * np.mean(base["accuracy"])
        ax.set_title(f"{model}, ε = {eps:g}: {part}, base {percent:.1f} %", fontsize=8)
    drawn.suptitle(f"What each change gains on {result['dataset']}, n = {result['n']:,}")
    drawn.supxlabel("points of accuracy gained over the base, 95 % intervals", fontsize=9)
    return drawn
