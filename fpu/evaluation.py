"""One call: a synthetic set and the data it was made from -> fidelity, privacy as attacked, utility.

All randomness here is public, from `seed`, but for the keys of the DP-SGD classifier. What the data cannot
carry is null with a reason.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fpu import InputError, fidelity
from fpu.data import class_matched
from fpu.fidelity import features, memorisation
from fpu.intervals import missing
from fpu.privacy import attacks, distance, samples_only, targets
from fpu.utility import protocols

_IMAGES = 1000  # compared on each side, at most: FD, recall and coverage depend on the count
_ATTACKED = {True: 1000, False: 5000}  # members, and as many others, at most
_LEAST_REFERENCE = 100  # fewer real images than this teach a feature network nothing of its own


def evaluate(
    dataset,
    split,
    images,
    labels,
    *,
    scores=None,
    shadows=None,
    beside=None,
    budget=None,
    seed=0,
    secret=None,
    quick=True,
    cache=None,
    progress=lambda line: None,
):
    """Judge a synthetic set.

    Args:
      dataset, split: a data.Dataset and its data.Split; the generator saw images[split.members].
      images, labels: the synthetic set, uint8 [n, H, W, C] and ints [n].
      scores: None, or the generator's membership scores: (images uint8 [n, H, W, C], labels [n]) ->
        {name: float [n]}, higher = more like a member.
      shadows: None, or an attack by shadow models: (targets.Targets, scores) -> {name: float [n]}.
      beside: None, or {name: (images, labels)} of rival sets; each has a row of its own in 'utility'.
      budget: (eps, delta) that a DP-SGD classifier of the members may spend, or None for no such rival.
      seed: public.
      secret: None, or a typed key as secret as the data, for the noise of the DP-SGD classifier; without it that
        noise is new each time.
      quick: one classifier seed of 400 steps; else three of 1,200, and five times as many targets.
      cache: folder for the numbers of floors and ceilings, or None. It holds no image and no network.
      progress: called with one line before each long part.

    Returns: the record's 'fidelity', 'attacks', 'distance_to_closest_record' and 'utility', every metric
    {value, low, high, n} or {value: None, reason}; and 'seconds' of each part. fidelity['features'] names
    the network ('domain', fitted on the reference set, or 'random') and its n_reference. Where the data
    carry groups the attacks tell groups apart by the mean score of their images, and `n` counts groups.

    Raises InputError for images or labels of another kind than the data set's.
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
    judged, seconds, clock = {}, {}, time.monotonic()
    networks = _networks(compared[3], real["test"], k, seed, quick, progress)
    seconds["features"] = time.monotonic() - clock
    parts = {
        "fidelity": lambda: _fidelity(real, synthetic, compared, networks, seed, progress),
        "attacks": lambda: _attacks(
            dataset, split, synthetic, networks, scores, shadows, seed, quick, progress
        ),
        "distance_to_closest_record": lambda: _distances(real, synthetic, seed),
        "utility": lambda: protocols.rows(
            real,
            synthetic,
            beside or {},
            k,
            budget=budget,
            unit="image" if dataset.groups is None else "group",
            network=networks.classifier,
            seed=seed,
            quick=quick,
            secret=secret,
            cache=cache,
            progress=progress,
        ),
    }
    for name, part in parts.items():
        clock = time.monotonic()
        judged[name] = part()
        seconds[name] = time.monotonic() - clock
    return judged | {"seconds": seconds}


