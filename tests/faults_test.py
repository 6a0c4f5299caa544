"""Faults, put into the real code one at a time: each is caught by a test that is named beside it.

In the step (sampler, clip, noise) most are classic violations, found in published libraries (arXiv:2602.17454 lists
thirteen), and guarantees_test::test_one_step_keeps has the check that sees each. In the accountant and the release the
test that is named is run with the fault in place.
"""

import contextlib
import functools
import math
import pathlib
import runpy
from unittest import mock

import checks
import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import release_checks

from experiments.suites import audit as suite
from experiments.suites import vmap_clipping
from fpu import training
from fpu.baselines import pe
from fpu.dp import accounting, clipping, gdp, moments, noise, plan, rounding, sampling, tails
from fpu.dp.clipping import Diagnostics
from fpu.dp.losses import Steps
from fpu.dp.plan import DPSGD, Plan
from fpu.priors import brightness, release
from fpu.privacy import audit
from fpu.utility import private_classifier

REAL_NOISE, REAL_POISSON = noise.gaussian, sampling.poisson
ROOT = pathlib.Path(__file__).parents[1]
NOTHING = Diagnostics(jnp.float32(0), jnp.float32(0), jnp.int32(0))


hypothesis.settings.register_profile(
    "any_failure",
    hypothesis.settings.get_profile("same"),
    phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
)


@pytest.fixture(autouse=True, scope="module")
def _any_failure():
    """An example that fails has caught the fault: to look for the smallest takes seconds."""
    hypothesis.settings.load_profile("any_failure")
    yield
    hypothesis.settings.load_profile("same")


def summing(combine):
    """A clipped_sum made of combine(per-example gradients, valid, clip)."""

    def clipped_sum(loss, params, examples, valid, keys, clip, microbatch=None):
        grads = jax.vmap(jax.grad(loss), (None, 0, 0))(params, examples, keys)
        return combine(grads, valid, clip), NOTHING

    return clipped_sum


each = jax.tree.map


def like(x, g):
    return x.reshape(-1, *[1] * (g.ndim - 1))


def lengths(grads):
    return jnp.sqrt(sum(jnp.square(g).reshape(len(g), -1).sum(1) for g in jax.tree.leaves(grads)))


def masked(grads, keep):
    return each(lambda g: jnp.where(like(keep, g), g, 0.0), grads)


def total(grads):
    return each(lambda g: g.sum(0), grads)


def finite(grads, valid):
    return masked(grads, valid & jnp.isfinite(lengths(grads)))


def shorten(grads, clip):
    scale = jnp.minimum(1.0, clip / jnp.maximum(lengths(grads), 1e-30))
    return each(lambda g: g * like(scale, g), grads)


def correct(grads, valid, clip):
    return total(shorten(finite(grads, valid), clip))


def centred_across_examples(grads, valid, clip):
    """What BatchNorm does: one example's gradient depends on the others."""
    centred = each(lambda g: g - g.mean(0, keepdims=True), shorten(finite(grads, valid), clip))
    return total(shorten(masked(centred, valid), clip))


def noise_for_each_of_two_devices(tree, key, std):
    k1, k2 = jax.random.split(key)
    return REAL_NOISE(REAL_NOISE(tree, k1, std), k2, std)


def lowest_indices_kept(key, mask, q, slots):
    everyone, valid = REAL_POISSON(key, mask, q, len(mask))
    chosen = jnp.zeros(len(mask), bool).at[everyone].set(valid)
    indices = jnp.nonzero(chosen, size=slots, fill_value=0)[0].astype(jnp.int32)
    return indices, jnp.arange(slots) < chosen.sum()


def fixed_size_batches(key, mask, q, slots):
    order = jax.random.permutation(key, len(mask)).astype(jnp.int32)
    return order[:slots], jnp.arange(slots) < round(q * len(mask))


