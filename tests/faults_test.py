"""Faults, put into the real code one at a time: each is caught by a test that is named beside it.

In the step (sampler, clip, noise) most are classic violations, found in published libraries (arXiv:2602.17454 lists
thirteen), and guarantees_test::test_one_step_keeps has the check that sees each. In the accountant and the release the
test that is named is run with the fault in place.
"""

import contextlib
import functools
import importlib.util
import math
import pathlib
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
from fpu.priors import release
from fpu.privacy import audit
from fpu.utility import private_classifier

REAL_NOISE, REAL_POISSON = noise.gaussian, sampling.poisson
ROOT = pathlib.Path(__file__).parents[1]
GUARANTEES = "tests/guarantees_test.py::test_one_step_keeps"  # with the check that FAULTS names
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

    clipped_sum.__name__ = combine.__name__
    return clipped_sum


def like(x, g):
    return x.reshape(-1, *[1] * (g.ndim - 1))


def lengths(grads):
    return jnp.sqrt(sum(jnp.square(g).reshape(len(g), -1).sum(1) for g in jax.tree.leaves(grads)))


def masked(grads, keep):
    return jax.tree.map(lambda g: jnp.where(like(keep, g), g, 0.0), grads)


def total(grads):
    return jax.tree.map(lambda g: g.sum(0), grads)


def finite(grads, valid):
    return masked(grads, valid & jnp.isfinite(lengths(grads)))


def shorten(grads, clip):
    scale = jnp.minimum(1.0, clip / jnp.maximum(lengths(grads), 1e-30))
    return jax.tree.map(lambda g: g * like(scale, g), grads)


def correct(grads, valid, clip):
    return total(shorten(finite(grads, valid), clip))


def unclipped(grads, valid, clip):
    return total(finite(grads, valid))


def clipped_after_the_sum(grads, valid, clip):
    return total(shorten(jax.tree.map(lambda g: g[None], total(finite(grads, valid))), clip))


def clipped_leaf_by_leaf(grads, valid, clip):
    return {name: total(shorten(g, clip)) for name, g in finite(grads, valid).items()}


def clipped_twice_for_two_halves(grads, valid, clip):
    half = total(shorten(jax.tree.map(lambda g: g / 2, finite(grads, valid)), clip))
    return jax.tree.map(lambda g: g + g, half)


def masked_by_a_product(grads, valid, clip):
    grads = shorten(grads, clip)
    return jax.tree.map(lambda g: (g * like(valid, g)).sum(0), grads)


def nonfinite_kept(grads, valid, clip):
    return total(masked(shorten(grads, clip), valid))


def divided_by_the_realised_batch(grads, valid, clip):
    summed = total(shorten(finite(grads, valid), clip))
    return jax.tree.map(lambda g: g * len(valid) / jnp.maximum(valid.sum(), 1), summed)


def centred_across_examples(grads, valid, clip):
    """What BatchNorm does: one example's gradient depends on the others."""
    grads = finite(grads, valid)
    centred = jax.tree.map(lambda g: g - g.mean(0, keepdims=True), shorten(grads, clip))
    return total(shorten(masked(centred, valid), clip))


def one_key_for_all_leaves(tree, key, std):
    return jax.tree.map(lambda x: x + std * jax.random.normal(key, x.shape), tree)


def one_key_for_all_steps(tree, key, std):
    return REAL_NOISE(tree, jax.random.key(3), std)


def noise_of_half_the_scale(tree, key, std):
    return REAL_NOISE(tree, key, std / 2)


def noise_forgotten(tree, key, std):
    return tree


def noise_for_each_of_two_devices(tree, key, std):
    k1, k2 = jax.random.split(key)
    return REAL_NOISE(REAL_NOISE(tree, k1, std), k2, std)


def lowest_indices_kept(key, mask, q, slots):
    everyone, valid = REAL_POISSON(key, mask, q, len(mask))
    chosen = jnp.zeros(len(mask), bool).at[everyone].set(valid)
    indices = jnp.nonzero(chosen, size=slots, fill_value=0)[0].astype(jnp.int32)
    return indices, jnp.arange(slots) < chosen.sum()


def rate_of_a_loader(key, mask, q, slots):
    batches = math.ceil(1 / q)  # of a data loader that keeps the last, smaller batch
    return REAL_POISSON(key, mask, 1 / batches, slots)


def fixed_size_batches(key, mask, q, slots):
    order = jax.random.permutation(key, len(mask)).astype(jnp.int32)
    return order[:slots], jnp.arange(slots) < round(q * len(mask))


