"""Fixtures of the tests of whole runs."""

import pytest
import shared_run
from quick_run import _made, quick

from fpu.models import vae

__all__ = ["quick"]


@pytest.fixture(autouse=True)
def _one_program(monkeypatch):
    """Runs of equal settings share their compiled programs, as they do not where each makes its own model."""
    monkeypatch.setattr(vae, "make", _made)


@pytest.fixture
def plain(monkeypatch, _one_program):
    """A VAE, which takes long to compile, is a model of an image for each class."""
    shared_run.replace_vae(monkeypatch)
