"""fpu/priors/__init__.py: priors by name, their defaults, the cache of pools, and bad input in one line."""

import sys

import numpy as np
import pytest
from refusal import refused

from fpu import InputError, priors
from fpu.files import cache
from fpu.models import Spec
from fpu.priors import auto, components, glyphs, pools

GREY = Spec((8, 8, 1), 10)
RGB = Spec((8, 8, 3), 10)


class Counted:
    """make(rng, n, spec) that counts its calls: 1,200 noisy images of three classes."""

    def __init__(self):
        self.calls = 0

    def __call__(self, rng, n, spec):
        self.calls += 1
        classes = np.arange(1200) % 3
        images = rng.integers(0, 60, (1200, *spec.shape)) + 60 * classes[:, None, None, None]
        return images.astype(np.uint8), classes


@pytest.fixture
def drawn(monkeypatch):
    """The prior glyphs, but for the time that its images take; its space is pixels."""
    make = Counted()
    monkeypatch.setattr(glyphs, "make", make)

    def space(images, classes, spec):
        return priors.Space(lambda x: x.reshape(len(x), -1).astype(np.float32), None)

    monkeypatch.setattr(glyphs, "space", space)
    return make


def test_auto_is_a_rule_of_name_and_shape():
    assert auto("digits", GREY) == auto("mnist", Spec((28, 28, 1), 10)) == "glyphs"
    assert auto("octmnist", Spec((28, 28, 1), 4)) == auto("octmnist_64", GREY) == "layers"
    assert auto("bloodmnist", RGB) == auto("mnist", RGB) == auto("mine", GREY) == "none"


@pytest.mark.parametrize(
    "name", ["auto", "none", "glyphs", "layers", "scans", "images:mnist", "my.module:make"]
)
def test_names_that_can_be_a_prior(name):
    priors.check(name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("glyph", "did you mean glyphs"),
        ("scan", "did you mean scans"),
        ("images:", "did you mean images:WHAT"),
        ("images", "did you mean images:WHAT"),
        ("q", "known: auto, none, glyphs"),
        ("", "known"),
        (":make", "known"),
    ],
)
def test_an_unknown_prior_is_one_line_that_names_the_nearest(name, hint):
    with refused(hint):
        priors.check(name)
    with pytest.raises(InputError):
        priors.load(name, GREY)


def test_what_is_no_prior_of_its_own_cannot_be_loaded():
    for name in ("auto", "none"):
        with pytest.raises(InputError, match=f"--prior={name}"):
            priors.load(name, GREY)


def test_letters_have_no_colour():
    with pytest.raises(InputError, match=r"images:WHAT.*--prior=none"):
        priors.load("glyphs", RGB)


def test_a_prior_has_pool_codes_radius_and_covariance(drawn):
    lines = []
    prior = priors.load("glyphs", GREY, say=lines.append)
    assert (prior.name, prior.version, prior.knows) == ("glyphs", glyphs.VERSION, glyphs.KNOWS)
    assert (prior.images.shape, prior.codes.shape) == ((1200, 8, 8, 1), (1200, 64))
    assert prior.codes.dtype == np.float32
    assert prior.radius == pytest.approx(1.1 * np.median(np.linalg.norm(prior.codes, axis=1)))
    # uniform on 0..59 within each class
    assert np.diag(prior.within).mean() == pytest.approx((60**2 - 1) / 12, rel=0.02)
    assert prior.vary is not None
    assert len(lines) == 2


def test_a_pool_is_made_once_and_again_for_another_version_shape_or_file(drawn, monkeypatch):
    folder = cache.folder("priors")
    assert folder is not None
    for path in folder.glob("*"):
        path.unlink()
    first = priors.load("glyphs", GREY)
    lines = []
    again = priors.load("glyphs", GREY, say=lines.append)
    assert (drawn.calls, lines) == (1, [])
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.codes, again.codes)
    np.testing.assert_array_equal(first.within, again.within)
    priors.load("glyphs", Spec((8, 9, 1), 10))
    assert drawn.calls == 2
    monkeypatch.setattr(glyphs, "VERSION", "another")
    assert (priors.load("glyphs", GREY).version, drawn.calls) == ("another", 3)
    assert len(list(folder.glob("glyphs-8x8x1-*.npz"))) == 1  # in place of the older one
    for path in folder.glob("*.npz"):
        path.write_bytes(path.read_bytes()[:500])
    priors.load("glyphs", GREY)
    assert drawn.calls == 4


