"""fpu/data/subsets.py: four disjoint sets, as asked, for good."""

import dataclasses

import numpy as np
import pytest
import toy
from hypothesis import given, settings
from hypothesis import strategies as st

from fpu import InputError, data


def per_class(ds, indices):
    return np.bincount(ds.labels[indices], minlength=ds.n_classes).tolist()


@settings(max_examples=60, deadline=None)
@given(
    train=st.lists(st.integers(1, 30), min_size=2, max_size=4),
    val=st.integers(0, 8),
    test=st.integers(0, 8),
    share=st.floats(0, 1),
    seed=st.integers(0, 3),
    subset=st.sampled_from(["random", "first"]),
)
def test_four_sets_are_disjoint_and_members_are_as_asked(train, val, test, share, seed, subset):
    k = len(train)
    ds = toy.dataset(train, [val] * k, [test] * k, seed=seed)
    left = [n - n // 5 for n in train] if not test else train
    n_per_class = 1 + int(share * (min(left) - 1))
    split = data.partition(ds, n_per_class=n_per_class, seed=seed, subset=subset)
    sets = (split.members, split.nonmembers, split.reference, split.test)
    joined = np.concatenate(sets)
    assert len(np.unique(joined)) == len(joined)
    assert all(np.all(np.diff(s) > 0) for s in sets)
    assert per_class(ds, split.members) == [n_per_class] * k
    assert np.all(ds.split[split.members] == 0)
    assert all(n <= n_per_class for n in per_class(ds, split.nonmembers))
    if test:  # without a test split, a fifth of train is the test set
        assert np.all(ds.split[split.test] == 2)
        assert np.isin(np.flatnonzero(ds.split == 0), joined).all()
    outside = (ds.split[split.nonmembers] != 0).any() or (ds.split[split.reference] != 0).any()
    assert bool(split.notes) >= outside
    again = data.partition(ds, n_per_class=n_per_class, seed=seed, subset=subset)
    assert all(np.array_equal(a, getattr(again, f)) for f, a in vars(split).items() if f != "notes")
    around = data.around(ds, split.members, seed=seed)
    assert all(np.array_equal(getattr(around, f), a) for f, a in vars(split).items())
    kept = data.around(ds, split.members, split.nonmembers, seed=seed + 1)
    assert np.array_equal(kept.nonmembers, split.nonmembers) or kept.notes
    assert np.isin(split.nonmembers, kept.nonmembers).all()
    joined = np.concatenate([kept.members, kept.nonmembers, kept.reference, kept.test])
    assert len(np.unique(joined)) == len(joined)


def test_nonmembers_match_members_or_two_thirds_of_the_rest():
    ds = toy.dataset([100, 40, 26], test=[9, 9, 9])
    split = data.partition(ds, n_per_class=20)
    assert per_class(ds, split.nonmembers) == [20, 13, 4]
    assert per_class(ds, split.reference) == [60, 7, 2]
    assert split.notes == {"nonmembers": "class 2 has 4 for 20 members"}


def test_without_a_number_all_of_train_are_members():
    ds = toy.dataset([30, 20, 30], test=[5, 5, 5])
    assert per_class(ds, data.partition(ds).members) == [30, 20, 30]


def test_seeds_differ_smaller_draws_nest_and_first_is_the_file_order():
    ds = toy.dataset([60] * 3, test=[5] * 3)
    draws = [data.partition(ds, n_per_class=10, seed=s) for s in range(3)]
    assert all(len(np.setdiff1d(draws[0].members, d.members)) > 10 for d in draws[1:])
    assert all(np.array_equal(draws[0].test, d.test) for d in draws[1:])
    larger = data.partition(ds, n_per_class=20, seed=0)
    assert np.isin(draws[0].members, larger.members).all()
    first = [data.partition(ds, n_per_class=10, seed=s, subset="first") for s in range(2)]
    expected = np.sort(
        np.concatenate([np.flatnonzero(ds.labels[:180] == c)[:10] for c in range(3)])
    )
    assert all(np.array_equal(f.members, expected) for f in first)
    assert not np.array_equal(first[0].nonmembers, first[1].nonmembers)


def test_every_image_is_drawn_equally_often():
    ds = toy.dataset([10, 20], test=[5, 5])
    counts = np.zeros(30)
    for seed in range(400):
        counts[data.partition(ds, n_per_class=5, seed=seed).members] += 1
    expected = np.where(ds.labels[:30] == 0, 200, 100)
    assert np.abs(counts - expected).max() < 5 * np.sqrt(100)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"n_per_class": 21}, r"--n_per_class=21 .* class 1 \(c1\), toy has 20; .*=20 is possible"),
        ({"n_per_class": 0}, "--n_per_class=0"),
        ({"seed": -1}, "--seed=-1"),
        ({"subset": "last"}, "subset=last"),
    ],
)
def test_impossible_subsets_name_the_flag(asked, says):
    with pytest.raises(InputError, match=says):
        data.partition(toy.dataset([50, 20], test=[5, 5]), **asked)


