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
NUMBERS = st.sampled_from([0.0, 1.0, -1.0, 1e30, -3e38, 1e-42, np.inf, np.nan]) | st.floats(
    -3, 3, width=32
)


@pytest.mark.parametrize("name", SUMS)
@hypothesis.settings(max_examples=40)
@hypothesis.example(row=[HALF, 0.0, 0.0, 0.0], label=0)  # the longest row there is
@hypothesis.example(row=[1.0, 1.0, 1.0, 1.0], label=2)
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


@hypothesis.settings(max_examples=30)
@hypothesis.given(
    entries=st.lists(st.floats(width=32), min_size=8, max_size=8),
    clip=st.floats(2.0**-10, 2.0**10, width=32),
)
def test_every_row_is_clipped(entries, clip):
    x = np.array(entries, np.float32).reshape(2, 4)
    out = clip * moments._clipped(x.astype(np.float64) / clip)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(x, axis=1)
    assert (np.linalg.norm(out, axis=1) <= clip * (1 + 1e-5)).all()
    for row, clipped_row, length in zip(x, out, lengths, strict=True):
        if not np.isfinite(row).all():
            assert not clipped_row.any()
        elif length <= clip * (1 - 1e-5):
            np.testing.assert_allclose(clipped_row, row, rtol=1e-6, atol=1e-37)


def test_roundings_in_a_row_do_not_add_up():
    """In float32, one after the other, these sums differ by 28 when the first row is left out."""
    ulp = 2.0**-9
    rows = [(1.0, 0.0)] * 2**14 + [
        (0.51 * ulp, 0.0),
        (-0.25 * ulp, 0.0),
        (-0.25 * ulp, 0.0),
    ] * 14_000
    z = np.pad(np.asarray(rows), ((0, 0), (0, D - 2)))
    labels = np.zeros(len(z), int)
    for name, release in RELEASED.items():
        moved = np.linalg.norm(release(z, labels) - release(z[1:], labels[1:]))
        assert moved <= 1 + 1e-9, name


def test_a_row_as_long_as_allowed_uses_all_of_the_sensitivity():
    row = jnp.array([[HALF, 0.0, 0.0, 0.0]])
    for name, release in RELEASED.items():
        assert np.linalg.norm(release(row, LABELS[:1])) == pytest.approx(1, abs=1e-5), name


def test_without_noise_they_are_the_sums():
    z = np.random.default_rng(0).normal(size=(5, D)).astype(np.float32) / 3
    hot = np.eye(CLASSES)[np.asarray(LABELS)]
    keys = jax.random.split(jax.random.key(0), 5)

    def near(found, wanted):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)

    first, energy = moments.energies(jnp.asarray(z), HALF, BANDS, keys[0], 0.0)
    near(first, z.sum(0))
    near(energy, (z**2 @ BANDS).sum(0))
    sums, counts, square = moments.moments(jnp.asarray(z), LABELS, CLASSES, 2.0, keys[1], 0.0)
    near(sums, hot.T @ z)
    near(counts, hot.sum(0))
    near(square, z.T @ z)
    sums, squares = moments.class_moments(jnp.asarray(z), LABELS, CLASSES, 2.0, keys[2], 0.0)
    near(sums, hot.T @ z)
    near(squares, np.einsum("nk,ni,nj->kij", hot, z, z))
    sums, counts, squares = moments.component_moments(
        z, LABELS, halves(z), CLASSES, 2, 2.0, keys[4], 0.0
    )
    cells = np.einsum("nk,nm->nkm", hot, np.eye(2)[halves(z)])
    near(sums, np.einsum("nkm,nd->kmd", cells, z))
    near(counts, cells.sum(0))
    near(squares, np.einsum("nk,ni,nj->kij", hot, z, z))
    sums, counts = moments.embeddings(jnp.asarray(z) / 4, LABELS, CLASSES, keys[3], 0.0)
    near(sums, hot.T @ z / 4)
    near(counts, hot.sum(0))


def test_the_noise_is_what_the_docstrings_say():
    """The shrinkage that follows relies on these numbers."""
    z, std, radius = jnp.zeros((1, 40)), 0.7, 2.0
    keys = jax.random.split(jax.random.key(0), 100)
    each = [moments.moments(z, jnp.zeros(1, int), 2, radius, key, std) for key in keys]
    sums, counts, square = map(np.stack, zip(*each, strict=True))
    a = (1 - moments.COUNT**2 - moments.SQUARE**2) ** 0.5
    diagonal = np.einsum("nii->ni", square)
    off = square[:, 0, 1:]
    for found, wanted in (
        (sums, std * radius / a),
        (counts, std / moments.COUNT),
        (diagonal, std * radius**2 / moments.SQUARE),
        (off, std * radius**2 / moments.SQUARE / 2**0.5),
    ):
        assert np.std(found) == pytest.approx(wanted, rel=0.12)
    each = [moments.embeddings(z, jnp.zeros(1, int), 2, key, std) for key in keys]
    sums, counts = map(np.stack, zip(*each, strict=True))
    assert np.std(sums) == pytest.approx(std / (1 - moments.COUNT**2) ** 0.5, rel=0.12)
    assert np.std(counts) == pytest.approx(std / moments.COUNT, rel=0.12)
    nobody = jnp.zeros(1, int)
    each = [moments.component_moments(z, nobody, nobody, 2, 3, radius, k, std) for k in keys]
    sums, counts, square = map(np.stack, zip(*each, strict=True))
    a = (1 - moments.COUNT**2 - moments.CLASS_SQUARE**2) ** 0.5
    assert sums.shape == (100, 2, 3, 40)
    for found, wanted in (
        (sums, std * radius / a),
        (counts, std / moments.COUNT),
        (np.einsum("nkii->nki", square), std * radius**2 / moments.CLASS_SQUARE),
        (square[:, :, 0, 1:], std * radius**2 / moments.CLASS_SQUARE / 2**0.5),
    ):
        assert np.std(found) == pytest.approx(wanted, rel=0.12)


def test_a_vote_is_one_in_one_cell_and_its_noise_is_std():
    cells = np.array([3, 0, 3, 5, -1, 6])
    found = moments.votes(cells, 6, jax.random.key(0), 0.0)
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