def one_sample_for_all_steps(key, mask, q, slots):
    return REAL_POISSON(jax.random.key(3), mask, q, slots)


FAULTS = [
    (clipping, "clipped_sum", summing(unclipped), checks.sensitivity),
    (clipping, "clipped_sum", summing(clipped_after_the_sum), checks.sensitivity),
    (clipping, "clipped_sum", summing(clipped_leaf_by_leaf), checks.sensitivity),
    (clipping, "clipped_sum", summing(clipped_twice_for_two_halves), checks.sensitivity),
    (clipping, "clipped_sum", summing(masked_by_a_product), checks.sensitivity),
    (clipping, "clipped_sum", summing(nonfinite_kept), checks.sensitivity),
    (clipping, "clipped_sum", summing(centred_across_examples), checks.sensitivity),
    (clipping, "clipped_sum", summing(divided_by_the_realised_batch), checks.sensitivity),
    (clipping, "clipped_sum", summing(divided_by_the_realised_batch), checks.public_denominator),
    (noise, "gaussian", one_key_for_all_leaves, checks.noise_scale),
    (noise, "gaussian", one_key_for_all_steps, checks.noise_scale),
    (noise, "gaussian", noise_of_half_the_scale, checks.noise_scale),
    (noise, "gaussian", noise_for_each_of_two_devices, checks.noise_scale),
    (sampling, "poisson", lowest_indices_kept, checks.uniform_truncation),
    (sampling, "poisson", rate_of_a_loader, checks.poisson_sampling),
    (sampling, "poisson", fixed_size_batches, checks.poisson_sampling),
    (sampling, "poisson", one_sample_for_all_steps, checks.poisson_sampling),
]


@pytest.mark.parametrize(
    ("module", "name", "fault", "check"), FAULTS, ids=[f[2].__name__ for f in FAULTS]
)
def test_is_caught(module, name, fault, check):
    assert_caught(module, name, fault, check)


def assert_caught(module, name, fault, check):
    """The check fails where `fault` stands in for module.name."""
    # jax would refuse the reused keys by itself, but only under this flag.
    unchecked = jax.debug_key_reuse(False)
    with mock.patch.object(module, name, fault), unchecked, pytest.raises(AssertionError):
        check()


# One-shot releases: every sum of moments.py, and the sums in a prior's space that shape one another.

REAL_ENCODED, REAL_CLIPPED = release.encoded, moments._clipped


def rows_as_they_are(rows):
    return np.where(np.isfinite(rows).all(1, keepdims=True), rows, 0.0)


def clipped_by_coordinate(rows):
    return np.clip(np.nan_to_num(rows, nan=0.0), -1.0, 1.0)


def clipped_by_the_longest_row(rows):
    """One scale for all rows depends on each of them."""
    rows = np.nan_to_num(rows, nan=0.0, posinf=0.0, neginf=0.0)
    return REAL_CLIPPED(rows / max(1.0, np.linalg.norm(rows, axis=1).max()))


def clipped_nonfinite_kept(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1.0)


def counted_in_every_class(labels, n_classes):
    return np.ones((len(labels), n_classes))


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("_clipped", rows_as_they_are),
        ("_clipped", clipped_by_coordinate),
        ("_clipped", clipped_by_the_longest_row),
        ("_clipped", clipped_nonfinite_kept),
        ("_one_hot", counted_in_every_class),
    ],
)
@pytest.mark.parametrize("summed", release_checks.SUMS)
def test_is_caught_in_every_sum_of_a_release(name, fault, summed):
    if name == "_one_hot" and summed == "energies":
        pytest.skip("has no classes")
    check = functools.partial(release_checks.any_row, summed)
    check()
    with np.errstate(all="ignore"):
        assert_caught(moments, name, fault, check)


def components_of_equal_size(u, labels, centres):
    """Each row's component depends on who else is there."""
    order = np.argsort(np.square(u - centres[0, 0]).sum(1), kind="stable")
    return np.argsort(order) * centres.shape[1] // len(u)


def codes_on_the_members_scale(prior, images):
    codes = REAL_ENCODED(prior, images)
    return codes * prior.radius / np.linalg.norm(codes, axis=1).max()


@pytest.mark.parametrize(
    ("name", "fault"),
    [("nearest", components_of_equal_size), ("encoded", codes_on_the_members_scale)],
)
def test_a_row_that_sees_other_members_is_caught(name, fault):
    assert_caught(release, name, fault, release_checks.neighbours)


def votes_by_rank(codes, labels, population):
    """Where each row's vote goes depends on who else votes."""
    return np.argsort(np.argsort(codes[:, 0])) % population.shape[1]


