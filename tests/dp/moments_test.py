"""fpu/dp/moments.py: the sensitivity of each sum, and what the sums are without noise."""

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import release_checks
from hypothesis import strategies as st
from release_checks import BANDS, SUMS, halves
from release_checks import LONGEST as HALF

from fpu.dp import moments

CLASSES, D = 3, 4
LABELS = jnp.array([0, 1, 1, 2, 0])


def released(name):
    """(z, labels) -> all that the sum of this name adds noise to, as one vector."""

    def vector(z, labels):
        with release_checks.seen() as calls:
            SUMS[name](np.asarray(z), labels, jax.random.key(0), 1.0)
        ((one, _, _),) = calls
        return one

    return vector


RELEASED = {name: released(name) for name in SUMS}
NUMBERS = st.sampled_from([0.0, 1.0, -1.0, 1e30, -3e38, 1e-42, np.inf, np.nan])
NUMBERS |= st.floats(-3, 3, width=32)


@pytest.mark.parametrize("name", SUMS)
@hypothesis.settings(max_examples=40)
@hypothesis.example(row=[HALF, 0.0, 0.0, 0.0], label=0)  # the longest row there is
@hypothesis.example(row=[1.0, 1.0, 1.0, 1.0], label=2)
@hypothesis.example(row=[9.0, -9.0, 9.0, 9.0], label=2)
@hypothesis.example(row=[1e30] * D, label=0)
@hypothesis.example(row=[np.nan, 0.0, 0.0, 0.0], label=2)
@hypothesis.example(row=[np.inf] * D, label=0)
@hypothesis.given(row=st.lists(NUMBERS, min_size=D, max_size=D), label=st.integers(0, 2))
def test_one_unit_moves_a_release_by_at_most_one(name, row, label):
    z = jnp.asarray(np.random.default_rng(0).normal(size=(5, D)), jnp.float32)
    z = z.at[4].set(jnp.asarray(row, jnp.float32))
    labels = LABELS.at[4].set(label)
    both, less = RELEASED[name](z, labels), RELEASED[name](z[:4], labels[:4])
    assert np.isfinite(both).all()
    moved = np.linalg.norm(np.float64(both) - np.float64(less))
    assert moved <= 1 + 1e-9
    assert moved > 0 or not 1e-3 < np.linalg.norm(row) < 1e6  # beyond that its squares may overflow


def test_roundings_in_a_row_do_not_add_up():
    """In float32, one after the other, these sums differ by 28 when the first row is left out."""
    ulp = 2.0**-9
    first = np.concatenate(
        [np.ones(2**14), np.tile([0.51 * ulp, -0.25 * ulp, -0.25 * ulp], 14_000)]
    )
    z = np.pad(first[:, None], ((0, 0), (0, D - 1)))
    labels = np.zeros(len(z), int)
    for name, release in RELEASED.items():
        assert np.linalg.norm(release(z, labels) - release(z[1:], labels[1:])) <= 1 + 1e-9, name


def test_a_row_as_long_as_allowed_uses_all_of_the_sensitivity():
    row = jnp.array([[HALF, 0.0, 0.0, 0.0]])
    for name, release in RELEASED.items():
        assert np.linalg.norm(release(row, LABELS[:1])) == pytest.approx(1, abs=1e-5), name