def test_a_pool_takes_at_most_200_megabytes():
    asked = []

    def make(rng, n, spec):
        asked.append(n * (np.prod(spec.shape) + 4 * 48))
        return np.zeros((1000, *spec.shape), np.uint8), None

    for side in (8, 28, 64):
        pools.made("glyphs", make, Spec((side, side, 1), 10))
    assert max(asked) <= 200 * 10**6
    assert min(asked) > 20 * 10**6


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module that a user could have written."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(body):
        sys.modules.pop("simulator_of_mine", None)
        (tmp_path / "simulator_of_mine.py").write_text("import numpy as np\n" + body)

    yield write
    sys.modules.pop("simulator_of_mine", None)


SIMULATOR = """
def draw(rng, n, spec):
    return rng.integers(0, 255, (n if n < 1500 else 1500, *spec.shape)).astype(np.uint8), None
"""


def test_a_users_own_simulator_may_have_colour_and_gets_the_defaults(module):
    module(SIMULATOR)
    prior = priors.load("simulator_of_mine:draw", RGB)
    assert prior.images.shape == (1500, 8, 8, 3)
    assert prior.vary is None
    assert prior.codes.shape == (1500, components.SIZE)
    assert "simulator_of_mine:draw" in prior.knows
    assert prior.plausible == 1.0
    module(SIMULATOR + "PLAUSIBLE = 0.1\n")
    other = priors.load("simulator_of_mine:draw", RGB)
    assert other.version != prior.version
    assert other.plausible == 0.1
    np.testing.assert_allclose(prior.within, np.cov(prior.codes.T) / 2, rtol=1e-3, atol=1e-3)


def test_classes_of_a_simulator_may_have_any_numbers(module):
    module(
        """
def draw(rng, n, spec):
    images = rng.integers(0, 255, (1000, *spec.shape)).astype(np.uint8)
    return images, np.where(np.arange(1000) % 2, 10**9, -7)
"""
    )
    prior = priors.load("simulator_of_mine:draw", GREY)
    assert prior.within.shape == (prior.codes.shape[1],) * 2


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("draw = lambda *_: (np.zeros((2000, 9, 9, 1), np.uint8), None)", r"\[9, 9, 1\]"),
        ("draw = lambda *_: (np.zeros((2000, 8, 8, 1)), None)", "float64"),
        ("draw = lambda *_: (np.zeros((9, 8, 8, 1), np.uint8), None)", "1,000"),
        ("draw = lambda *_: (np.zeros((2000, 8, 8, 1), 'u1'), np.ones(3, int))", "one integer"),
        (SIMULATOR + "PLAUSIBLE = 0", "PLAUSIBLE is a share above 0"),
        ("def drawn(): pass", "module:function"),
        ("1 +", "module:function"),
    ],
)
def test_a_simulator_that_is_wrong_is_refused_in_one_line(module, body, words):
    module(body + "\n")
    with refused("--prior=simulator_of_mine:draw", match=words):
        priors.load("simulator_of_mine:draw", GREY)


MIXING = """
import numpy as np
from fpu.priors import Space


def space(images, classes, spec):
    def encode(images):
        codes = images.reshape(len(images), -1)[:, :5].astype(np.float32)
        return {codes}

    return Space(encode, None)
"""


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        ("codes / codes.max()", "the images beside it"),
        ("codes - codes.mean(0)", "the images beside it"),
        ("codes[1:]", "one code for each image"),
        ("codes[0]", "one code for each image"),
    ],
)
def test_a_space_that_looks_at_several_images_is_refused(module, codes, words):
    """Its sums would move by far more than one member's term."""
    module(SIMULATOR + MIXING.replace("{codes}", codes))
    with pytest.raises(InputError, match=words):
        priors.load("simulator_of_mine:draw", RGB)