def a_vote_for_each_of_two(cells, count, key, std):
    return REAL_VOTES(np.concatenate([cells, (cells + 1) % count]), count, key, std)


def each_round_with_the_whole_budget(cells, count, key, std):
    return REAL_VOTES(cells, count, key, std / pe.ROUNDS**0.5)


REAL_VOTES = moments.votes


@pytest.mark.parametrize(
    ("module", "name", "fault", "check"),
    [
        (release, "nearest", votes_by_rank, release_checks.vote_neighbours),
        (moments, "votes", a_vote_for_each_of_two, release_checks.vote_neighbours),
        (moments, "votes", each_round_with_the_whole_budget, release_checks.vote_budget),
    ],
)
def test_a_vote_too_many_or_too_loud_is_caught(module, name, fault, check):
    assert_caught(module, name, fault, check)


@pytest.mark.parametrize("share", ["MEANS", "ROUNDS", "LAST"])
def test_a_sum_that_takes_the_whole_budget_is_caught(share):
    assert_caught(release, share, 1.0, release_checks.budget)


def test_one_key_for_all_rounds_is_caught():
    class Repeated:
        split = staticmethod(lambda key, count=2: [key] * count)

        def __getattr__(self, name):
            return getattr(jax.random, name)

    class Jax:
        random = Repeated()

    assert_caught(release, "jax", Jax(), release_checks.budget)


@pytest.mark.parametrize("check", [checks.sensitivity, checks.public_denominator])
def test_the_harness_itself_is_not_what_is_caught(check):
    for right in (vmap_clipping.clipped_sum, summing(correct)):
        with mock.patch.object(clipping, "clipped_sum", right):
            check()


# The accountant, the ends of noise and the release: module, name, fault, the test that fails, its arguments.


def steps_counted_once(steps):
    return REAL_MERGED([part._replace(count=1) for part in steps])


def noise_added_up_without_squares(steps):
    return sum(part.count / part.noise for part in steps) ** 0.5


def truncation_is_free(self):
    return Steps(self.steps, self.sampling_rate, self.noise_multiplier)


def half_the_rate(self):
    return Steps(self.steps, self.sampling_rate / 2, self.noise_multiplier)


def delta_of_less(mu, eps):
    return REAL_LOG_DELTA(0.99 * mu, eps)


def ends_that_cost_nothing(steps, words, delta):
    return 0.0


def numbers_rounded_to_the_nearest(x, digits, rounding):
    return f"{x:.{digits}g}"


def rows_not_clipped(rows):
    return rows


def half_the_noise_of_a_release(sums, key, std):
    return REAL_NOISED(sums, key, std / 2)


def one_draw_for_all_sums(key, count):
    return REAL_HOST(jax.random.key(3), count)


def draws_of_23_bits(key, count):
    return np.asarray(jax.random.normal(key, (count,)), np.float64)


def draws_that_are_not_rounded(tree, key, std):
    return jax.tree.map(lambda x: x + std * jax.random.normal(key, x.shape), tree)


def noise_left_out(sums, key, std):
    return sums


def noise_of_twice_the_eps(n, eps, delta):
    return REAL_OF_MEANS(n, 2 * eps, delta)