# fmt: off
CLIPS = {  # (per-example gradients, valid, clip norm) -> their sum
    "unclipped": lambda g, valid, clip: total(finite(g, valid)),
    "clipped_after_the_sum":
        lambda g, valid, clip: total(shorten(each(lambda x: x[None], total(finite(g, valid))), clip)),
    "clipped_leaf_by_leaf":
        lambda g, valid, clip: {name: total(shorten(leaf, clip)) for name, leaf in finite(g, valid).items()},
    "clipped_twice_for_two_halves":
        lambda g, valid, clip: each(lambda x: 2 * x, correct(each(lambda x: x / 2, g), valid, clip)),
    "masked_by_a_product":
        lambda g, valid, clip: each(lambda x: (x * like(valid, x)).sum(0), shorten(g, clip)),
    "nonfinite_kept": lambda g, valid, clip: total(masked(shorten(g, clip), valid)),
    "centred_across_examples": centred_across_examples,
    "divided_by_the_realised_batch":
        lambda g, valid, clip: each(lambda x: x * len(valid) / jnp.maximum(valid.sum(), 1), correct(g, valid, clip)),
}
NOISES = {  # (sum, key, std) -> the noised sum
    "one_key_for_all_leaves":
        lambda tree, key, std: each(lambda x: x + std * jax.random.normal(key, x.shape), tree),
    "one_key_for_all_steps": lambda tree, key, std: REAL_NOISE(tree, jax.random.key(3), std),
    "noise_of_half_the_scale": lambda tree, key, std: REAL_NOISE(tree, key, std / 2),
    "noise_for_each_of_two_devices": noise_for_each_of_two_devices,
    "noise_forgotten": lambda tree, key, std: tree,
}
SAMPLERS = {  # (key, mask, q, slots) -> (indices, valid)
    "lowest_indices_kept": lowest_indices_kept,
    # of a data loader that keeps the last, smaller batch
    "rate_of_a_loader": lambda key, mask, q, slots: REAL_POISSON(key, mask, 1 / math.ceil(1 / q), slots),
    "fixed_size_batches": fixed_size_batches,
    "one_sample_for_all_steps": lambda key, mask, q, slots: REAL_POISSON(jax.random.key(3), mask, q, slots),
}
# fmt: on


def faulty(name):
    """(module, name of its function, what stands in for it)."""
    if name in CLIPS:
        return clipping, "clipped_sum", summing(CLIPS[name])
    if name in NOISES:
        return noise, "gaussian", NOISES[name]
    return sampling, "poisson", SAMPLERS[name]


FAULTS = [
    *((name, checks.sensitivity) for name in CLIPS),
    ("divided_by_the_realised_batch", checks.public_denominator),
    *((name, checks.noise_scale) for name in NOISES if name != "noise_forgotten"),
    ("lowest_indices_kept", checks.uniform_truncation),
    *((name, checks.poisson_sampling) for name in SAMPLERS if name != "lowest_indices_kept"),
]


@pytest.mark.parametrize(("name", "check"), FAULTS, ids=[name for name, _ in FAULTS])
def test_is_caught(name, check):
    assert_caught(*faulty(name), check)


def assert_caught(module, name, fault, check):
    """The check fails where `fault` stands in for module.name."""
    with (
        mock.patch.object(module, name, fault),
        jax.debug_key_reuse(False),  # else jax would refuse reused keys by itself
        np.errstate(all="ignore"),  # what is not finite fails an assertion
        pytest.raises((AssertionError, ExceptionGroup)) as caught,  # hypothesis groups several
    ):
        check()
    several = isinstance(caught.value, ExceptionGroup)
    assert not several or caught.value.split(AssertionError)[1] is None  # and nothing else


def named(test):
    """What is named FILE::NAME, in the names of the file run anew."""
    path, _, name = test.partition("::")
    return runpy.run_path(str(ROOT / path))[name]


# One-shot releases: every sum of moments.py, and the sums in a prior's space that shape one another.

REAL_ENCODED, REAL_CLIPPED = release.encoded, moments._clipped
REAL_VOTES = moments.votes
ONE_UNIT = "tests/dp/moments_test.py::test_one_unit_moves_a_release_by_at_most_one"
REAL_TERMS, REAL_BRIGHTNESS = brightness._terms, brightness.fit


def clipped_by_the_longest_row(rows):
    """One scale for all rows depends on each of them."""
    rows = np.nan_to_num(rows, nan=0.0, posinf=0.0, neginf=0.0)
    return REAL_CLIPPED(rows / max(1.0, np.linalg.norm(rows, axis=1).max()))


def counted_in_every_class(labels, n_classes):
    return np.ones((len(labels), n_classes))


def components_of_equal_size(u, labels, centres):
    """Each row's component depends on who else is there."""
    order = np.argsort(np.square(u - centres[0, 0]).sum(1), kind="stable")
    return np.argsort(order) * centres.shape[1] // len(u)


def codes_on_the_members_scale(prior, images):
    codes = REAL_ENCODED(prior, images)
    return codes * prior.radius / np.linalg.norm(codes, axis=1).max()


def terms_about_their_mean(*arguments):
    terms = REAL_TERMS(*arguments)
    return terms - terms.mean(0, keepdims=True)


def votes_by_rank(codes, labels, population):
    """Where each row's vote goes depends on who else votes."""
    return np.argsort(np.argsort(codes[:, 0])) % population.shape[1]


