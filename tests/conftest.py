"""Strict numerics for every test: no silent broadcasting, no key used twice, no network, no home folder.

Tests compile much and compute little, so XLA does not optimise: a third of the time. It does, by its first level,
what runs for hundreds of steps: the classifier. XLA_FLAGS="" uv run pytest: that one as in a run.
Hypothesis tries the same examples every time, and nothing is timed: a busy machine is no failure.
"""

import contextlib
from unittest import mock

import environment
import hypothesis
import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)
jax.config.update("jax_disable_most_optimizations", True)

hypothesis.settings.register_profile(
    "same",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("same")


@contextlib.contextmanager
def _optimising():
    jax.config.update("jax_disable_most_optimizations", False)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def optimised():
    """Programs as a run has them: expressions are fused."""
    with _optimising():
        yield


@pytest.fixture(autouse=True, scope="session")
def _fast_classifier():
    """The programs that the tests run most are optimised: 80 % less time in training, 0.8 s more to compile."""
    from fpu.utility import classifier

    def fast(function):
        def call(*arguments):
            with _optimising():
                return function(*arguments)

        call._cache_size = function._cache_size
        return call

    classifier._step, classifier._apply = map(fast, (classifier._step, classifier._apply))


@pytest.fixture(autouse=True, scope="module")
def _bounded_memory(request):
    """Compiled programs are forgotten where they fill the memory: hundreds of them take gigabytes.

    Until then the next module has what every module compiles: small operations, several seconds of them. Programs of
    code with faults are shared with nobody. (What is kept on disk is: its name is a digest of the whole program.)
    """
    faulty = request.module.__name__.endswith("faults_test")
    if faulty:
        environment.forget()
    environment.exchange()
    yield
    if faulty or environment.resident() > environment.ENOUGH:
        environment.forget()


@pytest.fixture(autouse=True)
def _private_cache(monkeypatch):
    """Calibrations and downloads of the tests never read or write the user's own cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(environment.FOLDER / "cache"))


@pytest.fixture(autouse=True)
def _no_prior(monkeypatch):
    """--prior=auto is none: to make the images of a prior takes seconds. Tests of the rule itself import it first."""
    from fpu import priors

    monkeypatch.setattr(priors, "auto", lambda dataset, spec: "none")


@pytest.fixture
def calls_of(monkeypatch):
    """(module, name) -> the calls, from then on, of a function that does what it always did."""

    def watch(module, name):
        watched = mock.Mock(wraps=getattr(module, name))
        monkeypatch.setattr(module, name, watched)
        return watched.call_args_list

    return watch


@pytest.fixture(scope="module")
def short_training(request):
    """Classifiers of the utility rows train for no more than the module's TRAINING_STEPS."""
    from fpu.utility import protocols

    kept, steps = protocols.PROTOCOLS, request.module.TRAINING_STEPS
    few = {"steps": steps, "small_steps": steps}
    protocols.PROTOCOLS = {name: how._replace(**few) for name, how in kept.items()}
    yield
    protocols.PROTOCOLS = kept
