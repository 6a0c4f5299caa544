"""fpu/data/look.py: what a holder should know of her data is said, and nothing where all is well."""

import dataclasses

import numpy as np
import toy

from fpu import data


def lines(ds, **more):
    split = data.partition(ds, **more)
    return data.look(ds, split), split


def test_plain_data_have_their_counts_and_no_more():
    said, _ = lines(toy.dataset([30, 30], test=[10, 10]), n_per_class=10)
    assert said == ["20 members of toy: c0 10, c1 10"]


def test_copies_overlaps_and_two_labels():
    ds = toy.dataset([30, 30], test=[10, 10])
    images, labels = ds.images.copy(), ds.labels
    first = np.flatnonzero((ds.split == 0) & (labels == 0))
    images[first[:3]] = images[first[0]]
    other = np.flatnonzero((ds.split == 0) & (labels == 1))
    images[other[0]] = images[other[1]] = images[first[5]]
    images[ds.split == 2] = images[first[7]]
    said, _ = lines(dataclasses.replace(ds, images=images))
    told = "2 images are there more than once among the members, up to 3"
    assert any(line.startswith(told) for line in said)
    assert any("several classes" in line for line in said)
    told = "images of the test set are copies of members"
    assert any(line.endswith("than they are") and told in line for line in said)


def test_copies_within_a_group_are_protected_with_it():
    groups = np.repeat(np.arange(30), 2).astype(np.int32)
    ds = toy.dataset([60, 0], groups=groups)
    ds = dataclasses.replace(ds, images=ds.images[groups], class_names=("a",))
    said, split = lines(ds)
    n = len(split.members) // 2
    assert not any("more than once" in line for line in said)
    told = f"{n} groups of 2 to 2 images", f"n = {n}, not of {2 * n}"
    assert any(line.startswith(told[0]) and told[1] in line for line in said)
    crossed = dataclasses.replace(ds, groups=np.roll(groups, 1))
    assert any("more than once" in line for line in lines(crossed)[0])


def test_uneven_classes_and_pixels_of_two_values():
    ds = toy.dataset([95, 5])
    assert any("classes are uneven" in line for line in lines(ds)[0])
    assert not any("classes are uneven" in line for line in lines(toy.dataset([60, 40]))[0])
    black = dataclasses.replace(ds, images=(ds.images > 127).astype(np.uint8))
    assert any("pixels are 0 and 1 only" in line for line in lines(black)[0])
    binary = dataclasses.replace(ds, images=255 * black.images)
    assert any("pixels are 0 and 255 only" in line for line in lines(binary)[0])


def test_notes_of_the_reader_come_first():
    ds = dataclasses.replace(toy.dataset([9, 9]), notes=("an alpha channel was dropped",))
    assert lines(ds)[0][0] == "an alpha channel was dropped"