def a_vote_for_each_of_two(cells, count, key, std):
    return REAL_VOTES(np.concatenate([cells, (cells + 1) % count]), count, key, std)


# fmt: off
OF_ROWS = {
    "as they are": ("_clipped", lambda rows: np.where(np.isfinite(rows).all(1, keepdims=True), rows, 0.0)),
    "by coordinate": ("_clipped", lambda rows: np.clip(np.nan_to_num(rows, nan=0.0), -1.0, 1.0)),
    "by the longest": ("_clipped", clipped_by_the_longest_row),
    "nonfinite kept": ("_clipped", lambda rows: rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1.0)),
    "in every class": ("_one_hot", counted_in_every_class),
}
OF_RELEASES = {
    "components": (release, "nearest", components_of_equal_size, release_checks.neighbours),
    "scale": (release, "encoded", codes_on_the_members_scale, release_checks.neighbours),
    "brightness": (brightness, "_terms", terms_about_their_mean, release_checks.margin_neighbours),
    "brightness for nothing": (
        brightness, "fit", lambda *a: REAL_BRIGHTNESS(*a[:5], a[5] / 2, *a[6:]), release_checks.margin_budget),
    "a private count": (
        brightness, "fit", lambda *a: REAL_BRIGHTNESS(*a[:3], float(len(a[0])), *a[4:]),
        release_checks.margin_neighbours),
    "rank": (release, "nearest", votes_by_rank, release_checks.vote_neighbours),
    "two votes": (moments, "votes", a_vote_for_each_of_two, release_checks.vote_neighbours),
    "each round": (
        moments, "votes", lambda *a: REAL_VOTES(*a[:-1], a[-1] / pe.ROUNDS**0.5), release_checks.vote_budget),
    "one key for all rounds": (jax.random, "split", lambda key, count=2: [key] * count, release_checks.budget),
    **{share: (release, share, 1.0, release_checks.budget) for share in ("MEANS", "ROUNDS", "LAST")},
}
# fmt: on


@pytest.mark.parametrize("fault", OF_ROWS)
@pytest.mark.parametrize("summed", release_checks.SUMS)
def test_is_caught_in_every_sum_of_a_release(fault, summed):
    if fault == "in every class" and summed == "energies":
        pytest.skip("has no classes")
    assert_caught(moments, *OF_ROWS[fault], functools.partial(named(ONE_UNIT), summed))


@pytest.mark.parametrize("fault", OF_RELEASES)
def test_a_row_that_sees_others_votes_too_much_or_spends_too_much_is_caught(fault):
    assert_caught(*OF_RELEASES[fault])


@pytest.mark.parametrize("check", [checks.sensitivity, checks.public_denominator])
def test_the_harness_itself_is_not_what_is_caught(check):
    for right in (vmap_clipping.clipped_sum, summing(correct)):
        with mock.patch.object(clipping, "clipped_sum", right):
            check()


# The accountant, the ends of noise and the release: module, name, fault, the test that fails, its arguments.

