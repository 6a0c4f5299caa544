"""fpu/priors/network.py, training.py, fpu/commands/prior.py: a tiny network learns; weights are kept and checked."""

import hashlib
import re

import numpy as np
import pytest

from fpu import InputError
from fpu.commands import prior as command
from fpu.models import Spec
from fpu.priors import network, training

SPEC = Spec((8, 8, 1), 2)
TINY = network.Config(8, 4, (4,), (16,), (16,), 1.0, 0.1, 1.0)


def squares(rng, n):
    """Images of a bright left or right half."""
    kinds = rng.integers(0, 2, n).astype(np.int32)
    images = rng.integers(0, 40, (n, 8, 8, 1)).astype(np.uint8)
    images[kinds == 0, :, :4] += 200
    images[kinds == 1, :, 4:] += 200
    return images, kinds


@pytest.fixture(scope="module", autouse=True)
def small_chunks():
    kept = network._CHUNK
    network._CHUNK = 100
    yield
    network._CHUNK = kept


@pytest.fixture(scope="module")
def trained():
    rng, losses = np.random.default_rng(0), []

    def batches():
        while True:
            yield squares(rng, 16)

    params = training.fit(TINY, batches(), 2, 400, 0, lambda step, terms: losses.append(terms))
    return params, np.array(losses)


def test_a_tiny_network_learns_to_rebuild_and_to_name(trained):
    params, losses = trained
    assert losses[-1][0] < 0.75 * losses[0][0]
    assert losses[-1][2] < 0.2
    space = network.of(TINY, params, SPEC)
    images, kinds = squares(np.random.default_rng(1), 100)
    codes = space.encode(images)
    assert (codes.shape, codes.dtype) == ((100, 4), np.float32)
    decoded = space.decode(codes)
    assert (decoded.shape, decoded.dtype) == (images.shape, np.uint8)
    left = decoded[..., :4, 0].mean((1, 2)) > decoded[..., 4:, 0].mean((1, 2))
    assert np.mean(left == (kinds == 0)) > 0.98


def test_a_code_depends_on_its_image_alone(trained):
    space = network.of(TINY, trained[0], SPEC)
    images, _ = squares(np.random.default_rng(2), 30)
    codes = space.encode(images)
    other = images.copy()
    other[1:] = 255 - other[1:]
    np.testing.assert_array_equal(space.encode(other)[0], codes[0])
    np.testing.assert_allclose(space.encode(images[7:8])[0], codes[7], rtol=1e-5, atol=1e-6)
    assert not np.allclose(space.encode(other)[1], codes[1])


def test_images_of_other_sides_are_resampled_there_and_back(trained):
    space = network.of(TINY, trained[0], Spec((12, 10, 1), 2))
    assert space.decode(space.encode(np.zeros((3, 12, 10, 1), np.uint8))).shape == (3, 12, 10, 1)


def test_weights_are_kept_to_a_half_float(trained, tmp_path):
    path = tmp_path / "w.npz"
    network.save(path, trained[0])
    params = network.read(path, TINY)
    assert set(params) == {"encoder", "decoder"}
    images, _ = squares(np.random.default_rng(3), 20)
    before = network.of(TINY, trained[0], SPEC).encode(images)
    assert np.abs(before - network.of(TINY, params, SPEC).encode(images)).max() < 0.02


@pytest.mark.parametrize("what", ["version", "network", "damaged", "absent"])
def test_weights_that_do_not_fit_are_one_line_with_the_command(trained, tmp_path, what):
    path, config = tmp_path / "w.npz", TINY
    network.save(path, trained[0])
    if what == "version":
        np.savez(path, **{**np.load(path), "version": np.array("0")})
    elif what == "network":
        config = TINY._replace(latent=5)
    elif what == "damaged":
        path.write_bytes(path.read_bytes()[:100])
    else:
        path.unlink()
    with pytest.raises(InputError, match=r"w\.npz.*python -m experiments\.prior --side=8") as error:
        network.read(path, config)
    assert "\n" not in str(error.value)
    if what in ("version", "network"):
        assert f"another {what}" in str(error.value)


def test_shipped_weights_are_those_of_the_readme_and_small():
    text = (network.FOLDER / "README.md").read_text(encoding="utf-8")
    files = sorted(network.FOLDER.glob("*.npz"))
    assert [path.name for path in files] == ["glyphs-28.npz", "glyphs-8.npz"]
    assert sum(path.stat().st_size for path in files) <= 3 * 10**6
    for path in files:
        network.read(path, network.CONFIGS[int(re.findall(r"\d+", path.stem)[0])])
        assert f"`{path.name}` | {hashlib.sha256(path.read_bytes()).hexdigest()}" in text


def test_the_command_writes_weights_that_can_be_read(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(network.CONFIGS, 8, TINY)
    monkeypatch.setattr(command.glyphs, "drawn", lambda: (None, np.arange(2, dtype=np.int32)))
    monkeypatch.setattr(command.glyphs, "make", lambda rng, n, spec: squares(rng, n))
    monkeypatch.setattr(command, "ROUND", 256)
    first = command.train("glyphs", 8, 4, 0, str(tmp_path / "a"))
    again = command.train("glyphs", 8, 4, 0, str(tmp_path / "b"))
    assert (first.name, first.read_bytes()) == ("glyphs-8.npz", again.read_bytes())
    network.read(first, TINY)
    shown = capsys.readouterr().err
    assert "step 4 of 4" in shown
    assert hashlib.sha256(first.read_bytes()).hexdigest() in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("glyph", 8, 1, 0), "--prior=glyph"),
        (("glyphs", 12, 1, 0), "--side=12: 8 or 28"),
        (("glyphs", 8, -1, 0), "--steps=-1"),
        (("glyphs", 8, 1, -1), "--seed=-1"),
    ],
)
def test_the_command_refuses_bad_flags(arguments, words, tmp_path):
    with pytest.raises(InputError, match=words):
        command.train(*arguments, str(tmp_path))


def test_clear_removes_the_pools_that_were_kept():
    from fpu.files import cache

    folder = cache.folder("priors")
    assert folder is not None
    command.clear()
    assert cache.folder("priors") == folder
    (folder / "glyphs-0.npz").write_bytes(b"12")
    assert "1 pool removed, 0 MB" in command.clear()
    assert not folder.exists()
