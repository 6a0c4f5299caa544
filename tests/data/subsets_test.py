"""fpu/data/subsets.py: four disjoint sets, as asked, for good."""

import collections
import dataclasses
import hashlib

import numpy as np
import pytest
import toy
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fpu import InputError, data


def per_class(ds, indices):
    return np.bincount(ds.labels[indices], minlength=ds.n_classes).tolist()


@settings(max_examples=60)
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
    left = min(per_class(ds, data.partition(ds).members))
    assume(left)
    n_per_class = 1 + int(share * (left - 1))
    split = data.partition(ds, n_per_class=n_per_class, seed=seed, subset=subset)
    sets = (split.members, split.nonmembers, split.reference, split.test)
    joined = np.concatenate(sets)
    assert len(np.unique(joined)) == len(joined)
    assert all(np.all(np.diff(s) > 0) for s in sets)
    assert per_class(ds, split.members) == [n_per_class] * k
    assert np.all(ds.split[split.members] == 0)
    assert all(n <= n_per_class for n in per_class(ds, split.nonmembers))
    if test:  # without a test split, a part of train is the test set
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


def test_seeds_differ_smaller_draws_nest_and_first_is_the_file_order():
    ds = toy.dataset([60] * 3, test=[5] * 3)
    draws = [data.partition(ds, n_per_class=10, seed=s) for s in range(3)]
    assert all(len(np.setdiff1d(draws[0].members, d.members)) > 10 for d in draws[1:])
    assert all(np.array_equal(draws[0].test, d.test) for d in draws[1:])
    assert np.isin(draws[0].members, data.partition(ds, n_per_class=20, seed=0).members).all()
    first = [data.partition(ds, n_per_class=10, seed=s, subset="first") for s in range(2)]
    each = [np.flatnonzero(ds.labels[:180] == c)[:10] for c in range(3)]
    expected = np.sort(np.concatenate(each))
    assert all(np.array_equal(f.members, expected) for f in first)
    assert not np.array_equal(first[0].nonmembers, first[1].nonmembers)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"n_per_class": 21}, r"--n_per_class=21 .* class 1 \(c1\), toy has 20; .*=20 is possible"),
        ({"n_per_class": 0}, "--n_per_class=0"),
        ({"n_per_class": -3, "at_most": True}, "--n_per_class=-3"),  # a slice would leave three out
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
    assert 2 <= min(per_class(ds, split.nonmembers)) <= max(per_class(ds, split.nonmembers)) <= 12
    assert sum(map(len, (split.nonmembers, split.reference, split.test))) == 80
    assert 25 <= len(split.test) <= 60
    assert f"half of test: {len(split.nonmembers)} images" in split.notes["nonmembers"]
    assert split.notes["test"] == "half of it serves as non-members or reference"

    # Enough non-members in train, too few for reference: val gives reference alone.
    split = data.partition(toy.dataset([30, 30], val=[40, 40], test=[9, 9]), n_per_class=20)
    assert [len(s) for s in (split.nonmembers, split.reference)] == [12, 8 + 80]
    assert split.notes["reference"] == "val: 80 images"
    assert split.notes["nonmembers"] == "class 0 has 6 for 20 members"


def test_few_members_need_few_nonmembers():
    ds = toy.dataset([60, 60], val=[9, 9], test=[9, 9])
    split = data.partition(ds, n_per_class=2)
    assert (per_class(ds, split.nonmembers), split.notes) == ([2, 2], {})


def test_a_file_without_test_sets_a_fifth_aside_the_same_for_every_seed():
    ds = toy.dataset([500, 1000])
    splits = [data.partition(ds, n_per_class=10, seed=s) for s in range(2)]
    assert np.array_equal(splits[0].test, splits[1].test)
    assert np.abs(np.array(per_class(ds, splits[0].test)) - [100, 200]).max() < 50
    assert "fifth" in splits[0].notes["test"]


def test_nothing_left_is_said():
    split = data.partition(toy.dataset([1, 1]))
    assert len(split.nonmembers) == len(split.reference) == 0
    assert split.notes["nonmembers"] == split.notes["reference"] == "empty: no image is left"


# The file: rows more or less, in another order, with other labels. What counts is who is in a set, not where.


def contents(ds, indices):
    """A multiset of (label, pixels)."""
    return collections.Counter((int(ds.labels[i]), ds.images[i].tobytes()) for i in indices)


def moved(before, after):
    """(how many left a set, how many came)."""
    return (before - after).total(), (after - before).total()


def of(ds, rows):
    """The rows of a data set, in this order."""
    part = {name: getattr(ds, name)[rows] for name in ("images", "labels", "split")}
    groups = None if ds.groups is None else ds.groups[rows]
    return dataclasses.replace(ds, **part, groups=groups)