REAL_OF_MEANS = private_classifier.noise
REAL_MERGED, REAL_LOG_DELTA = accounting._merged, gdp.log_delta
REAL_NOISED, REAL_HOST = moments._noised, noise.normal_on_host
TEST = "tests/dp/accounting_test.py::test"
CLOSED_FORM = f"{TEST}_steps_in_which_nothing_is_sampled_are_the_closed_form_at_any_delta"
TRUTH = f"{TEST}_the_closed_form_is_never_below_the_truth_and_hardly_above_it"
PLAN, MOMENTS, NOISE = (f"tests/dp/{name}_test.py::test" for name in ("plan", "moments", "noise"))
MEANS = (
    "tests/utility/private_classifier_test.py"
    "::test_a_member_tells_no_more_of_the_means_than_the_plan_accounts_for"
)
# fmt: off
NAMED = {
    "steps counted once": (
        accounting, "_merged", lambda steps: REAL_MERGED([part._replace(count=1) for part in steps]),
        CLOSED_FORM, Steps(20_000, 1.0, 60.0), 1e-9, 16.4189),
    "noise added up without squares": (
        accounting, "_mu", lambda steps: sum(part.count / part.noise for part in steps) ** 0.5,
        f"{TEST}_stages_that_are_gaussian_compose_to_one"),
    "truncation is free": (
        plan.DPSGD, "accounted", lambda self: Steps(self.steps, self.sampling_rate, self.noise_multiplier),
        f"{TEST}_truncation_is_paid_for"),
    "half the rate": (
        plan.DPSGD, "accounted", lambda self: Steps(self.steps, self.sampling_rate / 2, self.noise_multiplier),
        f"{PLAN}_what_is_accounted_of_a_stage"),
    "delta of less": (gdp, "log_delta", lambda mu, eps: REAL_LOG_DELTA(0.99 * mu, eps), TRUTH),
    "ends that cost nothing": (
        tails, "beyond", lambda *_: 0.0,
        "tests/dp/tails_test.py::test_a_plan_whose_noise_ends_too_soon_claims_nothing"),
    "numbers rounded to the nearest": (
        rounding, "_rounded", lambda x, digits, _: f"{x:.{digits}g}",
        f"{PLAN}_a_statement_never_names_less_than_is_spent"),
    "rows not clipped": (
        moments, "_clipped", lambda rows: rows, ONE_UNIT, "energies"),
    "counted in every class": (
        moments, "_one_hot", counted_in_every_class,
        f"{MOMENTS}_a_row_as_long_as_allowed_uses_all_of_the_sensitivity"),
    "half the noise of a release": (
        moments, "_noised", lambda sums, key, std: REAL_NOISED(sums, key, std / 2),
        f"{MOMENTS}_the_noise_is_what_the_docstrings_say"),
    "one draw for all sums": (
        noise, "normal_on_host", lambda key, count: REAL_HOST(jax.random.key(3), count),
        "tests/baselines/gaussian_test.py::test_each_sum_draws_noise_of_its_own"),
    "draws of 23 bits": (
        noise, "normal_on_host", lambda key, count: np.asarray(jax.random.normal(key, (count,)), np.float64),
        f"{NOISE}_a_release_adds_its_noise_before_it_rounds"),
    "draws that are not rounded": (
        noise, "gaussian", NOISES["one_key_for_all_leaves"],
        f"{NOISE}_no_low_bit_tells_what_was_noised", 0.7123457),
    "codes on the members' scale": (release, "encoded", codes_on_the_members_scale, MEANS),
    "noise left out": (moments, "_noised", lambda sums, key, std: sums, MEANS),
    "noise of twice the eps": (
        private_classifier, "noise", lambda n, eps, delta: REAL_OF_MEANS(n, 2 * eps, delta), MEANS),
}
# fmt: on


@pytest.mark.parametrize("case", NAMED)
def test_is_caught_by_the_test_that_is_named(case):
    module, name, fault, test, *arguments = NAMED[case]
    check = functools.partial(named(test), *arguments)
    accounting._spent.cache_clear()
    try:
        assert_caught(module, name, fault, check)
    finally:
        accounting._spent.cache_clear()


def test_faults_are_many_and_their_checks_are_run_on_the_real_step():
    """At least 20, in each of sampler, clip, noise, accountant and release."""
    checked = {getattr(check, "func", check) for check in named("tests/guarantees_test.py::CHECKS")}
    assert {check for _, check in FAULTS} <= checked
    assert len(dict(FAULTS) | NAMED) >= 20
    modules = {faulty(name)[0] for name, _ in FAULTS} | {fault[0] for fault in NAMED.values()}
    assert {sampling, clipping, noise, accounting, moments} <= modules


# Faults that change the distribution are seen from outside too, by the scores of an attack alone. Both
# gradients lie on one axis, opposed, so that one can push the other aside: the canary's is the longer.

AUDITED = [
    *("unclipped", "clipped_after_the_sum", "clipped_leaf_by_leaf", "clipped_twice_for_two_halves"),
    *("divided_by_the_realised_batch", "noise_forgotten", "noise_of_half_the_scale"),
    *("one_key_for_all_leaves", "one_key_for_all_steps"),
]


@functools.cache
def audited_plan():
    audited = Plan(1e-5, (DPSGD(8, 1.0, 1, 1.0, 8),))  # eps 4.4
    return audited, audit.claim(audited)


@contextlib.contextmanager
def compiled_anew():
    training.compiled.cache_clear()
    yield
    training.compiled.cache_clear()


def refuted():
    """Whether an audit of one step refutes the claim at confidence 1 - 1e-4, by any method."""
    audited, claim = audited_plan()
    scores = suite.two_worlds(audited, 1000, seed=1, background=((0, 100.0),))
    rows = audit.two_worlds(*scores, claim, 1 - 1e-4)
    return max(row["bound"] for row in rows.values()) > claim.eps


@pytest.mark.parametrize("name", AUDITED)
def test_is_caught_by_an_audit(name):
    with compiled_anew(), mock.patch.object(*faulty(name)), jax.debug_key_reuse(False):
        assert refuted()


def test_the_audit_of_the_right_step_does_not_refute_it():
    assert not refuted()
    with compiled_anew(), mock.patch.object(clipping, "clipped_sum", summing(correct)):
        assert not refuted()
