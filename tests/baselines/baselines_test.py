"""fpu/baselines/__init__.py: what is handed out, and whose images they are. Draws: tests/release/generators_test.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import release_checks
import tiny

from fpu import baselines
from fpu.dp import moments
from fpu.models import Spec

SPEC = Spec((8, 8, 1), 3)


@pytest.mark.parametrize(("name", "summed"), [("gaussian", "energies"), ("merf", "embeddings")])
def test_what_a_member_gives_is_the_same_to_the_last_bit_whoever_the_others_are(
    name, summed, monkeypatch
):
    terms = []

    def stop(rows, *_):
        terms.append(np.asarray(rows))
        raise InterruptedError

    monkeypatch.setattr(moments, summed, stop)
    baseline = baselines.BASELINES[name](Spec((8, 8, 1), 2))
    assert (baseline.source, baseline.private) == ("members", True)
    images = np.random.default_rng(0).integers(0, 256, (257, 8, 8, 1), np.uint8)
    for n in (257, 256, 3, 1):
        pool = release_checks.pool_of(images[:n], np.arange(n) % 2)
        with pytest.raises(InterruptedError):
            baseline.fit(pool, 257.0, 1.0, jax.random.key(0))
    for some in terms:
        np.testing.assert_array_equal(some, terms[0][: len(some)])


@pytest.mark.parametrize(("name", "source"), [("copycat", "members"), ("fresh", "nonmembers")])
def test_the_others_hand_out_real_images_of_the_wanted_class(name, source):
    baseline = baselines.BASELINES[name](SPEC)
    assert (baseline.source, baseline.private) == (source, False)
    pool = tiny.pool(9)
    params = baseline.fit(pool, 9.0, 0.0, jax.random.key(0))
    labels = np.repeat([0, 1, 2], 40)
    drawn = baseline.sample(params, jax.random.key(1), jnp.asarray(labels))
    drawn = np.round(255 * np.asarray(drawn))
    for label in range(3):
        mine = {x.tobytes() for x in drawn[labels == label].astype(np.uint8)}
        theirs = {x.tobytes() for x in np.asarray(pool.images)[np.asarray(pool.labels) == label]}
        assert mine == theirs


def test_noise_is_uniform_and_knows_nothing():
    baseline = baselines.BASELINES["noise"](SPEC)
    params = baseline.fit(None, 9.0, 0.0, None)
    drawn = baseline.sample(params, jax.random.key(1), jnp.zeros(50, int))
    counts, _ = np.histogram(drawn, 10, (0, 1))
    assert drawn.shape == (50, 8, 8, 1)
    assert abs(counts - 320).max() < 5 * np.sqrt(320)
