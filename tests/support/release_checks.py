"""Checks of one-shot releases, for the real code and for faulty code: sums that shape one another."""

import contextlib
from unittest import mock

import hypothesis
import jax
import jax.numpy as jnp
import linear_prior
import numpy as np
import pytest
from hypothesis import strategies as st

from fpu import training
from fpu.baselines import pe
from fpu.dp import moments, noise
from fpu.priors import release

BANDS = np.eye(2)[[0, 0, 1, 1]]
LONGEST, RADIUS = 2.0, 1.5


def halves(z):
    """The component of each row: a function of that row alone."""
    return (np.nan_to_num(np.asarray(z)[:, 0]) > 0).astype(int)


SUMS = {  # (rows [n, 4], labels, key, std) -> the noised sums
    "energies": lambda z, labels, *noised: moments.energies(z, LONGEST, BANDS, *noised),
    "moments": lambda z, labels, *noised: moments.moments(z, labels, 3, RADIUS, *noised),
    "class_moments": lambda z, labels, *noised: moments.class_moments(
        z, labels, 3, RADIUS, *noised
    ),
    "component_moments": lambda z, labels, *noised: moments.component_moments(
        z, labels, halves(z), 3, 2, RADIUS, *noised
    ),
    "embeddings": lambda z, labels, *noised: moments.embeddings(z, labels, 3, *noised),
}


@contextlib.contextmanager
def seen(replayed=None):
    """A list of (all that a sum adds noise to, as one vector; std; the noised sums), one for each call.

    `replayed`: noised sums to return in place of new ones.
    """
    calls, real = [], moments._noised

    def spy(sums, key, std):
        noised = real(sums, key, std) if replayed is None else replayed[len(calls)]
        calls.append((np.concatenate([np.ravel(x) for x in sums]), std, noised))
        return noised

    with mock.patch.object(moments, "_noised", spy):
        yield calls


def pool_of(images, labels):
    n = len(images)
    units, labels = jnp.arange(n)[:, None], jnp.asarray(labels, jnp.int32)
    return training.Pool(jnp.asarray(images), labels, units, jnp.ones(n, jnp.int32))


def three_units(images, labels):
    """The pool of six images of three units, the last one of four images."""
    units = jnp.array([[0, 0, 0, 0], [1, 1, 1, 1], [2, 3, 4, 5]])
    return pool_of(images, labels)._replace(units=units, sizes=jnp.array([1, 1, 4]))


def sums_of_three_units(module):
    """What each noised sum adds up for them."""
    pool = three_units(*linear_prior.members(6))
    with seen() as calls:
        module.fit(linear_prior.make(), linear_prior.SPEC, pool, 3.0, 1.0, jax.random.key(0))
    return [summed for summed, *_ in calls]


def draws_whatever_the_members(module, sample, sigma, denominator=4.0):
    """Numbers and images [4, 8, 8, 1] of a release of four equal images, with no member of classes 1 and 2."""
    pool = pool_of(np.full((4, 8, 8, 1), 200, np.uint8), np.zeros(4, int))
    fitted = linear_prior.make(), linear_prior.SPEC
    params = module.fit(*fitted, pool, float(denominator), sigma, jax.random.key(0))
    assert set(params) == set(module.PARAMETERS) - {"brightness"}
    assert all(x.dtype == jnp.float32 and np.isfinite(x).all() for x in params.values())
    drawn = sample(*fitted, params, jax.random.key(1), [0, 1, 2, 2])
    assert drawn.shape == (4, 8, 8, 1)
    assert ((drawn >= 0) & (drawn <= 1)).all()


def exposure(images, labels, sigma, denominator=None, prior=None, module=release):
    """(squared distance over std^2, added up over the sums of a module's release in a prior's space, and 1 / sigma^2).

    The distance is that of the release with the first member to the one without it, every sum shaped by the
    same noised sums before it: mu^2 of the adaptive composition. What is made of the noised sums is the same.
    """
    prior = prior or linear_prior.make()
    fitted = prior, linear_prior.SPEC
    rest = float(denominator or len(images)), sigma
    with seen() as both:
        first = module.fit(*fitted, pool_of(images, labels), *rest, jax.random.key(0))
    with seen([noised for *_, noised in both]) as less:
        second = module.fit(*fitted, pool_of(images[1:], labels[1:]), *rest, jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, first, second)
    pairs = zip(both, less, strict=True)
    moved = [np.square(np.subtract(a, b)).sum() / std**2 for (a, std, _), (b, *_) in pairs]
    return sum(moved), 1 / sigma**2


def by_margin(prior=None):
    """The prior of linear_prior.py, or another, without a decoder: its draws are the clearest of each class."""
    prior = prior or linear_prior.make()
    return prior._replace(space=prior.space._replace(decode=None))


def neighbours(prior=None):
    """One member, of any image, tells no more than one Gaussian release does."""
    images, labels = linear_prior.members(60)
    images = images // 2 + 64  # codes well within the radius
    longest = linear_prior.decode(np.full((1, linear_prior.D), 9.0))[0]
    for first in (longest, np.zeros_like(longest), images[1]):
        images[0] = first
        # One component, and eleven; by margin without the brightness, and with it.
        for denominator in (60, 800, 3000):
            moved, allowed = exposure(images, labels, 1.0, denominator, prior)
            assert 0 < moved <= allowed * (1 + 1e-9)


@hypothesis.settings(max_examples=6)
@hypothesis.given(
    seed=st.integers(0, 99),
    label=st.integers(0, 2),
    sigma=st.sampled_from([1e-3, 1.0, 30.0]),
    code=st.sampled_from([None, np.nan, np.inf, -3e38]),
)
def strange_neighbours(module, seed, label, sigma, code):
    """The same of a member of random pixels and any label, on whom the encoder may fail."""
    images, labels, prior = linear_prior.with_a_strange_member(seed, label, code)
    moved, allowed = exposure(images, labels, sigma, prior=prior, module=module)
    assert 0 < moved <= allowed * (1 + 1e-9)


def vote_neighbours():
    """One member, whatever it votes for, tells no more in all rounds than one Gaussian release does."""
    images, labels = linear_prior.members(60)
    for first in (np.zeros_like(images[0]), images[1]):
        images[0] = first
        moved, allowed = exposure(images, labels, 1.0, module=pe)
        assert moved == pytest.approx(allowed)


def budget(module=release, wanted=((60, 1), (3000, 2 + release.LLOYD)), prior=None):
    """The sums of a release share one noise multiplier, and each has noise of its own."""
    images, labels = linear_prior.members(60)
    for denominator, sums in wanted:
        watched = mock.patch.object(noise, "normal_on_host", wraps=noise.normal_on_host)
        with watched as draws, seen() as calls:
            members = pool_of(images, labels), float(denominator), 0.9, jax.random.key(0)
            module.fit(prior or linear_prior.make(), linear_prior.SPEC, *members)
        keys = {jax.random.key_data(key).tobytes() for (key, _), _ in draws.call_args_list}
        assert len(keys) == draws.call_count == sums
        assert sum(1 / std**2 for _, std, _ in calls) == pytest.approx(1 / 0.9**2)


def margin_budget():
    """Where nothing decodes, class means and the brightness share one noise multiplier."""
    budget(wanted=((60, 1), (3000, 2)), prior=by_margin())


def margin_neighbours():
    neighbours(by_margin())


def vote_budget():
    """The rounds of votes share one noise multiplier, and each has noise of its own."""
    budget(pe, ((60, pe.ROUNDS),))
