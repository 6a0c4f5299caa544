"""fpu/data/manifests.py: what a manifest pins, and the refusal of what is none."""

import hashlib
import json

import numpy as np
import pytest
import toy
from hypothesis import given, settings
from hypothesis import strategies as st
from refusal import refused

from fpu import InputError, data
from fpu.data import manifests


def test_manifest_is_json_and_pins_pixels_and_labels():
    ds = toy.dataset([30, 30], test=[5, 5])
    split = data.partition(ds, n_per_class=5)
    account = data.manifest(ds, split)
    assert json.loads(json.dumps(account)) == account
    assert account["members"] == split.members.tolist()
    assert account["members_per_class"] == [5, 5]
    assert (account["n_members"], account["n_units"], account["unit"]) == (10, 10, "image")
    assert account["n_members"] + account["n_nonmembers"] + account["n_reference"] == 60
    content = ds.images[split.members].tobytes() + ds.labels[split.members].tobytes()
    assert account["sha256_members"] == hashlib.sha256(content).hexdigest()
    ds.labels[split.nonmembers[0]] ^= 1
    changed = data.manifest(ds, split)
    assert changed["sha256_members"] == account["sha256_members"]
    assert changed["sha256_nonmembers"] != account["sha256_nonmembers"]


def written(tmp_path, value):
    path = tmp_path / "manifest.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_a_manifest_is_read_back_and_a_bare_list_will_do(tmp_path):
    ds = toy.dataset([30, 30], test=[5, 5])
    split = data.partition(ds, n_per_class=5)
    members, nonmembers = manifests.read(written(tmp_path, data.manifest(ds, split)), ds)
    assert members.tolist() == split.members.tolist()
    assert nonmembers.tolist() == split.nonmembers.tolist()
    members, nonmembers = manifests.read(written(tmp_path, [7, 3]), ds)
    assert (members.tolist(), nonmembers) == ([3, 7], None)
    with refused("none.json: cannot be read"):
        manifests.read(tmp_path / "none.json", ds)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ({}, "needs a list members of whole numbers"),
        ({"members": [1, 2.0]}, "whole numbers"),
        ({"members": [True]}, "whole numbers"),
        ([], "empty"),
        ([1, 1], "twice"),
        ([-1], "has images 0 to 69"),
        ([70], "members run to 70; toy has images 0 to 69"),
        ([10**30], "has images 0 to 69"),
        ({"members": [1, 2], "nonmembers": [2, 3]}, "at once"),
        ({"members": [1, 2], "sha256_members": "ab"}, "made from other images"),
    ],
)
def test_what_is_no_manifest_of_these_data_is_one_line(tmp_path, value, words):
    ds = toy.dataset([30, 30], test=[5, 5])
    with refused(words, "manifest.json"):
        manifests.read(written(tmp_path, value), ds)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["members", "nonmembers", "sha256_members"]), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=25)
@given(value=_JSON)
def test_no_json_makes_it_stumble(tmp_path_factory, value):
    ds = toy.dataset([4, 4], test=[2, 2])
    try:
        members, _ = manifests.read(written(tmp_path_factory.getbasetemp(), value), ds)
    except InputError:
        return
    assert len(members)
    assert np.isin(members, np.arange(12)).all()
