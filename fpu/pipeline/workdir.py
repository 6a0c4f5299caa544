"""The folder of a run: private as a whole, lockable, resumable. Only release/ may be handed out."""

import contextlib
import fcntl
import functools
import hashlib
import importlib.metadata
import json
import math
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from fpu import InputError
from fpu.dp.sampling import IMPLEMENTATION
from fpu.files import safe, storage
from fpu.files.cache import fingerprint
from fpu.pipeline import settings
from fpu.pipeline.jobs import Job
from fpu.report import words

SECRET = "secret.key"
# Rooms whose code decides what a key turns into: samples, noise, draws.
_MECHANISM = (
    "baselines",
    "data",
    "distributed",
    "dp",
    "models",
    "pipeline",
    "priors",
    "release",
    "training",
)
_PACKAGES = ("jax", "jaxlib", "numpy", "scipy", "scikit-learn", "flax", "optax")
_FLAGS = ("jax_threefry_partitionable", "jax_default_prng_impl", "jax_enable_x64")
_NOTE = "side_by_side.json"


def place(job: Job) -> pathlib.Path:
    """The folder of a run: the one that --workdir names, or one named by its settings."""
    if job.options.workdir:
        return pathlib.Path(job.options.workdir).expanduser()
    config = job.config
    privacy = (
        f"sigma{config['noise_multiplier']:g}"
        if config["noise_multiplier"] is not None
        else f"eps{float(config['eps'] or math.inf):g}"
    )
    many = f"{config['n_per_class'] or 'all'}each"
    name = f"{config['model']}-{job.dataset.name}-{privacy}-{many}-seed{config['seed']}"
    if job.options.prior != "auto":
        name += f"-{words.prior_name(config) or 'none'}".replace(":", "-")
    if config["preset"] != "corrected":
        name += f"-{config['preset']}"
    return pathlib.Path("runs") / (name + _others(job))


def _others(job: Job) -> str:
    """A short hash of the settings that the name of the folder leaves out, "" where all are as usual."""
    said = {"model", "eps", "noise_multiplier", "n_per_class", "seed", "preset"}
    others = {k: v for k, v in settings.given(job.options).items() if k not in said}
    if others.pop("dataset", job.dataset.name) != job.dataset.name:  # a file: known by its content
        others["members"] = job.config["sha256_members"]
    return f"-{fingerprint(others)[:6]}" if others else ""


