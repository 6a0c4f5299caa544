"""fpu/release/generators.py: what is loaded draws what was saved, and other files are refused in one line."""

import dataclasses
import functools
import json
import zipfile

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


@pytest.fixture
def taught(tmp_path):
    """(folder, generator) of a VAE that is conditioned on codes of draws."""
    vae, spec = made("vae"), tiny.SPEC._replace(code=2)
    params = tiny.model("vae", code=2).init(jax.random.key(0))
    held = {
        "codes": jax.random.normal(jax.random.key(1), (9, 2)),
        "tones": jnp.linspace(0.0, 1.0, 256) ** 2,
    }
    generator = vae._replace(params={**params, **held}, spec=spec)
    generators.save(tmp_path, generator)
    return tmp_path, generator


def test_a_model_draws_from_its_codes_after_loading_too(taught):
    folder, generator = taught
    labels = jnp.array([0, 2, 2])
    images = generator.sample(jax.random.key(1), labels)
    np.testing.assert_array_equal(images, generators.load(folder).sample(jax.random.key(1), labels))
    others = {**generator.params, "codes": 1 - generator.params["codes"]}
    assert (images != generator._replace(params=others).sample(jax.random.key(1), labels)).any()


@pytest.mark.parametrize(
    "change", [{"code": 0}, {"code": 3}, {"code": -1}, {"code": "2"}, {"code": True}]
)
def test_a_model_whose_codes_are_of_another_size_is_refused(taught, change):
    folder, _ = taught
    (folder / generators.FACTS).write_text(facts(folder, **change))
    with pytest.raises(InputError, match=r"generator\.(json|npz)"):
        generators.load(folder)


def test_a_model_of_an_earlier_fpu_is_refused_with_the_way_out(taught):
    folder, _ = taught
    (folder / generators.FACTS).write_text(facts(folder, prior={"name": "glyphs", "version": "6"}))
    with pytest.raises(InputError, match=r"generator\.json.*an earlier fpu.*README\.md"):
        generators.load(folder)


def test_codes_and_tones_that_do_not_fit_are_refused_and_a_model_after_dpsgd_has_no_tones(taught):
    folder, _ = taught
    held = dict(np.load(folder / generators.NUMBERS))
    wrongs = [
        ("codes", held["codes"][:, :1]),
        ("tones", held["tones"][:3]),
        ("tones", -held["tones"]),
    ]
    for name, wrong in wrongs:
        np.savez(folder / generators.NUMBERS, **{**held, name: wrong})
        with pytest.raises(InputError, match=r"generator\.npz.*a vae of this shape"):
            generators.load(folder)
    del held["tones"]
    np.savez(folder / generators.NUMBERS, **held)
    assert "tones" not in generators.load(folder).params


def facts(folder, **changes):
    return json.dumps(json.loads((folder / generators.FACTS).read_text()) | changes)


@pytest.fixture
def drawing(tmp_path, monkeypatch):
    """(folder, write) of a release that draws images of a prior; write(fact=...) changes its generator.json."""
    tiny_prior.install(monkeypatch)
    generators.save(tmp_path, made("prior"))

    def write(**changes):
        (tmp_path / generators.FACTS).write_text(facts(tmp_path, **changes))

    return tmp_path, write


def test_a_release_of_another_version_of_its_prior_is_refused(drawing, monkeypatch):
    folder, _ = drawing
    tiny_prior.install(monkeypatch, version="2")
    with pytest.raises(InputError, match=r"prior squares, version 1, and here is version 2"):
        generators.load(folder)


@pytest.mark.parametrize("prior", [None, {"name": "squares"}, {"name": 1, "version": "1"}, "x"])
def test_facts_of_a_prior_that_do_not_fit_are_refused(drawing, prior):
    folder, write = drawing
    write(prior=prior)
    with pytest.raises(InputError, match=r"generator\.json"):
        generators.load(folder)


def test_numbers_that_are_not_of_the_prior_are_refused(drawing):
    folder, _ = drawing
    held = dict(np.load(folder / generators.NUMBERS))
    for name in ("means", "weights", "roots"):
        np.savez(folder / generators.NUMBERS, **{**held, name: held[name][:1, ..., :1]})
        with pytest.raises(InputError, match="a prior of this shape"):
            generators.load(folder)


def test_a_brightness_is_of_the_right_size_and_of_a_prior_that_does_not_decode(drawing):
    folder, _ = drawing
    held = dict(np.load(folder / generators.NUMBERS))

    def by_margin(name, spec):
        found = tiny_prior.prior(spec)
        return found._replace(space=found.space._replace(decode=None))

    for extra, find, message in (
        (0, generators.BUILT_IN, "decodes"),
        (1, by_margin, "a prior of this shape"),
        (0, by_margin, None),
    ):
        right = np.zeros(brightness.size(tiny.SPEC.shape) + extra, np.float32)
        np.savez(folder / generators.NUMBERS, **held, brightness=right)
        if message is None:
            assert generators.load(folder, find).params["brightness"].shape == right.shape
        else:
            with pytest.raises(InputError, match=message):
                generators.load(folder, find)


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
def test_code_and_files_are_used_only_where_named(drawing, monkeypatch, name, given, loaded):
    folder, write = drawing
    write(prior={"name": name, "version": "1"})
    asked = []

    def load(name, spec):
        asked.append(name)
        return tiny_prior.prior(spec)

    monkeypatch.setattr(generators.priors, "load", load)
    find = functools.partial(generators.named, given)
    if loaded:
        generators.load(folder, find)
        assert asked == [loaded]
        return
    with pytest.raises(InputError, match=rf"of the prior {name}: add --prior="):
        generators.load(folder, find)
    assert not asked


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
    (tmp_path / generators.FACTS).write_text(facts(saved, **CHANGES[change]))
    (tmp_path / generators.NUMBERS).write_bytes((saved / generators.NUMBERS).read_bytes())
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
    with pytest.raises(InputError, match="not finite"):
        generators.load(tmp_path)


def test_a_small_file_of_many_numbers_is_refused_before_they_are_read(tmp_path, saved, monkeypatch):
    (tmp_path / generators.FACTS).write_text(facts(saved))
    held = dict(np.load(saved / generators.NUMBERS))
    extra = {f"private/x{i}": np.zeros(2**24, np.float32) for i in range(4)}
    np.savez_compressed(tmp_path / generators.NUMBERS, **held, **extra)
    monkeypatch.setattr(generators.safe, "npz_array", None)
    with pytest.raises(InputError, match="no generator of fpu does"):
        generators.load(tmp_path)


@pytest.mark.parametrize("names", [("a", "a/b"), ("/".join("a" * 100_000),)], ids=["both", "deep"])
def test_names_that_make_no_tree_are_refused(tmp_path, saved, names):
    (tmp_path / generators.FACTS).write_text(facts(saved))
    with zipfile.ZipFile(tmp_path / generators.NUMBERS, "w") as archive:
        for name in names:
            with archive.open(f"{name[:60_000]}.npy", "w") as member:
                np.lib.format.write_array(member, np.zeros(1, np.float32))
    with pytest.raises(InputError, match=generators.NUMBERS):
        generators.load(tmp_path)