@st.composite
def files(draw):
    """(a data set, some images of it repeated; n_per_class that it can bear, or None)."""
    tests = draw(st.sampled_from([[], [3, 3]]))
    train = draw(st.lists(st.integers(4, 25), min_size=2, max_size=2))
    ds = toy.dataset(train, test=tests, seed=draw(st.integers(0, 5)))
    if draw(st.booleans()):  # six different images of each class
        ds.images[:] = ds.images[np.arange(len(ds.labels)) % 6]
    left = min(per_class(ds, data.partition(ds).members))
    assume(left > 1)
    return ds, draw(st.sampled_from([None, 1, left // 2, left - 1]))


@settings(max_examples=150)
@given(files(), st.randoms(use_true_random=False), st.integers(0, 2))
def test_a_row_more_or_less_moves_one_and_another_order_nobody(file, rng, seed):
    ds, n_per_class = file
    n_per_class = n_per_class or None

    def sets(ds):
        split = data.partition(ds, n_per_class=n_per_class, seed=seed)
        return contents(ds, split.members), contents(ds, split.test)

    members, _ = before = sets(ds)
    rows = list(range(len(ds.labels)))
    row = rng.choice(np.flatnonzero(ds.split == 0).tolist())
    one = contents(ds, [row])

    fewer, _ = sets(of(ds, [i for i in rows if i != row]))
    is_member = bool(members & one)
    gone, came = members - fewer, fewer - members
    if n_per_class is None:
        assert (gone, came) == (one if is_member else collections.Counter(), collections.Counter())
    else:
        assert gone == came == collections.Counter() or (gone == one and came.total() == 1)
        assert {label for label, _ in came} <= {label for label, _ in one}

    rng.shuffle(rows)
    assert sets(of(ds, rows)) == before

    again = of(ds, [*rows, row])  # a copy more
    assert max(moved(members, sets(again)[0])) <= 1

    other = of(ds, rows)
    other.labels[rows.index(row)] ^= 1
    assert max(moved(members, sets(other)[0])) <= (2 if n_per_class else 1)


def test_what_is_in_val_and_test_moves_no_member():
    ds = toy.dataset([20, 20], val=[9, 9], test=[9, 9])
    for n_per_class in (None, 7):
        members = contents(ds, data.partition(ds, n_per_class=n_per_class).members)
        for split in (1, 2):
            others = of(ds, np.flatnonzero(ds.split != split))
            if split == 1:
                split = data.partition(others, n_per_class=n_per_class)
                assert contents(others, split.members) == members
            others = of(ds, np.delete(np.arange(len(ds.labels)), np.flatnonzero(ds.split == 2)[:5]))
            split = data.partition(others, n_per_class=n_per_class)
            assert contents(others, split.members) == members


def test_first_in_file_order_exchanges_one_at_most():
    ds = toy.dataset([20, 20], test=[9, 9])

    def members(ds):
        return contents(ds, data.partition(ds, n_per_class=5, subset="first").members)

    for row in range(40):
        less = of(ds, np.delete(np.arange(len(ds.labels)), row))
        assert moved(members(ds), members(less)) in ((0, 0), (1, 1))


def test_members_have_the_lowest_hashes_of_their_pixels_and_label():
    ds = toy.dataset([30, 30], test=[5, 5])

    def hashed(i):
        content = int(ds.labels[i]).to_bytes(4, "little") + ds.images[i].tobytes()
        digest = hashlib.blake2b(content, digest_size=8, key=b"members 3").digest()
        return int.from_bytes(digest, "little")

    expected = [sorted(np.flatnonzero(ds.labels[:60] == c), key=hashed)[:4] for c in (0, 1)]
    members = data.partition(ds, n_per_class=4, seed=3).members
    assert members.tolist() == sorted(np.concatenate(expected))


@settings(max_examples=30)
@given(st.randoms(use_true_random=False), st.booleans(), st.sampled_from([None, 4]))
def test_a_group_is_chosen_by_its_images_not_by_its_name(rng, test, n_per_class):
    ds, owner = grouped(test)

    def members(ds):
        split = data.partition(ds, n_per_class=n_per_class, seed=1)
        groups = collections.defaultdict(list)
        for i in split.members:
            groups[ds.groups[i]].append((int(ds.labels[i]), ds.images[i].tobytes()))
        return collections.Counter(tuple(sorted(group)) for group in groups.values())

    before, rows = members(ds), list(range(len(ds.labels)))
    rng.shuffle(rows)
    renamed = of(ds, rows)
    names = rng.sample(range(1000), 40)
    renamed.groups[renamed.groups >= 0] = np.array(names)[renamed.groups[renamed.groups >= 0]]
    assert members(renamed) == before

    group = rng.randrange(40)
    mine = np.flatnonzero(owner == group)
    gone, came = moved(before, members(of(ds, np.delete(np.arange(len(ds.labels)), mine))))
    assert (came, gone) in ([(0, 0), (0, 1)] if n_per_class is None else [(0, 0), (1, 1)])

    smaller = of(ds, np.delete(np.arange(len(ds.labels)), mine[:1]))
    assert max(moved(before, members(smaller))) <= (2 if n_per_class else 1)


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
    sets = split.members, split.nonmembers, split.reference, split.test
    owners = [set(owner[s[s < len(owner)]]) for s in sets]
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
    assert (table.shape, sizes.sum()) == ((10, sizes.max()), len(indices))
    seen = [p for row, size in zip(table, sizes, strict=True) for p in row[:size]]
    assert sorted(seen) == list(range(len(indices)))
    assert np.all(owner[indices[table]] == owner[indices[table[:, :1]]])  # padding included

    table, sizes = data.units(toy.dataset([5, 5]), np.array([3, 7, 9]))
    assert (table.tolist(), sizes.tolist()) == ([[0], [1], [2]], [1, 1, 1])
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
