"""Split a data set into members, non-members, reference and test: disjoint, public, repeatable.

All randomness here is public (--seed): a subset says which images were used, never how they were
used. Splits are drawn in units, the images or (with train_groups) the groups of one patient, which
never straddle two sets.
"""

from dataclasses import dataclass

import numpy as np

from fpu import InputError

TRAIN, VAL, TEST = 0, 1, 2
_NONMEMBERS_PER_CLASS = 5  # on average; below it a membership attack has nothing to compare with
_REFERENCE_PER_CLASS = 10  # on average; below it no feature network can be fitted


@dataclass(frozen=True)
class Split:
    """Four disjoint, ascending index arrays into Dataset.images, and what is unusual about them.

    `notes` maps the name of a set to one line; a set without a note is as the design wants it:
    members, nonmembers and reference from the official train split, test the official test split.
    """

    members: np.ndarray
    nonmembers: np.ndarray
    reference: np.ndarray
    test: np.ndarray
    notes: dict[str, str]


def permutation(n, seed):
    """A random order of 0..n-1 that stays the same across numpy versions.

    numpy promises a stable raw stream but not stable Generator methods (NEP 19), and these orders
    decide which images a published result was made from.
    """
    return np.argsort(np.random.PCG64(seed).random_raw(n), kind="stable")


def partition(dataset, *, n_per_class=None, n_train=None, seed=0, subset="random"):
    """Draw the four sets.

    Args:
      dataset: a Dataset.
      n_per_class: members of each class, in units (images, or groups where the data have them).
      n_train: members in all, in units: n_train // K of each class, the remainder to the first
        classes. Neither: every unit of train is a member.
      seed: public; another seed gives other members, non-members and reference, the same test.
      subset: "random", or "first": the first of each class in file order (the paper's choice).

    Non-members are class-matched to the members and come from the same official split: of each
    class as many units as there are members, at most two thirds of what is left; the rest is
    reference. Where that leaves too few (on average 5 non-members and 10 reference images a class),
    val and then half of test are shared out by the same rule, and `notes` says so, as it does where
    some class has fewer non-members than members. A data set without a test split first sets aside
    a fixed fifth of each class of train.

    Raises InputError, naming the flag, for more members than there are.
    """
    if seed < 0:
        raise InputError(f"--seed={seed}: must be 0 or more")
    if subset not in ("random", "first"):
        raise InputError(f"--subset={subset}: must be random or first")
    train, _, _, _ = _official(dataset)
    unit, unit_class = _units(dataset, train)
    queues = _queues(unit_class, dataset.n_classes, seed)
    counts = _counts([len(q) for q in queues], dataset, n_per_class, n_train)
    in_order = [np.sort(q) for q in queues] if subset == "first" else queues
    drawn = np.concatenate([q[:n] for q, n in zip(in_order, counts, strict=True)])
    return around(dataset, train[np.isin(unit, drawn)], seed=seed)


def around(dataset, members, nonmembers=None, *, seed=0):
    """The four sets around given members, as `partition` draws the other three.

    Args:
      members: indices into dataset.images of what a generator was trained on, whole units.
      nonmembers: None: drawn by the rule of `partition`; or those to keep to, as a manifest lists them.
      seed: public; of the draw.
    """
    train, val, test, notes = _official(dataset)
    members = np.unique(members)
    unit, unit_class = _units(dataset, train)
    mine = np.isin(np.arange(len(unit_class)), unit[np.isin(train, members)])
    if nonmembers is None:
        queues = _queues(unit_class, dataset.n_classes, seed)
        counts = np.bincount(unit_class[mine], minlength=dataset.n_classes)
        shares = _share([q[~mine[q]] for q in queues], counts)
        nonmembers, reference = (train[np.isin(unit, np.concatenate(units))] for units in shares)
    else:
        nonmembers = np.unique(nonmembers)
        reference = np.setdiff1d(train[~mine[unit]], nonmembers)
    val, test = (np.setdiff1d(part, np.union1d(members, nonmembers)) for part in (val, test))
    return _top_up(dataset, Split(members, nonmembers, reference, test, notes), val, seed)


def _official(dataset):
    """(train, val, test, notes): the official splits; a test set is set aside where there is none."""
    train, val, test = (np.flatnonzero(dataset.split == s) for s in (TRAIN, VAL, TEST))
    if len(test):
        return train, val, test, {}
    train, test = _set_aside(dataset, train, parts=5)
    note = "a fixed fifth of each class of train, as the data have no test split"
    return train, val, test, {"test": note}


def class_matched(rng, *labels, most):
    """Random indices into each of several labelled sets: equal counts, class by class.

    Of each class as many as the set with the fewest holds, scaled down to `most` images in all.
    """
    top = max(max(y, default=-1) for y in labels)
    counts = np.min([np.bincount(y, minlength=1 + top) for y in labels], axis=0)
    counts = np.floor(counts * min(1.0, most / max(1, counts.sum())) + 1e-9).astype(int)
    return [
        np.concatenate(
            [rng.permutation(np.flatnonzero(y == k))[:n] for k, n in enumerate(counts)]
        ).astype(int)
        for y in labels
    ]


def units(dataset, indices):
    """The privacy units among `indices`, as the sampler wants them.

    Returns (table int32 [U, m], sizes int32 [U]): row u holds the positions in `indices` (not in
    the data set) of the images of unit u in its first sizes[u] columns; the rest repeats the first,
    so that every entry is a valid position. Without groups: table = arange(n)[:, None], sizes = 1.
    """
    unit, unit_class = _units(dataset, np.asarray(indices))
    sizes = np.bincount(unit, minlength=len(unit_class)).astype(np.int32)
    order = np.argsort(unit, kind="stable").astype(np.int32)
    starts = np.cumsum(sizes) - sizes
    column = np.arange(sizes.max(initial=1))
    column = np.where(column[None, :] < sizes[:, None], column[None, :], 0)
    return order[starts[:, None] + column], sizes