def test_without_noise_they_are_the_sums():
    z = np.random.default_rng(0).normal(size=(5, D)).astype(np.float32) / 3
    hot, x = np.eye(CLASSES)[np.asarray(LABELS)], jnp.asarray(z)
    keys, in_class = jax.random.split(jax.random.key(0), 5), (LABELS, CLASSES)
    cells = np.einsum("nk,nm->nkm", hot, np.eye(2)[halves(z)])
    by_cell, squares = np.einsum("nkm,nd->kmd", cells, z), np.einsum("nk,ni,nj->kij", hot, z, z)
    several = LABELS, halves(z), CLASSES, 2
    for sums, wanted in (
        (moments.energies(x, HALF, BANDS, keys[0], 0.0), (z.sum(0), (z**2 @ BANDS).sum(0))),
        (moments.moments(x, *in_class, 2.0, keys[1], 0.0), (hot.T @ z, hot.sum(0), z.T @ z)),
        (moments.class_moments(x, *in_class, 2.0, keys[2], 0.0), (hot.T @ z, squares)),
        (moments.embeddings(x / 4, *in_class, keys[3], 0.0), (hot.T @ z / 4, hot.sum(0))),
        (
            moments.component_moments(z, *several, 2.0, keys[4], 0.0),
            (by_cell, cells.sum(0), squares),
        ),
    ):
        for found, exact in zip(sums, wanted, strict=True):
            np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-5)


def test_labels_of_8_bits_name_every_cell():
    labels, none = np.array([9], np.uint8), np.zeros(1, np.uint8)
    _, cells, _ = moments.component_moments(
        np.ones((1, 2)), labels, none, 10, 32, 2.0, jax.random.key(0), 0.0
    )
    np.testing.assert_array_equal(np.argwhere(np.asarray(cells) > 0.5), [[9, 0]])


def test_the_noise_is_what_the_docstrings_say():
    """The shrinkage that follows relies on these numbers."""
    z, std, radius, nobody = jnp.zeros((1, 40)), 0.7, 2.0, jnp.zeros(1, int)
    keys = jax.random.split(jax.random.key(0), 100)

    def stacked(release):
        return map(np.stack, zip(*[release(key) for key in keys], strict=True))

    def left(*shares):
        return (1 - sum(share**2 for share in shares)) ** 0.5

    sums, counts, square = stacked(lambda k: moments.moments(z, nobody, 2, radius, k, std))
    features, found = stacked(lambda k: moments.embeddings(z, nobody, 2, k, std))
    cells, numbers, squares = stacked(
        lambda k: moments.component_moments(z, nobody, nobody, 2, 3, radius, k, std)
    )
    assert cells.shape == (100, 2, 3, 40)
    for noise, wanted in (
        (sums, radius / left(moments.COUNT, moments.SQUARE)),
        (counts, 1 / moments.COUNT),
        (np.einsum("nii->ni", square), radius**2 / moments.SQUARE),
        (square[:, 0, 1:], radius**2 / moments.SQUARE / 2**0.5),
        (features, 1 / left(moments.COUNT)),
        (found, 1 / moments.COUNT),
        (cells, radius / left(moments.COUNT, moments.CLASS_SQUARE)),
        (numbers, 1 / moments.COUNT),
        (np.einsum("nkii->nki", squares), radius**2 / moments.CLASS_SQUARE),
        (squares[:, :, 0, 1:], radius**2 / moments.CLASS_SQUARE / 2**0.5),
    ):
        assert np.std(noise) == pytest.approx(std * wanted, rel=0.12)


def test_a_vote_is_one_in_one_cell_and_its_noise_is_std():
    found = moments.votes(np.array([3, 0, 3, 5, -1, 6]), 6, jax.random.key(0), 0.0)
    np.testing.assert_array_equal(found, [1, 0, 0, 2, 0, 1])  # none where there is no such cell
    noise = moments.votes(np.zeros(0, int), 4000, jax.random.key(0), 0.7)
    assert np.std(noise) == pytest.approx(0.7, rel=0.05)


def test_absent_is_not_black():
    """What is hidden is a contribution that is absent. An image turned black is another one, and costs up to two."""
    z = jnp.asarray(np.random.default_rng(0).normal(size=(5, D)), jnp.float32)
    white, black = (z.at[4].set(jnp.array([end, 0.0, 0.0, 0.0])) for end in (HALF, -HALF))
    here = RELEASED["energies"](white, LABELS)
    assert np.linalg.norm(here - RELEASED["energies"](black, LABELS)) > 1.8
    assert np.linalg.norm(here - RELEASED["energies"](z[:4], LABELS[:4])) <= 1 + 1e-12