def _check(dataset, images, labels):
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
    """Synthetic, test and zero-line images of equal class counts, and the reference set left over.

    The zero line is made of non-members. Where a class has fewer than are compared, up to a quarter
    of its reference images make up for it, and the feature network never sees those. If more than
    half of the comparison would have to go to keep the counts equal, the zero line goes instead.
    """
    fake, test = class_matched(rng, synthetic[1], real["test"][1], most=_IMAGES)
    reserve = []
    for k in range(n_classes):
        mine = rng.permutation(np.flatnonzero(real["reference"][1] == k))
        wanted = np.sum(synthetic[1][fake] == k) - np.sum(real["nonmembers"][1] == k)
        reserve.append(mine[: min(max(0, wanted), len(mine) // 4)])
    reserve = np.concatenate(reserve)
    zero = _join(real["nonmembers"], _take(real["reference"], reserve))
    three = class_matched(rng, synthetic[1], real["test"][1], zero[1], most=_IMAGES)
    if 2 * len(three[0]) >= len(fake):
        fake, test, zero = *three[:2], _take(zero, three[2])
    rest = np.setdiff1d(np.arange(len(real["reference"][1])), reserve)
    return _take(synthetic, fake), _take(real["test"], test), zero, _take(real["reference"], rest)


class _Networks(NamedTuple):
    """What images are looked at through: embed(images) -> float64 [n, 64]."""

    name: str  # domain, or random where the reference set cannot teach a network
    embed: Callable
    control: Callable  # random features; what `embed` is too where the reference set is too small
    classifier: Any  # the domain network's parameters, or None
    n_reference: int


def _networks(reference, test, n_classes, seed, quick, progress) -> _Networks:
    images, labels = reference
    taught = len(images) >= _LEAST_REFERENCE and len(np.unique(labels)) > 1
    scale = images if taught else test[0]
    plain = features.random(test[0].shape[1:], n_classes, seed=seed, scale=scale)
    if not taught:
        return _Networks("random", plain, plain, None, len(images))
    progress(f"feature network on {len(images)} reference images")
    embed, params = features.domain(
        images, labels, n_classes, seed=seed, steps=protocols.STEPS[quick], scale=scale
    )
    return _Networks("domain", embed, plain, params, len(images))


def _fidelity(real, synthetic, compared, networks, seed, progress):
    """The rows 'synthetic' and 'real' (the zero line), and 'features'."""

    def rng(purpose):  # its own for each part, so that no row depends on another's draws
        return np.random.default_rng([seed, 1, purpose])

    fake, test, zero, _ = compared
    progress(f"fidelity of {len(fake[0])} synthetic images against as many test images")
    sides = {"synthetic": fake[0], "real": zero[0]}
    rows = {}
    for row, images in sides.items():
        if len(images) == len(test[0]):
            rows[row] = _distance(test, images, networks, rng(1))
        else:
            reason = f"{len(images)} unseen real images; a zero line needs as many as are compared"
            rows[row] = dict.fromkeys(rows["synthetic"], missing(reason))
    pool = _join(real["nonmembers"], real["reference"])
    for row, (images, labels) in (("synthetic", synthetic), ("real", real["test"])):
        mine, unseen = class_matched(rng(2), labels, pool[1], most=_IMAGES)
        sets = real["members"][0], pool[0][unseen], images[mine]
        rows[row]["near_copies"] = memorisation.near_copies(*sets, rng(3))
        # In pixels every blurred image is near all others, and a trained network does not see blurred copies.
        seen = [networks.control(x) if len(x) else np.zeros((0, 1)) for x in sets]
        for metric in (memorisation.authenticity, memorisation.data_copying):
            rows[row][metric.__name__] = metric(*seen, rng(3))
    used = {"network": networks.name, "n_reference": networks.n_reference}
    return rows | {"features": used}


def _distance(test, images, networks, rng):
    """Every distance of images from the test images, on each kind of features; images[i] is of class test[1][i]."""
    found = fidelity.compare(networks.embed(test[0]), networks.embed(images), test[1], rng)
    if networks.control is not networks.embed:
        found |= fidelity.control(networks.control(test[0]), networks.control(images), test[1], rng)
    return found


def _attacks(dataset, split, synthetic, networks, scores, shadows, seed, quick, progress):
    rng = np.random.default_rng([seed, 2])
    chosen = targets.choose(dataset, split, synthetic[0], rng, _ATTACKED[quick])
    groups = " (groups)" * (chosen.unit == "group")
    progress(f"attacks on {chosen.n_members} members and {chosen.n_others} non-members{groups}")
    # An attacker's reference must hold none of the images under attack.
    reference = np.setdiff1d(split.reference, chosen.index)
    known = samples_only.Known(
        *synthetic, dataset.images[reference], dataset.labels[reference], networks.embed
    )
    images, labels = dataset.images[chosen.index], dataset.labels[chosen.index]
    if not len(images):
        found, unable = {name: np.zeros(0) for name in samples_only.SAMPLES_ONLY}, {}
    else:
        found, unable = samples_only.scores(images, labels, known)
        if scores is not None:
            found |= scores(images, labels)
            if shadows is not None:
                found |= shadows(chosen, scores)
    judged = targets.judge(chosen, found, rng)
    return judged | {name: attacks.unable(reason) for name, reason in unable.items()}


def _distances(real, synthetic, seed):
    """distance.ecdf of the synthetic images and as many unseen real ones of their classes, to the members."""
    rng, pool = np.random.default_rng([seed, 3]), _join(real["nonmembers"], real["reference"])
    mine, unseen = class_matched(rng, synthetic[1], pool[1], most=_IMAGES)
    members = real["members"][0]
    sides = [distance.nearest(images, members) for images in (synthetic[0][mine], pool[0][unseen])]
    return distance.ecdf(*sides, rng)
