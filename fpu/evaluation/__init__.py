"""Judge a synthetic set on the data it was made from, in one call: fidelity, attacks on privacy, utility.

All randomness here is public, from `seed`, except the keys of the private classifier. A metric for which there are
too few data is null with a reason.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fpu import InputError, fidelity, intervals, neighbours
from fpu.data import Dataset, Split, units
from fpu.evaluation import likeness
from fpu.priors import Prior
from fpu.privacy import attacks, samples_only, targets
from fpu.utility import protocols
from fpu.utility.protocols import LabelledImages

_ATTACKED = {"quick": 1000, "full": 5000, "field": 5000}  # members, and as many others, at most

Scores = dict[str, np.ndarray]  # float [n] by attack, higher = more like a member


def evaluate(
    dataset: Dataset,
    split: Split,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    scores: Callable[[np.ndarray, np.ndarray], Scores] | None = None,
    shadows: Callable[[targets.Targets, Any], Scores] | None = None,
    beside: Mapping[str, LabelledImages] | None = None,
    again: Iterable[np.ndarray] = (),
    budget: tuple[float, float] | None = None,
    n: int | None = None,
    prior: Prior | None = None,
    seed: int = 0,
    secret: jax.Array | None = None,
    protocol: str = "quick",
    cache: Path | None = None,
    progress: Callable[[str], Any] = lambda line: None,
) -> dict[str, dict]:
    """Judge a synthetic set.

    Args:
      dataset, split: the generator was trained on dataset.images[split.members].
      images, labels: the synthetic set, uint8 [n, H, W, C] and ints [n].
      scores: None, or the generator's membership scores: (images uint8 [n, H, W, C], labels [n]) ->
        {name: float [n]}, higher = more like a member.
      shadows: None, or an attack by shadow models: (targets.Targets, scores) -> {name: float [n]}.
      again: sets of images, each with these labels, as other runs at the same settings would release them: what
        metrics say of them gives the interval of another draw, 'another' (see intervals.another).
      beside, budget, n, prior, secret, cache: as for protocols.rows.
      seed: public.
      protocol: of protocols.PROTOCOLS. quick: one classifier of 400 steps; full: three of 1,200, and five times as many
        targets; field: three residual networks, trained to the end, and as many targets.
      progress: called with one line before each long part.

    Returns: the record's 'fidelity', 'attacks', 'distance_to_closest_record' and 'utility', every metric
    {value, low, high, n} or {value: None, reason}; and 'seconds' of each part. fidelity['features'] names
    the network ('domain', trained on the reference set, or 'random') and its n_reference. Where the data
    have groups, a group's score is the mean over its images, and `n` of the attacks counts groups.

    Raises InputError where images or labels do not fit the data set.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    _check(dataset, images, labels)
    synthetic, k = (images, labels.astype(np.int32)), dataset.n_classes
    real = {
        name: (dataset.images[index], dataset.labels[index])
        for name, index in vars(split).items()
        if name != "notes"
    }
    compared = likeness.compared(np.random.default_rng([seed, 1, 0]), real, synthetic, k)
    sections, seconds, clock = {}, {}, time.monotonic()
    networks = likeness.networks(compared[3], real["test"], k, seed, protocol, progress)
    seconds["features"] = time.monotonic() - clock
    parts = {
        "fidelity": lambda: likeness.rows(real, synthetic, compared, networks, seed, progress),
        "attacks": lambda: attacked(
            dataset, split, synthetic, scores, shadows, seed, protocol, progress
        ),
        "distance_to_closest_record": lambda: likeness.closest(real, synthetic, seed),
        "utility": lambda: protocols.rows(
            real,
            synthetic,
            beside or {},
            k,
            budget=budget,
            n=n,
            prior=prior,
            units=None if dataset.groups is None else units(dataset, split.members),
            network=networks.classifier,
            seed=seed,
            protocol=protocol,
            secret=secret,
            cache=cache,
            progress=progress,
        ),
    }
    for name, part in parts.items():
        clock = time.monotonic()
        sections[name] = part()
        seconds[name] = time.monotonic() - clock
    clock = time.monotonic()
    if _put_another(sections, again, labels, real, k, networks.embed, seed, protocol):
        seconds["repeats"] = time.monotonic() - clock
    return sections | {"seconds": seconds}


