"""fpu/commands/generate.py: more images from a release, in three formats, at the command line."""

import jax
import numpy as np
import pytest
import tensorflow_datasets as tfds
import tiny
from absl import flags
from PIL import Image

from fpu import InputError, data
from fpu.baselines import gaussian
from fpu.commands import generate
from fpu.release import generators


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A release of a one-shot generator of three classes."""
    path = tmp_path_factory.mktemp("release")
    params = gaussian.fit(tiny.SPEC, tiny.pool(9), 9.0, 1.0, jax.random.key(0))
    names = "a", "b", "c"
    generators.save(path, generators.Generator("gaussian", None, tiny.SPEC, names, params))
    return path


def test_images_of_the_wanted_classes_and_a_picture(folder, tmp_path):
    target = generate.generate(str(folder), 7, "2,0,2", 0, str(tmp_path / "more.npz"))
    images, labels = data.load_images(target)
    assert images.shape == (7, 8, 8, 1)
    assert np.bincount(labels, minlength=3).tolist() == [2, 0, 5]
    assert (tmp_path / "more.png").read_bytes().startswith(b"\x89PNG")


def test_a_seed_repeats_and_another_gives_other_images(folder, tmp_path):
    def drawn(seed):
        file = generate.generate(str(folder), 5, None, seed, str(tmp_path / f"{seed}.npz"))
        return data.load_images(file)[0]

    np.testing.assert_array_equal(drawn(3), drawn(3))
    assert (drawn(3) != drawn(4)).any()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"n": 0}, "--n=0"),
        ({"n": 10**12}, "--n="),
        ({"seed": -1}, "--seed=-1"),
        ({"labels": "3"}, "--labels=3"),
        ({"out": "more.png"}, "--out=more.png"),
        ({"out": "gs://bucket/more.npz"}, "--out=gs://bucket/more.npz"),
        ({"form": "pgn"}, "--format=pgn is unknown: did you mean png"),
        ({"form": "png", "out": "."}, "not empty"),
        ({"form": "tfds", "out": "."}, "not empty"),
        ({"release": "nowhere"}, "--release=nowhere"),
        ({"prior": "glyhps"}, "--prior=glyhps is unknown: did you mean glyphs"),
        ({"prior": "images:x"}, "--prior=images:x: this release draws without a prior"),
    ],
)
def test_bad_flags_are_refused_in_one_line(folder, tmp_path, change, word):
    given = {"release": str(folder), "n": 3, "labels": None, "seed": 0}
    given["out"] = str(tmp_path / "x.npz")
    with pytest.raises(InputError, match=word):
        generate.generate(**(given | change))


@pytest.mark.parametrize("missing", ["release", "out"])
def test_a_flag_that_is_missing_is_named(monkeypatch, missing):
    values = flags.FlagValues()
    for name in ("release", "out"):
        flags.DEFINE_string(name, (None if name == missing else "x"), "", flag_values=values)
    values(["generate"])
    monkeypatch.setattr(flags, "FLAGS", values)
    with pytest.raises(InputError, match=f"--{missing} is missing: see --help"):
        generate.main(["generate"])


def test_a_folder_of_png_files_and_a_data_source_hold_the_same_images(folder, tmp_path):
    made = generate.generate(str(folder), 6, "2,0", 1, str(tmp_path / "x.npz"))
    images, labels = data.load_images(made)
    target = generate.generate(str(folder), 6, "2,0", 1, str(tmp_path / "png"), "png")
    paths = sorted(target.rglob("*.png"))
    names = [f"{'0-a' if i < 3 else '2-c'}/{i:07d}.png" for i in range(6)]
    assert [str(path.relative_to(target)) for path in paths] == names
    np.testing.assert_array_equal([np.asarray(Image.open(path)) for path in paths], images[..., 0])
    target = generate.generate(str(folder), 6, "2,0", 1, str(tmp_path / "tfds"), "tfds")
    source = tfds.data_source("synthetic", split="train", data_dir=target, download=False)
    np.testing.assert_array_equal([example["image"] for example in source], images)
    assert [example["label"] for example in source] == labels.tolist()


def test_a_release_is_not_changed(folder):
    before = sorted(folder.iterdir())
    for out, form in (("more.npz", "npz"), ("generator.npz", "npz"), ("png", "png"), (".", "png")):
        with pytest.raises(InputError, match="lies in the release"):
            generate.generate(str(folder), 3, None, 0, str(folder / out), form)
    assert sorted(folder.iterdir()) == before
