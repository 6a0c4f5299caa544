"""Split a data set into members, non-members, reference and test: disjoint, public, repeatable.

Splits are drawn in units: the images or, with train_groups, the groups (patients). All images of a group are in one
set. Where a unit goes is decided by its own content: a hash of its pixels and labels under a public key (--seed), not
its row, the name of its group or who else is in the file. So rows in another order move nobody, and

  a row more or less, all are members      it alone comes or goes
  a row more or less, n_per_class asked    it may be exchanged for the next of its class: at most one goes, one comes
  a changed label                          a row less and a row more
  an image more or less in a group         one group less and another one more

Copies of an image have one hash, and are in one set as far as a number asked allows. What is taken as public are n_per
class, the classes, that each has as many units as are asked, and which rows are train and test.
"""

from dataclasses import dataclass

import numpy as np

from fpu import InputError
from fpu.data.dataset import TEST, TRAIN, VAL, Dataset
from fpu.data.privacy_units import hashes, unit_of

_NONMEMBERS_PER_CLASS = 5  # on average; fewer are too few for a membership attack
_REFERENCE_PER_CLASS = 10  # on average; fewer are too few to fit a feature network


@dataclass(frozen=True)
class Split:
    """Four disjoint, ascending index arrays into Dataset.images, and what is unusual about them.

    `notes` maps the name of a set to one line. Without a note members, nonmembers and reference come from the
    official train split, and test is the official test split.
    """

    members: np.ndarray
    nonmembers: np.ndarray
    reference: np.ndarray
    test: np.ndarray
    notes: dict[str, str]


def partition(
    dataset: Dataset,
    *,
    n_per_class: int | None = None,
    seed: int = 0,
    subset: str = "random",
    at_most: bool = False,
) -> Split:
    """Draw the four sets.

    Args:
      n_per_class: members of each class, in units (images, or groups where the data have them). None: every unit
        of train is a member.
      seed: public; another seed gives other members, non-members and reference, the same test.
      subset: "random": those of each class with the lowest hashes; or "first": the first of each class in file
        order (the paper's choice).
      at_most: a class that has fewer gives all it has.

    Non-members are class-matched to the members and come from the same official split: of each
    class as many units as there are members, at most two thirds of what is left; the rest is
    reference. Where that leaves too few (on average 5 non-members and 10 reference images a class),
    val and then half of test are shared out by the same rule, and `notes` says so, as it does where
    some class has fewer non-members than members. A data set without a test split first sets aside
    the units of train whose hash is in the lowest fifth of all hashes.

    **Guarantees.** Of images read at one size and bit depth: a row of train more or less, and whatever else is in val
    and test, changes the set of members, as contents, by that unit alone where n_per_class is None; else one unit may
    go and one may come, and no more. With "random" the order of rows changes nothing.

    Raises InputError, naming the flag, for more members than there are.
    """
    if seed < 0:
        raise InputError(f"--seed={seed}: must be 0 or more")
    if subset not in ("random", "first"):
        raise InputError(f"subset={subset}: must be random or first")
    if n_per_class is not None and n_per_class < 1:
        raise InputError(f"--n_per_class={n_per_class}: must be at least 1")
    train, _, _, _ = _official(dataset)
    unit, _ = unit_of(dataset, train)
    queues = _queues(dataset, train, seed)
    if n_per_class is not None and not at_most:
        _refuse_too_many(queues, dataset, n_per_class)
    in_order = [np.sort(q) for q in queues] if subset == "first" else queues
    drawn = np.concatenate([q[:n_per_class] for q in in_order])
    return around(dataset, train[np.isin(unit, drawn)], seed=seed)


def around(
    dataset: Dataset, members: np.ndarray, nonmembers: np.ndarray | None = None, *, seed: int = 0
) -> Split:
    """The four sets where the members are given; the other three are drawn as in `partition`.

    Args:
      members: indices into dataset.images of what a generator was trained on, whole units.
      nonmembers: indices to keep as non-members, as a manifest lists them; None: drawn by the rule of `partition`.
      seed: public; of the draw.
    """
    train, val, test, notes = _official(dataset)
    members = np.unique(members)
    unit, unit_class = unit_of(dataset, train)
    is_member = np.isin(np.arange(len(unit_class)), unit[np.isin(train, members)])  # [units]
    if nonmembers is None:
        queues = _queues(dataset, train, seed)
        counts = np.bincount(unit_class[is_member], minlength=dataset.n_classes)
        shares = _share([q[~is_member[q]] for q in queues], counts)
        nonmembers, reference = (train[np.isin(unit, np.concatenate(units))] for units in shares)
    else:
        nonmembers = np.unique(nonmembers)
        reference = np.setdiff1d(train[~is_member[unit]], nonmembers)
    val, test = (np.setdiff1d(part, np.union1d(members, nonmembers)) for part in (val, test))
    return _top_up(dataset, Split(members, nonmembers, reference, test, notes), val, seed)