def _put_another(sections, again, labels, real, n_classes, embed, seed, protocol) -> bool:
    """Put 'another' into the metrics that can be computed on the sets of `again`; whether there are any.

    The rival of one release is as noisy as these, on the scale of intervals.another: it is given their spread.
    """
    fidelities, utilities = [], []
    for images in again:
        synthetic = images, labels.astype(np.int32)
        fake, test, *_ = likeness.compared(
            np.random.default_rng([seed, 1, 0]), real, synthetic, n_classes
        )
        theirs, ours = neighbours.on_distinct(embed, test[0], fake[0])
        fidelities.append(fidelity.values(theirs, ours, test[1]))
        judged = protocols.alone(synthetic, real["test"], n_classes, seed, protocol)
        utilities.append({name: m["value"] for name, m in judged.items() if "value" in m})
    for rows, names, others in (
        (sections["fidelity"], ("synthetic",), fidelities),
        (sections["utility"], ("synthetic", "one_shot"), utilities),
    ):
        for metrics in (rows[name] for name in names if name in rows):
            for name, metric in metrics.items():
                values = [other.get(name) for other in others]
                if "value" in metric and metric["value"] is not None and None not in values:
                    metric |= intervals.another(metric, values, _kind(name)) if values else {}
    return bool(utilities)


def _kind(name: str) -> str:
    """The scale on which a metric varies alike; see intervals.another."""
    if name in fidelity.FIDELITY:
        shares = fidelity.FIDELITY[name].bounds == (0.0, 1.0)
        return "share" if shares else "square" if name in ("kid", "fd", "fd_inf") else "error"
    return "error" if name in ("ece", "brier") else "right"


def _check(dataset: Dataset, images: np.ndarray, labels: np.ndarray) -> None:
    shape, k = tuple(dataset.shape), dataset.n_classes
    size = f"[n, {', '.join(str(side) for side in shape)}]"
    if images.dtype != np.uint8 or images.shape[1:] != shape:
        raise InputError(
            f"synthetic images are {images.dtype} {list(images.shape)}; {dataset.name} needs uint8 "
            f"{size}: scale to 0..255, round, and resize"
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise InputError(
            f"synthetic labels are {labels.dtype} {list(labels.shape)}; one whole number for each "
            f"of the {len(images)} images is needed"
        )
    if len(images) == 0:
        raise InputError("the synthetic set holds no image: make some (--n_samples)")
    if labels.min() < 0 or labels.max() >= k:
        raise InputError(
            f"synthetic labels run from {labels.min()} to {labels.max()}; {dataset.name} has "
            f"classes 0 to {k - 1}: renumber them"
        )


def attacked(dataset, split, synthetic, scores, shadows, seed, protocol, progress):
    """The record's `attacks`, of a synthetic set and maybe a model's scores; see `evaluate`."""
    rng = np.random.default_rng([seed, 2])
    chosen = targets.choose(dataset, split, synthetic[0], rng, _ATTACKED[protocol])
    groups = " (groups)" * (chosen.unit == "group")
    progress(f"attacks on {chosen.n_members} members and {chosen.n_others} non-members{groups}")
    # An attacker's reference must hold none of the images under attack.
    reference = np.setdiff1d(split.reference, chosen.index)
    known = samples_only.Known(
        synthetic=synthetic[0],
        synthetic_labels=synthetic[1],
        reference=dataset.images[reference],
        reference_labels=dataset.labels[reference],
    )
    images, labels = dataset.images[chosen.index], dataset.labels[chosen.index]
    if not len(images):
        values, reasons = {name: np.zeros(0) for name in samples_only.SAMPLES_ONLY}, {}
    else:
        values, reasons = samples_only.scores(images, labels, known)
        if scores is not None:
            values |= scores(images, labels)
            if shadows is not None:
                values |= shadows(chosen, scores)
    judged = targets.judge(chosen, values, rng)
    return judged | {name: attacks.unable(reason) for name, reason in reasons.items()}