REAL_OF_MEANS = private_classifier.noise
REAL_MERGED, REAL_LOG_DELTA = accounting._merged, gdp.log_delta
REAL_NOISED, REAL_HOST = moments._noised, noise.normal_on_host
ACCOUNTING, PLAN = "tests/dp/accounting_test.py", "tests/dp/plan_test.py"
MOMENTS, NOISE = "tests/dp/moments_test.py", "tests/dp/noise_test.py"
TAILS, GAUSSIAN = "tests/dp/tails_test.py", "tests/baselines/gaussian_test.py"
MEANS = (
    "tests/utility/private_classifier_test.py"
    "::test_a_member_tells_no_more_of_the_means_than_the_plan_accounts_for"
)
CLOSED_FORM = (
    f"{ACCOUNTING}::test_steps_in_which_nothing_is_sampled_are_the_closed_form_at_any_delta"
)
TRUTH = f"{ACCOUNTING}::test_the_closed_form_is_never_below_the_truth_and_hardly_above_it"
# fmt: off
NAMED = [
    (accounting, "_merged", steps_counted_once, CLOSED_FORM, (Steps(20_000, 1.0, 60.0), 1e-9, 16.4189)),
    (accounting, "_mu", noise_added_up_without_squares, f"{ACCOUNTING}::test_stages_that_are_gaussian_compose_to_one"),
    (plan.DPSGD, "accounted", truncation_is_free, f"{ACCOUNTING}::test_truncation_is_paid_for"),
    (plan.DPSGD, "accounted", half_the_rate, f"{PLAN}::test_what_is_accounted_of_a_stage"),
    (gdp, "log_delta", delta_of_less, TRUTH),
    (tails, "beyond", ends_that_cost_nothing, f"{TAILS}::test_a_plan_whose_noise_ends_too_soon_claims_nothing"),
    (rounding, "_rounded", numbers_rounded_to_the_nearest, f"{PLAN}::test_a_statement_never_names_less_than_is_spent"),
    (moments, "_clipped", rows_not_clipped, f"{MOMENTS}::test_one_unit_moves_a_release_by_at_most_one", ("energies",)),
    (moments, "_one_hot", counted_in_every_class,
     f"{MOMENTS}::test_a_row_as_long_as_allowed_uses_all_of_the_sensitivity"),
    (moments, "_noised", half_the_noise_of_a_release, f"{MOMENTS}::test_the_noise_is_what_the_docstrings_say"),
    (noise, "normal_on_host", one_draw_for_all_sums, f"{GAUSSIAN}::test_each_sum_draws_noise_of_its_own"),
    (noise, "normal_on_host", draws_of_23_bits, f"{NOISE}::test_a_release_adds_its_noise_before_it_rounds"),
    (noise, "gaussian", draws_that_are_not_rounded, f"{NOISE}::test_no_low_bit_tells_what_was_noised", (0.7123457,)),
    (release, "encoded", codes_on_the_members_scale, MEANS),
    (moments, "_noised", noise_left_out, MEANS),
    (private_classifier, "noise", noise_of_twice_the_eps, MEANS),
]
# fmt: on


def test_of(name):
    """The function of a test, by its file and name; its file is loaded anew."""
    path, _, function = name.partition("::")
    spec = importlib.util.spec_from_file_location("caught_by", ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, function)


test_of.__test__ = False


@pytest.mark.parametrize("named", NAMED, ids=[f[2].__name__ for f in NAMED])
def test_is_caught_by_the_test_that_is_named(named):
    module, name, fault, test, *arguments = named
    check, caught = test_of(test), (AssertionError, ExceptionGroup)
    accounting._spent.cache_clear()
    try:
        with (
            mock.patch.object(module, name, fault),
            jax.debug_key_reuse(False),
            np.errstate(all="ignore"),  # what is not finite fails an assertion
            pytest.raises(caught),
        ):
            check(*(arguments[0] if arguments else ()))
    finally:
        accounting._spent.cache_clear()


def test_every_fault_names_the_test_that_catches_it():
    """At least 20, in each of sampler, clip, noise, accountant and release."""
    seen = {
        getattr(check, "func", check)
        for check in test_of(GUARANTEES.partition("::")[0] + "::CHECKS")
    }
    named = [(module, fault.__name__, check in seen) for module, _, fault, check in FAULTS]
    named += [
        (module, fault.__name__, callable(test_of(test))) for module, _, fault, test, *_ in NAMED
    ]
    assert all(found for *_, found in named)
    assert len({name for _, name, _ in named}) >= 20
    assert {sampling, clipping, noise, accounting, moments} <= {module for module, *_ in named}


# Faults that change the distribution are seen from outside too, by the scores of an attack alone. Both
# gradients lie on one axis, opposed, so that one can push the other aside: the canary's is the longer.

AUDITED = [
    (clipping, "clipped_sum", summing(unclipped)),
    (clipping, "clipped_sum", summing(clipped_after_the_sum)),
    (clipping, "clipped_sum", summing(clipped_leaf_by_leaf)),
    (clipping, "clipped_sum", summing(clipped_twice_for_two_halves)),
    (clipping, "clipped_sum", summing(divided_by_the_realised_batch)),
    (noise, "gaussian", noise_forgotten),
    (noise, "gaussian", noise_of_half_the_scale),
    (noise, "gaussian", one_key_for_all_leaves),
    (noise, "gaussian", one_key_for_all_steps),
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


@pytest.mark.parametrize(
    ("module", "name", "fault"), AUDITED, ids=[fault[2].__name__ for fault in AUDITED]
)
def test_is_caught_by_an_audit(module, name, fault):
    unchecked = jax.debug_key_reuse(False)
    with compiled_anew(), mock.patch.object(module, name, fault), unchecked:
        assert refuted()


def test_the_audit_of_the_right_step_does_not_refute_it():
    assert not refuted()
    with compiled_anew(), mock.patch.object(clipping, "clipped_sum", summing(correct)):
        assert not refuted()
