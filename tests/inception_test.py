"""fpu/inception.py: torch-fidelity's numbers with made-up weights (tests/oracles/inception.py)."""

import hashlib
import json
import pathlib

import numpy as np
import pytest
from oracles import waves

from fpu import InputError, inception

FROZEN = json.loads((pathlib.Path(__file__).parent / "oracles" / "inception.json").read_text())


@pytest.fixture(scope="module")
def held():
    return waves.inception(dict(sorted(inception.shapes().items())))


@pytest.fixture(scope="module")
def embed(held, tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / "weights.npz"
    np.savez(path, **held)
    return inception.load(path)


def test_the_names_and_shapes_are_torch_fidelitys():
    lines = json.dumps(dict(sorted(inception.shapes().items())))
    assert hashlib.md5(lines.encode()).hexdigest() == FROZEN["shapes"]


def test_features_are_torch_fidelitys(embed):
    for name, images in (("colour", waves.images()), ("grey", waves.images()[..., :1])):
        found = embed(images)
        assert (found.shape, found.dtype) == ((1, 2048), np.float64)
        np.testing.assert_allclose(found[0, ::16], FROZEN[name], rtol=1e-4, atol=1e-4)


def test_stretching_keeps_the_first_pixel_and_repeats_the_last():
    row = np.array([0.0, 10.0, 20.0], np.float32)
    found = np.asarray(inception.stretch(row, 0))
    at = np.arange(299) * 3 / 299
    np.testing.assert_allclose(found, np.interp(at, np.arange(3), row), atol=1e-4)
    assert (found[0], found[-1]) == (0, 20)
    whole = np.arange(299, dtype=np.float32)
    np.testing.assert_array_equal(inception.stretch(whole, 0), whole)


def test_images_go_in_chunks_of_one_size_and_keep_their_order(embed, monkeypatch):
    sizes = []

    def features(folded, images):
        sizes.append(len(images))
        return np.repeat(images.reshape(len(images), -1)[:, :1], 2048, 1).astype(np.float32)

    monkeypatch.setattr(inception, "features", features)
    monkeypatch.setattr(inception, "_CHUNK", 4)
    images = np.arange(10, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 9, 9, 3), np.uint8)
    np.testing.assert_array_equal(embed(images)[:, 0], np.arange(10))
    np.testing.assert_array_equal(embed(images[:3])[:, 0], np.arange(3))
    assert sizes == [4, 4, 4, 3]
    assert embed(images[:0]).shape == (0, 2048)


def test_torchvisions_own_network_is_refused(held, tmp_path):
    np.savez(tmp_path / "w.npz", **held | {"fc.weight": np.zeros((1000, 2048), np.float32)})
    with pytest.raises(InputError, match=r"fc\.weight is \[1000, 2048\] .* give pt_inception-2015"):
        inception.load(tmp_path / "w.npz")


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"none\.pth: cannot be read \(No such file"):
        inception.load(tmp_path / "none.pth")