def _units(dataset, indices):
    """(unit of each image [n], class of each unit [U]): units numbered from 0 in file order.

    A group's class is its most frequent label, the lowest on a tie. Images outside every group
    (val and test) are units of one.
    """
    labels = dataset.labels[indices]
    if dataset.groups is None:
        return np.arange(len(indices)), labels
    group = dataset.groups[indices].astype(np.int64)
    alone = group < 0
    group[alone] = np.iinfo(np.int32).max + np.arange(alone.sum(), dtype=np.int64) + 1
    names, unit = np.unique(group, return_inverse=True)
    votes = np.zeros((len(names), dataset.n_classes), np.int64)
    np.add.at(votes, (unit, labels), 1)
    return unit, votes.argmax(axis=1)


def _queues(classes, n_classes, seed):
    """For each class its units in one random order, so that a smaller draw is part of a larger."""
    order = permutation(len(classes), seed)
    return [order[classes[order] == c] for c in range(n_classes)]


def _set_aside(dataset, indices, parts):
    """(kept, aside): one in `parts` of each class's units, the same for every seed."""
    unit, unit_class = _units(dataset, indices)
    queues = _queues(unit_class, dataset.n_classes, seed=0)
    aside = np.isin(unit, np.concatenate([q[: len(q) // parts] for q in queues]))
    return indices[~aside], indices[aside]


def _share(queues, want):
    """(matched, rest) by class: want[c] units, at most two thirds of the queue; the rest."""
    cut = [min(int(n), 2 * len(q) // 3) for q, n in zip(queues, want, strict=True)]
    matched = [q[:n] for q, n in zip(queues, cut, strict=True)]
    return matched, [q[n:] for q, n in zip(queues, cut, strict=True)]


def _top_up(dataset, split, val, seed):
    """The split with val, then half of test, shared out where it has too few, and its notes."""
    n_classes = dataset.n_classes
    nonmembers, reference, test = split.nonmembers, split.reference, split.test
    lines = {"nonmembers": [], "reference": [], "test": [*split.notes.values()]}
    wanted = np.bincount(dataset.labels[split.members], minlength=n_classes)
    for name in ("val", "half of test"):
        # As many non-members as members are enough, however few that is.
        enough = min(_NONMEMBERS_PER_CLASS * n_classes, len(split.members))
        few_nonmembers = len(nonmembers) < enough
        few_reference = len(reference) < _REFERENCE_PER_CLASS * n_classes
        if not (few_nonmembers or few_reference):
            break
        pool = val
        if name == "half of test":
            test, pool = _set_aside(dataset, test, parts=2)
            lines["test"] += ["half of it serves as non-members or reference"] * bool(len(pool))
        have = np.bincount(dataset.labels[nonmembers], minlength=n_classes)
        want = np.maximum(wanted - have, 0) * few_nonmembers
        shares = _share(_queues(dataset.labels[pool], n_classes, seed), want)
        more, rest = (pool[np.concatenate(share)] for share in shares)
        if few_nonmembers and len(more):
            nonmembers = np.union1d(nonmembers, more)
            lines["nonmembers"].append(f"{name}: {len(more)} images")
        if few_reference and len(rest):
            reference = np.union1d(reference, rest)
            lines["reference"].append(f"{name}: {len(rest)} images")

    # An attack compares members with non-members: classes that do not match could fake a success.
    have = np.bincount(dataset.labels[nonmembers], minlength=n_classes)
    c = np.argmin(have / np.maximum(wanted, 1))
    if len(nonmembers) and have[c] < wanted[c]:
        lines["nonmembers"].append(f"class {c} has {have[c]} for {wanted[c]} members")
    for key, indices in {"nonmembers": nonmembers, "reference": reference, "test": test}.items():
        lines[key] += [] if len(indices) else ["empty: no image is left"]
    notes = {key: "; ".join(some) for key, some in lines.items() if some}
    return Split(split.members, nonmembers, reference, test, notes)


def _counts(have, dataset, n_per_class, n_train):
    """Members of each class, in units; InputError names the flag and the class that lacks them."""
    n_classes = len(have)
    if n_per_class is not None and n_train is not None:
        raise InputError("--n_per_class and --n_train: give one of the two")
    if n_per_class is None and n_train is None:
        return have
    flag, asked = ("--n_train", n_train) if n_per_class is None else ("--n_per_class", n_per_class)
    least = n_classes if n_per_class is None else 1
    if asked < least:
        raise InputError(f"{flag}={asked}: must be at least {least} ({n_classes} classes)")
    base, extra = divmod(n_train, n_classes) if n_per_class is None else (n_per_class, 0)
    counts = [base + (c < extra) for c in range(n_classes)]
    for c, (n, available) in enumerate(zip(counts, have, strict=True)):
        if n > available:
            unit = "images" if dataset.groups is None else "groups"
            name = dataset.class_names[c]
            most = min(have) * (n_classes if n_per_class is None else 1)
            raise InputError(
                f"{flag}={asked} needs {n} training {unit} of class {c} ({name}), "
                f"{dataset.name} has {available}; "
                + (f"{flag}={most} is possible" if most else "merge that class with another")
            )
    return counts
