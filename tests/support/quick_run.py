"""A whole run with the judges, which are tested elsewhere, replaced by one that takes no time."""

import contextlib
import functools
import os
from unittest import mock

import pytest
from tiny_release import PNG

from fpu import evaluation, report, training
from fpu.models import vae
from fpu.pipeline import draw, keep
from fpu.pipeline.settings import Options
from fpu.training import checkpoint, warmup

TINY = ("model.size=tiny", "model.width=8", "model.depth=1", "model.latent=4")
SECRET = b"\x8f\x13\xa7\xe2\x5b\x90\x01\xcc"
JUDGED = {"fidelity": {}, "utility": {}, "attacks": {}, "seconds": {}}


class Killed(BaseException):
    """What SIGKILL does, as far as a test can tell."""


@contextlib.contextmanager
def killed_in(part):
    """What is run here dies when it has saved step 2 of this part: "warmup" (on draws) or "0" (on members)."""
    save = checkpoint.save

    def save_and_die(folder, step, state, layout):
        save(folder, step, state, layout)
        if (folder.name, step) == (part, 2):
            raise Killed

    with mock.patch.object(checkpoint, "save", save_and_die), pytest.raises(Killed):
        yield


def install(patch):
    """No judges, no pages, one step a call, a checkpoint after each."""
    patch.setattr(evaluation, "evaluate", lambda *_, **__: dict(JUDGED))
    patch.setattr(report, "page", lambda record, picture: "<html></html>")
    patch.setattr(report, "samples_png", lambda path, *_: path.write_bytes(PNG))
    patch.setattr(keep, "SECONDS", -1.0)
    patch.setattr(draw, "CHUNK", 50)
    patch.setattr(training.loop, "STEPS_PER_CALL", 1)
    patch.setattr(warmup, "DRAWS", 200)


@pytest.fixture
def quick(monkeypatch):
    """A quick run, whose key is SECRET."""
    install(monkeypatch)
    monkeypatch.setattr(os, "urandom", lambda count: SECRET[:count])


@functools.cache
def _made(config, spec, make=vae.make):
    return make(config, spec)


def options(folder, **change):
    flags = {"model": "vae", "noise_multiplier": 4.0, "steps": 3}
    flags |= {"n_per_class": 10, "n_samples": 50}
    return Options(**(flags | {"set": TINY, "workdir": str(folder)} | change))


def files(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def tells_the_secret(folder):
    """Files that hold the key in any form it might be written in."""
    parts = SECRET[:4], SECRET[4:]
    words = [int.from_bytes(part, order) for part in parts for order in ("little", "big")]
    forms = [SECRET, SECRET.hex().encode(), *(str(word).encode() for word in words)]
    return {name for name in files(folder) if any(f in (folder / name).read_bytes() for f in forms)}