@contextlib.contextmanager
def opened(path: pathlib.Path, config: dict) -> Iterator[pathlib.Path]:
    """Create or re-enter the folder of the run that `config` describes, and hold its lock.

    Raises:
      InputError: it cannot be written, holds something else, was begun by other code or versions and is not
        finished, or another process works in it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        known = path / "config.json"
        # A run killed while it wrote its first file leaves a .part behind.
        others = [p.name for p in path.iterdir() if p.name != ".lock" and p.suffix != ".part"]
        if others and not known.is_file():
            raise InputError(
                f"--workdir={path}: holds files of something else ({others[0]}); name another"
            )
        path.chmod(0o700)
        lock = open(path / ".lock", "w")  # noqa: SIM115 (held until the run ends)
    except OSError as error:
        raise InputError(
            f"--workdir={path}: {error.strerror}; name a folder you may write to"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"--workdir={path}: another process is working in it") from None
        _same_run(known, config)
        if finished(path):  # killed between its last file and this
            destroy_secret(path)
        yield path


def finished(path: pathlib.Path) -> bool:
    """Whether the run of this folder has its record. All that may be left to do is the report, from the record."""
    return (path / "record.json").is_file()


def _same_run(known: pathlib.Path, config: dict) -> None:
    if known.is_file():
        try:
            written = json.loads(known.read_text())
            same, stored = written["fingerprint"] == fingerprint(config), dict(written["config"])
        except (ValueError, TypeError, KeyError):
            raise InputError(f"{known}: is damaged; name another --workdir") from None
        if not same:
            now = json.loads(json.dumps(config))  # tuples become lists, as in the file
            changed = [k for k in now if stored.get(k) != now[k]]
            raise InputError(
                f"--workdir={known.parent}: holds another run ({', '.join(changed[:4]) or 'unknown'} "
                "differ); name another"
            )
        if not finished(known.parent):
            _same_mechanism(known.parent, written.get("mechanism"))
        return
    content = {"fingerprint": fingerprint(config), "config": config, "mechanism": mechanism()}
    safe.write_json(known, content)


def _same_mechanism(path: pathlib.Path, stored: Any) -> None:
    """Refuse to go on where the same key would give other noise: two noisings of one query reveal more than one."""
    now = mechanism()
    stored = stored if isinstance(stored, dict) else {}
    changed = [name for name in now if stored.get(name) != now[name]]
    if changed:
        name, before = changed[0], stored.get(changed[0], "unknown")
        raise InputError(
            f"--workdir={path}: begun where {name.replace('_', ' ')} was {before}, now {now[name]}: the same key "
            "would give other noise. Go on as it was begun, or name another --workdir"
        )


@functools.cache
def _code() -> str:
    """SHA-256 of the code of the mechanism, shortened."""
    root, digest = pathlib.Path(__file__).parents[1], hashlib.sha256()
    for room in _MECHANISM:
        for file in sorted((root / room).glob("*.py")) or [(root / room).with_suffix(".py")]:
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def mechanism() -> dict[str, Any]:
    """What decides which noise a key gives: code, versions, flags, backend. JSON-able."""
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    flags = {name: getattr(jax.config, name) for name in _FLAGS}
    return {"code_of_fpu": _code(), **versions, **flags, "backend": jax.default_backend()}


def write_note(folder: pathlib.Path, cells: int, seconds: float) -> None:
    """That this run trained as one of so many cells of a program, and its share of their seconds. Kept once."""
    if not (folder / _NOTE).exists():
        safe.write_json(folder / _NOTE, {"cells": cells, "seconds": round(seconds, 2)})


def note(folder: pathlib.Path) -> dict:
    """What `write_note` left; {} of a run that trained alone."""
    path = folder / _NOTE
    return json.loads(path.read_text()) if path.exists() else {}


def secret_key(folder: pathlib.Path, noise_seed: int | None):
    """The root key of sampling, noise and per-example draws: as secret as the data.

    64 bits of the operating system's randomness in a file of mode 600, on disk before the first
    step so that a killed run repeats the same noise, and never in a checkpoint, log or record.
    A noise seed replaces it for research; the record then says that the noise is disclosed.

    Raises:
      InputError: the key is damaged, or gone while what it made is still here. A new key would make
        a second, differently noised release of the same data, which nobody has accounted for.
    """
    if noise_seed is not None:
        # Hashed, so that it is not the public key of the same --seed.
        return _key(hashlib.sha256(f"noise seed {noise_seed}".encode()).digest()[:8])
    path = folder / SECRET
    if not path.exists():
        made = [name for name in ("checkpoints", "release") if (folder / name).exists()]
        if made:
            raise InputError(
                f"{folder}: its {SECRET} is gone but {made[0]}/ is here, so the run cannot be repeated "
                "with the same noise; name another --workdir"
            )
        storage.write(path, os.urandom(8))
    data = path.read_bytes()
    if len(data) != 8 or not any(data):  # all zero: killed while it was being destroyed
        raise InputError(
            f"{path}: is damaged, and the run cannot go on without it; name another --workdir"
        )
    return _key(data)


def _key(data: bytes):
    """A typed key of 8 bytes."""
    words = [int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")]
    return jax.random.wrap_key_data(jnp.asarray(words, jnp.uint32), impl=IMPLEMENTATION)


def destroy_secret(folder: pathlib.Path) -> None:
    """Overwrite and delete the key of a run that has ended. (A copying file system may keep blocks.)"""
    path = folder / SECRET
    if path.exists():
        with open(path, "r+b") as file:
            file.write(bytes(8))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
