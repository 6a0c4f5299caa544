"""One call: a synthetic set and the data it was made from -> fidelity, utility and attacks.

Everything here is public randomness from `seed`. What the data cannot carry is null with a reason.
"""

import numpy as np

from fpu import InputError, classifier, data, utility
from fpu.fidelity import FIDELITY, compare, near_copies
from fpu.intervals import missing
from fpu.privacy import attacks
from fpu.privacy.distance import nearest

_IMAGES = 1000  # compared on each side, at most: FD, recall and coverage depend on the count
_ATTACKED = {True: 1000, False: 5000}  # members, and as many non-members, at most
_LEAST_REFERENCE = 100  # fewer real images than this teach a feature network nothing of its own
_SEEDS = {True: 1, False: 3}
_STEPS = {True: classifier.STEPS, False: 3 * classifier.STEPS}


def evaluate(
    dataset,
    split,
    images,
    labels,
    *,
    scores=None,
    beside=None,
    seed=0,
    quick=True,
    progress=lambda line: None,
):
    """Judge a synthetic set.

    Args:
      dataset, split: a data.Dataset and its data.Split; the generator saw images[split.members].
      images, labels: the synthetic set, uint8 [n, H, W, C] and ints [n].
      scores: None, or the generator's membership scores: (images uint8 [n, H, W, C], labels [n]) ->
        {name: float [n]}, higher = more like a member.
      beside: None, or {name: (images, labels)} of rival sets; each has a row of its own in 'utility'.
      seed: public.
      quick: one classifier seed and 400 steps; else three seeds and 1,200 steps.
      progress: called with one line before each long part.

    Returns: the record's 'fidelity', 'utility' and 'attacks', every metric {value, low, high, n} or
    {value: None, reason}. fidelity['features'] names the network ('domain', fitted on the reference
    set, or 'random') and its n_reference. Where the data carry groups the attacks tell groups apart by the
    mean score of their images, and `n` counts groups.

    Raises InputError for images or labels of another kind than the data set's.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    _check(dataset, images, labels)
    synthetic = images, labels.astype(np.int32)
    real = {
        name: (dataset.images[index], dataset.labels[index])
        for name, index in vars(split).items()
        if name != "notes"
    }
    rows = {"synthetic": synthetic} | (beside or {}) | {"members": real["members"]}
    return {
        "fidelity": _fidelity(real, synthetic, dataset.n_classes, seed, quick, progress),
        "utility": _utility(real, rows, dataset.n_classes, seed, quick, progress),
        "attacks": _attacks(dataset, split, synthetic, scores, seed, quick, progress),
    }


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


def class_matched(rng, *labels, most=_IMAGES):
    """Random indices into each of several labelled sets: equal counts, class by class.

    Of each class as many as the set with the fewest holds, scaled down to `most` images in all.
    """
    counts = np.min([np.bincount(y, minlength=1 + max(map(_top, labels))) for y in labels], axis=0)
    counts = np.floor(counts * min(1.0, most / max(1, counts.sum())) + 1e-9).astype(int)
    return [
        np.concatenate(
            [rng.permutation(np.flatnonzero(y == k))[:n] for k, n in enumerate(counts)]
        ).astype(int)
        for y in labels
    ]


def _top(labels):
    return max(labels, default=-1)


def _take(pair, index):
    return pair[0][index], pair[1][index]


def _join(a, b):
    return np.concatenate([a[0], b[0]]), np.concatenate([a[1], b[1]])


def _fidelity(real, synthetic, n_classes, seed, quick, progress):
    def rng(purpose):  # its own for each part, so that no row depends on another's draws
        return np.random.default_rng([seed, 1, purpose])

    fake, test, zero, reference = _compared(rng(0), real, synthetic, n_classes)
    embed, network = _network(reference, real["test"], n_classes, seed, quick, progress)
    progress(f"fidelity of {len(fake[0])} synthetic images against as many test images")
    rows = {"synthetic": compare(embed(test[0]), embed(fake[0]), test[1], rng(1))}
    if len(zero[0]) == len(test[0]):
        rows["real"] = compare(embed(test[0]), embed(zero[0]), test[1], rng(1))
    else:
        reason = f"{len(zero[0])} unseen real images; a zero line needs as many as are compared"
        rows["real"] = dict.fromkeys(FIDELITY, missing(reason))
    pool = _join(real["nonmembers"], real["reference"])
    for row, (images, labels) in (("synthetic", synthetic), ("real", real["test"])):
        mine, unseen = class_matched(rng(2), labels, pool[1])
        rows[row]["near_copies"] = near_copies(
            real["members"][0], pool[0][unseen], images[mine], rng(3)
        )
    return rows | {"features": {"network": network, "n_reference": len(reference[0])}}


def _compared(rng, real, synthetic, n_classes):
    """Synthetic, test and zero-line images of equal class counts, and the reference set left over.

    The zero line is made of non-members. Where a class has fewer than are compared, up to a quarter
    of its reference images make up for it, and the feature network never sees those. If more than
    half of the comparison would have to go to keep the counts equal, the zero line goes instead.
    """
    fake, test = class_matched(rng, synthetic[1], real["test"][1])
    reserve = []
    for k in range(n_classes):
        mine = rng.permutation(np.flatnonzero(real["reference"][1] == k))
        wanted = np.sum(synthetic[1][fake] == k) - np.sum(real["nonmembers"][1] == k)
        reserve.append(mine[: min(max(0, wanted), len(mine) // 4)])
    reserve = np.concatenate(reserve)
    zero = _join(real["nonmembers"], _take(real["reference"], reserve))
    three = class_matched(rng, synthetic[1], real["test"][1], zero[1])
    if 2 * len(three[0]) >= len(fake):
        fake, test, zero = *three[:2], _take(zero, three[2])
    rest = np.setdiff1d(np.arange(len(real["reference"][1])), reserve)
    return _take(synthetic, fake), _take(real["test"], test), zero, _take(real["reference"], rest)


def _network(reference, test, n_classes, seed, quick, progress):
    """images -> float64 features [n, 64], of mean 0 and variance 1 on real images; its name."""
    images, labels = reference
    if len(images) >= _LEAST_REFERENCE and len(np.unique(labels)) > 1:
        progress(f"feature network on {len(images)} reference images")
        params = classifier.train(images, labels, n_classes, seed=seed, steps=_STEPS[quick])
        name, scale = "domain", images
    else:
        params = classifier.initial(test[0].shape[1:], n_classes, seed)
        name, scale = "random", test[0]
    known = classifier.features(params, scale[:2000]).astype(np.float64)
    centre, spread = known.mean(0), known.std(0)
    spread = np.where(spread > 1e-6, spread, 1.0)
    return lambda x: (classifier.features(params, x) - centre) / spread, name


def _utility(real, training_sets, n_classes, seed, quick, progress):
    rows = {}
    for name, train in training_sets.items():
        progress(f"utility: training on {len(train[0])} {name.replace('_', '-')} images")
        rows[name] = utility.train_and_test(
            train, real["test"], n_classes, seed=seed, seeds=_SEEDS[quick], steps=_STEPS[quick]
        )
    return rows


def _attacks(dataset, split, synthetic, scores, seed, quick, progress):
    rng = np.random.default_rng([seed, 2])
    unseen = _unseen(dataset, split, synthetic[0])
    if (
        dataset.groups is not None
    ):  # a group that was trained on is no non-member, not in part either
        unseen = unseen[~np.isin(dataset.groups[unseen], dataset.groups[split.members])]
    sides = [_privacy_units(dataset, index) for index in (split.members, unseen)]
    chosen = class_matched(rng, *(classes for _, classes in sides), most=_ATTACKED[quick])
    unit = "image" if dataset.groups is None else "group"
    m, n = map(len, chosen)
    progress(f"attacks on {m} members and {n} non-members" + " (groups)" * (unit == "group"))
    few = max(1, _ATTACKED[quick] // max(1, m))  # images of one group, at most
    rows = [
        own[u] if len(own[u]) <= few else rng.permutation(own[u])[:few]
        for (own, _), units_ in zip(sides, chosen, strict=True)
        for u in units_
    ]
    index = np.concatenate([*rows, np.arange(0)])
    targets = dataset.images[index], dataset.labels[index]
    found = {name: attack(*targets, *synthetic) for name, attack in attacks.SAMPLES_ONLY.items()}
    if scores is not None and len(index):
        found |= scores(*targets)
    owner = np.repeat(np.arange(m + n), [len(row) for row in rows])
    per_unit = {name: attacks.means(values, owner, m + n) for name, values in found.items()}
    return {
        name: attacks.membership(values[:m], values[m:], rng, unit)
        for name, values in per_unit.items()
    }


def _privacy_units(dataset, index):
    """The privacy units among `index`: a list of the dataset indices of each, and their classes.

    Where the data carry groups, an image outside every group (of val or test) belongs to no unit.
    """
    if dataset.groups is None:
        return index[:, None], dataset.labels[index]
    index = index[dataset.groups[index] >= 0]
    own = [index[row[:size]] for row, size in zip(*data.units(dataset, index), strict=True)]
    classes = [np.bincount(dataset.labels[rows]).argmax() for rows in own]
    return own, np.array(classes, int)


def _unseen(dataset, split, images):
    """Real images to attack beside the members: the non-members, if they were not released.

    `fresh` hands out the non-members, which then look more like members than the members do; the
    reference set takes their place.
    """
    for index in (split.nonmembers, split.reference):
        copies = nearest(dataset.images[index], images) == 0
        if len(copies) and copies.mean() < 0.5:
            return index
    return np.arange(0)
