"""Judge a synthetic set on the data it was made from, in one call: fidelity, attacks on privacy, utility.

All randomness here is public, from `seed`, except the keys of the private classifier. A metric for which there are
too few data is null with a reason.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from fpu import InputError, fidelity, intervals, neighbours
from fpu.data import Dataset, Split, class_matched, units
from fpu.fidelity import features, memorisation
from fpu.intervals import missing
from fpu.priors import Prior
from fpu.privacy import attacks, distance, samples_only, targets
from fpu.utility import protocols

_IMAGES = 1000  # compared on each side, at most: FD, recall and coverage depend on the count
_ATTACKED = {"quick": 1000, "full": 5000, "field": 5000}  # members, and as many others, at most
_LEAST_REFERENCE = 100  # real images to train a feature network on, at least

LabelledImages = tuple[np.ndarray, np.ndarray]  # uint8 [n, H, W, C] and ints [n]
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
      beside: {name: (images, labels)} of other synthetic sets; each has a row of its own in 'utility'.
      again: sets of images, each with these labels, as other runs at the same settings would release them: what
        metrics say of them gives the interval of another draw, 'another' (see intervals.another).
      budget: (eps, delta) of a classifier trained privately on the members; None for no such row.
      n: the public number of units among the members, for that classifier; None: how many there are.
      prior: public images in whose space that classifier works; None: on the frequencies of the image.
      seed: public.
      secret: None, or a typed key as secret as the data, for the noise of the private classifier; without it that
        noise is new each time.
      protocol: of protocols.PROTOCOLS. quick: one classifier of 400 steps; full: three of 1,200, and five times as many
        targets; field: three residual networks, trained to the end, and as many targets.
      cache: folder for the numbers of floors and ceilings, or None. It holds no image and no network.
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
    compared = _compared(np.random.default_rng([seed, 1, 0]), real, synthetic, k)
    sections, seconds, clock = {}, {}, time.monotonic()
    networks = _networks(compared[3], real["test"], k, seed, protocol, progress)
    seconds["features"] = time.monotonic() - clock
    parts = {
        "fidelity": lambda: _fidelity(real, synthetic, compared, networks, seed, progress),
        "attacks": lambda: _attacks(
            dataset, split, synthetic, networks, scores, shadows, seed, protocol, progress
        ),
        "distance_to_closest_record": lambda: _closest(real, synthetic, seed),
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
        fake, test, *_ = _compared(np.random.default_rng([seed, 1, 0]), real, synthetic, n_classes)
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


def _take(pair, index):
    return pair[0][index], pair[1][index]


def _join(a, b):
    return np.concatenate([a[0], b[0]]), np.concatenate([a[1], b[1]])


def _compared(rng, real, synthetic, n_classes):
    """Synthetic, test and real-line images of equal class counts, and the rest of the reference set.

    The real line is made of non-members. Where a class has fewer of them than are compared, up to a quarter
    of its reference images are added, and the feature network is not trained on those. If keeping the counts
    equal would cost more than half of the comparison, there is no real line instead.
    """
    fake, test = class_matched(rng, synthetic[1], real["test"][1], most=_IMAGES)
    reserve = []
    for k in range(n_classes):
        rows = rng.permutation(np.flatnonzero(real["reference"][1] == k))
        wanted = np.sum(synthetic[1][fake] == k) - np.sum(real["nonmembers"][1] == k)
        reserve.append(rows[: min(max(0, wanted), len(rows) // 4)])
    reserve = np.concatenate(reserve)
    line = _join(real["nonmembers"], _take(real["reference"], reserve))
    three = class_matched(rng, synthetic[1], real["test"][1], line[1], most=_IMAGES)
    if 2 * len(three[0]) >= len(fake):
        fake, test, line = *three[:2], _take(line, three[2])
    rest = np.setdiff1d(np.arange(len(real["reference"][1])), reserve)
    return _take(synthetic, fake), _take(real["test"], test), line, _take(real["reference"], rest)


class _Networks(NamedTuple):
    """The feature networks, each embed(images) -> float64 [n, 64]."""

    name: str  # domain, or random where the reference set is too small to train on
    embed: features.Embed
    control: features.Embed  # random features; the same as `embed` where the name is random
    classifier: Any  # the domain network's parameters, or None
    n_reference: int


def _networks(reference, test, n_classes, seed, protocol, progress) -> _Networks:
    images, labels = reference
    enough = len(images) >= _LEAST_REFERENCE and len(np.unique(labels)) > 1
    scale = images if enough else test[0]
    random = features.random(test[0].shape[1:], n_classes, seed=seed, scale=scale)
    if not enough:
        return _Networks("random", random, random, None, len(images))
    progress(f"feature network on {len(images)} reference images")
    embed, params = features.domain(
        images,
        labels,
        n_classes,
        seed=seed,
        steps=protocols.PROTOCOLS[protocol].small_steps,
        scale=scale,
    )
    return _Networks("domain", embed, random, params, len(images))


def _fidelity(real, synthetic, compared, networks, seed, progress):
    """The rows 'synthetic' and 'real' (the real line), and 'features'."""

    def rng(purpose):  # one for each part, so that no row depends on the draws of another
        return np.random.default_rng([seed, 1, purpose])

    fake, test, line, _ = compared
    progress(f"fidelity of {len(fake[0])} synthetic images against as many test images")
    rows = {"synthetic": _distances(test, fake[0], networks, rng(1))}
    if len(line[0]) == len(test[0]):
        rows["real"] = _distances(test, line[0], networks, rng(1))
    else:
        reason = f"{len(line[0])} unseen real images; a real line needs as many as are compared"
        rows["real"] = dict.fromkeys(rows["synthetic"], missing(reason))
    pool = _join(real["nonmembers"], real["reference"])
    for row, (images, labels) in (("synthetic", synthetic), ("real", real["test"])):
        judged, unseen = class_matched(rng(2), labels, pool[1], most=_IMAGES)
        sets = real["members"][0], pool[0][unseen], images[judged]
        rows[row]["near_copies"] = memorisation.near_copies(*sets, rng(3))
        # In pixels every blurred image is near all others, and to a trained network a blurred copy looks fresh.
        members, others, own = neighbours.on_distinct(networks.control, *sets)
        for metric in (memorisation.authenticity, memorisation.data_copying):
            rows[row][metric.__name__] = metric(members, others, own, rng(3))
    used = {"network": networks.name, "n_reference": networks.n_reference}
    return rows | {"features": used}


def _distances(test, images, networks, rng):
    """fidelity.compare and fidelity.control of images and test images; images[i] is of class test[1][i]."""
    real, fake = neighbours.on_distinct(networks.embed, test[0], images)
    metrics = fidelity.compare(real, fake, test[1], rng)
    if networks.control is not networks.embed:
        real, fake = neighbours.on_distinct(networks.control, test[0], images)
        metrics |= fidelity.control(real, fake, test[1], rng)
    return metrics


def _attacks(dataset, split, synthetic, networks, scores, shadows, seed, protocol, progress):
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
        embed=networks.embed,
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


def _closest(real, synthetic, seed):
    """distance.ecdf of the synthetic images and as many unseen real ones of their classes, to the members."""
    rng, pool = np.random.default_rng([seed, 3]), _join(real["nonmembers"], real["reference"])
    fake, unseen = class_matched(rng, synthetic[1], pool[1], most=_IMAGES)
    members = real["members"][0]
    sides = [neighbours.distance(x, members) for x in (synthetic[0][fake], pool[0][unseen])]
    return distance.ecdf(sides[0], sides[1], rng)