def test_falls_back_to_val_then_half_of_test_and_says_so():
    ds = toy.dataset([12, 12], val=[60, 60], test=[40, 40])
    split = data.partition(ds)  # all of train: non-members and reference come from val
    assert per_class(ds, split.nonmembers) == [12, 12]
    assert per_class(ds, split.reference) == [48, 48]
    assert set(ds.split[split.nonmembers]) == set(ds.split[split.reference]) == {1}
    assert len(split.test) == 80
    assert split.notes == {"nonmembers": "val: 24 images", "reference": "val: 96 images"}

    split = data.partition(toy.dataset([12, 12], test=[40, 40]))
    assert [len(s) for s in (split.nonmembers, split.reference, split.test)] == [24, 16, 40]
    assert split.notes["nonmembers"] == "half of test: 24 images"
    assert split.notes["test"] == "half of it serves as non-members or reference"

    # Enough non-members in train, too few for reference: val gives reference alone.
    split = data.partition(toy.dataset([30, 30], val=[40, 40], test=[9, 9]), n_per_class=20)
    assert [len(s) for s in (split.nonmembers, split.reference)] == [12, 8 + 80]
    assert split.notes["reference"] == "val: 80 images"
    assert split.notes["nonmembers"] == "class 0 has 6 for 20 members"


def test_few_members_need_few_nonmembers():
    ds = toy.dataset([60, 60], val=[9, 9], test=[9, 9])
    split = data.partition(ds, n_per_class=2)
    assert per_class(ds, split.nonmembers) == [2, 2]
    assert split.notes == {}


def test_a_file_without_test_sets_a_fifth_aside_the_same_for_every_seed():
    ds = toy.dataset([50, 100])
    splits = [data.partition(ds, n_per_class=10, seed=s) for s in range(2)]
    assert np.array_equal(splits[0].test, splits[1].test)
    assert per_class(ds, splits[0].test) == [10, 20]
    assert "fifth" in splits[0].notes["test"]


def test_nothing_left_is_said():
    split = data.partition(toy.dataset([1, 1], test=[1, 1]))
    assert len(split.nonmembers) == len(split.reference) == 0
    assert split.notes["nonmembers"] == split.notes["reference"] == "empty: no image is left"
    assert len(split.test) == 2


def grouped(test=True):
    """(dataset, owner): patients of 1 to 5 images, scattered in the file, mostly of one class."""
    rng = np.random.default_rng(0)
    owner = rng.permutation(np.repeat(np.arange(40), rng.integers(1, 6, 40)))
    ds = toy.dataset([len(owner), 0], test=[4, 4] if test else ())
    ds.labels[: len(owner)] = (owner + (rng.random(len(owner)) < 0.2)) % 2
    groups = np.full(len(ds.labels), -1, np.int32)
    groups[: len(owner)] = owner
    return dataclasses.replace(ds, groups=groups), owner


@pytest.mark.parametrize("test", [True, False])
def test_groups_never_straddle_sets_and_are_what_is_counted(test):
    ds, owner = grouped(test)
    split = data.partition(ds, n_per_class=6, seed=1)
    owners = [
        set(owner[s[s < len(owner)]])
        for s in (split.members, split.nonmembers, split.reference, split.test)
    ]
    for i, a in enumerate(owners):
        assert all(a.isdisjoint(b) for b in owners[:i])
    assert len(owners[0]) == 12
    majority = {g: np.bincount(ds.labels[: len(owner)][owner == g]).argmax() for g in owners[0]}
    assert sum(majority.values()) == 6
    assert set(split.members) == set(np.flatnonzero(np.isin(owner, list(owners[0]))))
    account = data.manifest(ds, split)
    assert (account["unit"], account["n_units"]) == ("group", 12)
    with pytest.raises(InputError, match="groups of class"):
        data.partition(ds, n_per_class=39)


def test_units_hold_positions_of_each_group():
    ds, owner = grouped()
    indices = data.partition(ds, n_per_class=5).members
    table, sizes = data.units(ds, indices)
    assert table.dtype == sizes.dtype == np.int32
    assert table.shape == (10, sizes.max())
    assert sizes.sum() == len(indices)
    seen = [p for row, size in zip(table, sizes, strict=True) for p in row[:size]]
    assert sorted(seen) == list(range(len(indices)))
    assert np.all(owner[indices[table]] == owner[indices[table[:, :1]]])  # padding included

    table, sizes = data.units(toy.dataset([5, 5]), np.array([3, 7, 9]))
    assert table.tolist() == [[0], [1], [2]]
    assert sizes.tolist() == [1, 1, 1]
    assert data.units(ds, np.array([], int))[0].shape == (0, 1)


def test_a_group_of_which_one_image_was_trained_on_is_in_no_other_set():
    ds, owner = grouped()
    members = np.flatnonzero(owner == 3)[:1]
    for nonmembers in (None, np.flatnonzero(owner == 4)):
        split = data.around(ds, members, nonmembers)
        others = np.concatenate([split.nonmembers, split.reference])
        assert split.members.tolist() == members.tolist()
        assert not np.isin(np.flatnonzero(owner == 3), others).any()


def test_class_matched_counts():
    rng = np.random.default_rng(0)
    a, b = np.repeat([0, 1, 2], [50, 20, 30]), np.repeat([2, 0], [10, 90])
    i, j = data.class_matched(rng, a, b, most=1000)
    assert np.array_equal(a[i], b[j])
    assert np.bincount(a[i]).tolist() == [50, 0, 10]
    assert len(set(i)) == len(i) == 60
    i, j = data.class_matched(rng, a, b, most=30)
    assert np.bincount(a[i]).tolist() == [25, 0, 5]
    assert [len(x) for x in data.class_matched(rng, a, b[:0], most=9)] == [0, 0]