def _official(dataset: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, str]]:
    """(train, val, test, notes): the official splits; where there is no test split a part of train is one."""
    train, val, test = (np.flatnonzero(dataset.split == s) for s in (TRAIN, VAL, TEST))
    if len(test):
        return train, val, test, {}
    train, test = _set_aside(dataset, train, parts=5)
    note = "a fixed fifth of train, by a hash of each image, as the data have no test split"
    return train, val, test, {"test": note}


def class_matched(rng: np.random.Generator, *labels: np.ndarray, most: int) -> list[np.ndarray]:
    """Random indices into each of several labelled sets: equal counts, class by class.

    Of each class as many as in the set with the fewest, scaled down to `most` images in all.
    """
    n_classes = 1 + max(max(y, default=-1) for y in labels)
    counts = np.min([np.bincount(y, minlength=n_classes) for y in labels], axis=0)
    counts = np.floor(counts * min(1.0, most / max(1, counts.sum())) + 1e-9).astype(int)
    return [
        np.concatenate(
            [rng.permutation(np.flatnonzero(y == k))[:n] for k, n in enumerate(counts)]
        ).astype(int)
        for y in labels
    ]


def _queues(dataset: Dataset, indices: np.ndarray, seed: int) -> list[np.ndarray]:
    """For each class its units by ascending hash, so that a smaller draw is part of a larger one."""
    _, unit_class = unit_of(dataset, indices)
    order = np.argsort(hashes(dataset, indices, f"members {seed}"), kind="stable")
    return [order[unit_class[order] == c] for c in range(dataset.n_classes)]


def _set_aside(dataset: Dataset, indices: np.ndarray, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """(kept, aside): aside are the units whose hash is in the lowest of `parts` equal ranges, whoever else there is."""
    unit, _ = unit_of(dataset, indices)
    aside = (hashes(dataset, indices, f"one in {parts}") < 2**64 // parts)[unit]
    return indices[~aside], indices[aside]


def _share(
    queues: list[np.ndarray], wanted: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(matched, rest) by class: matched holds wanted[c] units, at most two thirds of the queue."""
    counts = [min(int(n), 2 * len(q) // 3) for q, n in zip(queues, wanted, strict=True)]
    matched = [q[:n] for q, n in zip(queues, counts, strict=True)]
    return matched, [q[n:] for q, n in zip(queues, counts, strict=True)]


def _top_up(dataset: Dataset, split: Split, val: np.ndarray, seed: int) -> Split:
    """The split, with images of val and then of half of test added to sets that are too small, and its notes."""
    n_classes = dataset.n_classes
    nonmembers, reference, test = split.nonmembers, split.reference, split.test
    lines = {"nonmembers": [], "reference": [], "test": [*split.notes.values()]}
    wanted = np.bincount(dataset.labels[split.members], minlength=n_classes)
    for name in ("val", "half of test"):
        # No more non-members than members are needed.
        needed = min(_NONMEMBERS_PER_CLASS * n_classes, len(split.members))
        few_nonmembers = len(nonmembers) < needed
        few_reference = len(reference) < _REFERENCE_PER_CLASS * n_classes
        if not (few_nonmembers or few_reference):
            break
        pool = val
        if name == "half of test":
            test, pool = _set_aside(dataset, test, parts=2)
            lines["test"] += ["half of it serves as non-members or reference"] * bool(len(pool))
        present = np.bincount(dataset.labels[nonmembers], minlength=n_classes)
        missing = np.maximum(wanted - present, 0) * few_nonmembers
        shares = _share(_queues(dataset, pool, seed), missing)
        more, rest = (pool[np.concatenate(share)] for share in shares)
        if few_nonmembers and len(more):
            nonmembers = np.union1d(nonmembers, more)
            lines["nonmembers"].append(f"{name}: {len(more)} images")
        if few_reference and len(rest):
            reference = np.union1d(reference, rest)
            lines["reference"].append(f"{name}: {len(rest)} images")

    # An attack compares members with non-members: other class counts could look like a success.
    present = np.bincount(dataset.labels[nonmembers], minlength=n_classes)
    c = np.argmin(present / np.maximum(wanted, 1))
    if len(nonmembers) and present[c] < wanted[c]:
        lines["nonmembers"].append(f"class {c} has {present[c]} for {wanted[c]} members")
    for key, indices in {"nonmembers": nonmembers, "reference": reference, "test": test}.items():
        lines[key] += [] if len(indices) else ["empty: no image is left"]
    notes = {key: "; ".join(some) for key, some in lines.items() if some}
    return Split(split.members, nonmembers, reference, test, notes)


def _refuse_too_many(queues: list[np.ndarray], dataset: Dataset, n_per_class: int) -> None:
    """InputError, naming the class that lacks units, where some class has fewer than `n_per_class`."""
    instead = "merge that class with another"
    if fewest := min(map(len, queues)):
        instead = f"--n_per_class={fewest} is possible; without the flag each class gives what it has, up to 50"
    for c, queue in enumerate(queues):
        if n_per_class > len(queue):
            raise InputError(
                f"--n_per_class={n_per_class} needs {n_per_class} training {dataset.unit}s of class {c} "
                f"({dataset.class_names[c]}), {dataset.name} has {len(queue)}; {instead}"
            )
