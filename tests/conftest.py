"""Strict numerics for every test: no silent broadcasting, no key used twice, no network, no home folder."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)


@pytest.fixture(autouse=True)
def _private_cache(tmp_path_factory, monkeypatch):
    """Calibrations and downloads of the tests never read or write the user's own cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def quick_compiles():
    """For modules that compile much and compute little: XLA's cheap passes only, half the time."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module")
def short_training(request):
    """Classifiers of the utility rows train for no more than the module's TRAINING_STEPS."""
    from fpu.utility import protocols

    kept = protocols.STEPS
    protocols.STEPS = dict.fromkeys(kept, request.module.TRAINING_STEPS)
    yield
    protocols.STEPS = kept
