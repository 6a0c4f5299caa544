"""fpu/release/generators.py: what is loaded draws what was saved, and other files are refused in one line."""

import dataclasses
import functools
import json
import shutil
import zipfile
from unittest import mock

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import tiny_prior
from hypothesis import strategies as st
from refusal import refused

from fpu import InputError, models
from fpu.baselines import BASELINES, OF_PRIOR, RELEASES
from fpu.models import vae
from fpu.priors import brightness
from fpu.release import generators

NAMES = ("no", "yes", "perhaps")


def made(name):
    if name in tiny.NAMES:
        config = dataclasses.asdict(tiny.smallest(name))
        return generators.Generator(name, config, tiny.SPEC, NAMES, tiny.params(name))
    prior = tiny_prior.prior(tiny.SPEC) if name in OF_PRIOR else None
    baseline = BASELINES[name](tiny.SPEC, *([prior] if prior else []))
    params = baseline.fit(tiny.pool(9), 9.0, 1.0, jax.random.key(0))
    return generators.Generator(name, None, tiny.SPEC, NAMES, params, prior)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with a saved VAE."""
    folder = tmp_path_factory.mktemp("vae")
    generators.save(folder, made("vae"))
    return folder


@pytest.mark.parametrize("name", [*tiny.NAMES, *RELEASES])
def test_what_is_loaded_draws_the_same_images(tmp_path, monkeypatch, name):
    monkeypatch.setattr("fpu.baselines.merf.STEPS", 1)
    monkeypatch.setattr("fpu.baselines.merf_prior.STEPS", 1)
    monkeypatch.setitem(models.load("gan").SIZES, "default", tiny.smallest("gan"))  # merf's
    tiny_prior.install(monkeypatch)
    generator = made(name)
    generators.save(tmp_path, generator)
    loaded = generators.load(tmp_path)
    labels = jnp.array([0, 2])
    before, after = (each.sample(jax.random.key(1), labels) for each in (generator, loaded))
    np.testing.assert_array_equal(before, after)
    assert loaded.class_names == NAMES


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """(folder, generator) of a VAE that is conditioned on codes of draws."""
    spec, folder = tiny.SPEC._replace(code=2), tmp_path_factory.mktemp("taught")
    shapes = jax.eval_shape(vae.make(tiny.smallest("vae"), spec).init, jax.random.key(0))
    held = {
        "codes": jax.random.normal(jax.random.key(1), (9, 2)),
        "tones": jnp.linspace(0.0, 1.0, 256) ** 2,
    }
    generator = made("vae")._replace(params={**tiny.random_like(shapes), **held}, spec=spec)
    generators.save(folder, generator)
    return folder, generator


def changed(source, folder, **changes):
    """`folder`, with what `source` holds, but for other facts."""
    shutil.copytree(source, folder, dirs_exist_ok=True)
    facts = json.loads((source / generators.FACTS).read_text()) | changes
    (folder / generators.FACTS).write_text(json.dumps(facts))
    return folder


def test_a_model_draws_from_its_codes_after_loading_too(taught):
    folder, generator = taught
    labels = jnp.array([0, 2, 2])
    images = generator.sample(jax.random.key(1), labels)
    np.testing.assert_array_equal(images, generators.load(folder).sample(jax.random.key(1), labels))
    others = {**generator.params, "codes": 1 - generator.params["codes"]}
    assert (images != generator._replace(params=others).sample(jax.random.key(1), labels)).any()


@pytest.mark.parametrize("code", [0, 3, -1, "2", True])
def test_a_model_whose_codes_are_of_another_size_is_refused(taught, tmp_path, code):
    changed(taught[0], tmp_path, code=code)
    with pytest.raises(InputError, match=r"generator\.(json|npz)"):
        generators.load(tmp_path)


def test_codes_and_tones_that_do_not_fit_are_refused_and_a_model_after_dpsgd_has_no_tones(
    taught, tmp_path
):
    changed(taught[0], tmp_path)
    held = dict(np.load(tmp_path / generators.NUMBERS))
    codes, tones = held["codes"][:, :1], held.pop("tones")
    for wrong in ({"codes": codes, "tones": tones}, {"tones": tones[:3]}, {"tones": -tones}):
        np.savez(tmp_path / generators.NUMBERS, **{**held, **wrong})
        with refused(generators.NUMBERS, "a vae of this shape"):
            generators.load(tmp_path)
    np.savez(tmp_path / generators.NUMBERS, **held)
    assert "tones" not in generators.load(tmp_path).params


@pytest.fixture
def drawing(tmp_path, monkeypatch):
    """The folder of a release that draws images of a prior."""
    tiny_prior.install(monkeypatch)
    generators.save(tmp_path / "saved", made("prior"))
    return tmp_path / "saved"


def test_a_release_of_another_version_of_its_prior_is_refused(drawing, monkeypatch):
    tiny_prior.install(monkeypatch, version="2")
    with refused("prior squares, version 1, and here is version 2"):
        generators.load(drawing)


@pytest.mark.parametrize("prior", [None, {"name": "squares"}, {"name": 1, "version": "1"}, "x"])
def test_facts_of_a_prior_that_do_not_fit_are_refused(drawing, tmp_path, prior):
    folder = changed(drawing, tmp_path / "changed", prior=prior)
    with refused(str(folder / generators.FACTS)):
        generators.load(folder)


def test_numbers_that_are_not_of_the_prior_are_refused(drawing):
    held = dict(np.load(drawing / generators.NUMBERS))
    for name in ("means", "weights", "roots"):
        np.savez(drawing / generators.NUMBERS, **{**held, name: held[name][:1, ..., :1]})
        with refused("a prior of this shape"):
            generators.load(drawing)


def test_a_brightness_is_of_the_right_size_and_of_a_prior_that_does_not_decode(drawing):
    held = dict(np.load(drawing / generators.NUMBERS))

    def by_margin(name, spec):
        found = tiny_prior.prior(spec)
        return found._replace(space=found.space._replace(decode=None))

    shape = tiny.SPEC.n_classes, brightness.size(tiny.SPEC.shape)
    right = np.zeros(shape, np.float32)
    for numbers, find, message in (
        (right, generators.BUILT_IN, "decodes"),
        (right[:, 1:], by_margin, "a prior of this shape"),
    ):
        np.savez(drawing / generators.NUMBERS, **held, brightness=numbers)
        with refused(message):
            generators.load(drawing, find)
    np.savez(drawing / generators.NUMBERS, **held, brightness=right)
    assert generators.load(drawing, by_margin).params["brightness"].shape == shape


@pytest.mark.parametrize(
    ("name", "given", "loaded"),
    [
        ("os:system", None, None),
        ("os:system", "squares", None),
        ("os:system", "os:system", "os:system"),
        ("images:letters", None, None),
        ("images:letters", "os:system", None),
        ("images:letters", "images:here/letters.npz", "images:here/letters.npz"),
    ],
)
def test_code_and_files_are_used_only_where_named(
    drawing, tmp_path, monkeypatch, name, given, loaded
):
    folder = changed(drawing, tmp_path / "changed", prior={"name": name, "version": "1"})
    asked = mock.Mock(return_value=tiny_prior.prior(tiny.SPEC))
    monkeypatch.setattr(generators.priors, "load", asked)
    find = functools.partial(generators.named, given)
    if loaded:
        generators.load(folder, find)
        asked.assert_called_once_with(loaded, tiny.SPEC)
        return
    with refused(f"of the prior {name}: add --prior="):
        generators.load(folder, find)
    asked.assert_not_called()


CHANGES = {
    "unknown model": {"model": "os.system"},
    "a size that would not fit": {"config": {"width": 10**12}},
    "a depth that would not end": {"config": {"depth": 10**9}},
    "another size": {"config": {"net": "mixer", "width": 9}},
    "an unknown setting": {"config": {"wide": 3}},
    "other images": {"shape": [8, 9, 1]},
    "huge images": {"shape": [10**6, 10**6, 1]},
    "more classes": {"n_classes": 4},
    "names that are no text": {"class_names": [1, 2, 3]},
    "another kind": {"model": "gaussian", "config": None},
    "a prior that is not named": {"model": "prior", "config": None},
}


@pytest.mark.parametrize("change", CHANGES)
def test_facts_that_do_not_fit_are_refused_in_one_line(tmp_path, saved, change):
    changed(saved, tmp_path, **CHANGES[change])
    with refused(str(tmp_path)):
        generators.load(tmp_path)


@hypothesis.settings(max_examples=25)
@hypothesis.given(data=st.data())
def test_damaged_files_are_refused_or_still_a_generator(saved, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    for name in (generators.FACTS, generators.NUMBERS):
        whole = (saved / name).read_bytes()
        at = data.draw(st.integers(0, len(whole) - 1))
        other = data.draw(st.binary(max_size=12))
        (folder / name).write_bytes(whole[:at] + other + whole[at + len(other) :])
    try:
        assert generators.load(folder).spec.n_classes == 3
    except InputError as refusal:
        if str(folder) not in str(refusal):
            raise


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    generator = made("vae")
    spoilt = jax.tree.map(lambda x: x.at[(0,) * x.ndim].set(jnp.nan), generator.params)
    generators.save(tmp_path, generator._replace(params=spoilt))
    with refused("not finite"):
        generators.load(tmp_path)


def test_a_small_file_of_many_numbers_is_refused_before_they_are_read(tmp_path, saved, monkeypatch):
    changed(saved, tmp_path)
    held = dict(np.load(saved / generators.NUMBERS))
    extra = {f"private/x{i}": np.zeros(2**24, np.float32) for i in range(4)}
    np.savez_compressed(tmp_path / generators.NUMBERS, **held, **extra)
    monkeypatch.setattr(generators.safe, "npz_array", None)
    with refused("no generator of fpu does"):
        generators.load(tmp_path)


@pytest.mark.parametrize("names", [("a", "a/b"), ("/".join("a" * 100_000),)], ids=["both", "deep"])
def test_names_that_make_no_tree_are_refused(tmp_path, saved, names):
    changed(saved, tmp_path)
    with zipfile.ZipFile(tmp_path / generators.NUMBERS, "w") as archive:
        for name in names:
            with archive.open(f"{name[:60_000]}.npy", "w") as member:
                np.lib.format.write_array(member, np.zeros(1, np.float32))
    with refused(generators.NUMBERS):
        generators.load(tmp_path)
