"""Whatever comes from outside, bent at random: it is read, or refused in one line. Nothing else happens."""

import copy
import gzip
import io
import json
import shutil
import struct

import jax.numpy as jnp
import numpy as np
import pytest
import toy
from fake_records import record
from hypothesis import given, settings
from hypothesis import strategies as st

from fpu import InputError, report, training
from fpu.data import npz
from fpu.files import safe
from fpu.models import vae
from fpu.pipeline import settings as flags
from fpu.pipeline import sweep, workdir
from fpu.report import records, tables
from fpu.training import checkpoint

SOME = settings(max_examples=150, deadline=None)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@st.composite
def bent(draw, content: bytes) -> bytes:
    """`content` with some bytes changed, and perhaps cut short or with more behind it."""
    changed = bytearray(content)
    for place in draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        changed[place] = draw(st.integers(0, 255))
    return bytes(changed[: draw(st.integers(0, len(content)))]) + draw(st.binary(max_size=9))


def read_or_refused(read, *arguments):
    """What `read` returns; None where it refuses. Any other exception is a failure of the test."""
    try:
        return read(*arguments)
    except InputError as refused:
        if "\n" in str(refused):
            raise AssertionError("more than one line") from refused
    return None


def _npz() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **toy.arrays())
    return file.getvalue()


IDX = b"\0\0\x08\x03" + struct.pack(">3I", 2, 5, 5) + bytes(50)
FILES = {
    "mine.npz": (_npz(), npz.read),
    "images-idx3-ubyte": (IDX, safe.read_idx),
    "images-idx3-ubyte.gz": (gzip.compress(IDX, mtime=0), safe.read_idx),
}


@pytest.mark.parametrize("name", FILES)
def test_bent_files_of_images(tmp_path_factory, name):
    content, read = FILES[name]
    path = tmp_path_factory.mktemp("bent") / name

    @SOME
    @given(bent(content))
    def check(changed):
        path.write_bytes(changed)
        read_or_refused(read, path)

    check()


def places(value, at=()):
    """The path of every value in nested dicts and lists."""
    yield at
    listed = dict(enumerate(value)) if isinstance(value, list) else value
    for key, inner in listed.items() if isinstance(listed, dict) else ():
        yield from places(inner, (*at, key))


def put(value, at, new):
    """A copy of `value` with `new` at the path `at`."""
    if not at:
        return new
    value = copy.deepcopy(value)
    node = value
    for key in at[:-1]:
        node = node[key]
    node[at[-1]] = new
    return value


def test_bent_records_make_tables_and_pages_or_are_refused(tmp_path):
    path, whole = tmp_path / "record.json", record()
    everywhere = st.sampled_from(list(places(whole)))

    @SOME
    @given(everywhere, JSON)
    def check(at, new):
        path.write_text(json.dumps(put(whole, at, new)))
        if runs := read_or_refused(records.read, [path]):
            tables.markdown(runs)
            tables.csv(runs)
            report.page(runs[0], None)

    check()


def test_a_bent_description_of_a_run(tmp_path):
    whole = {"fingerprint": "0" * 64, "config": {"model": "vae", "steps": 3}}

    @SOME
    @given(st.sampled_from(list(places(whole))), JSON)
    def check(at, new):
        (tmp_path / "config.json").write_text(json.dumps(put(whole, at, new)))

        def enter():
            with workdir.opened(tmp_path, {"model": "vae", "steps": 3}):
                pass

        read_or_refused(enter)

    check()


TEXT = st.text(st.sampled_from("0123456789,.=/-einfatrsodml_ \0é"), max_size=12)


@SOME
@given(TEXT)
def test_bent_flags(text):
    axes = sweep.cells, [f"seed={text}"]
    for read, *arguments in (
        axes,
        (sweep.cells, [text]),
        (sweep.cells, [f"eps={text}"]),
        (sweep.shard, text, [1, 2, 3]),
        (flags.sampling_labels, text, 10, 7),
        (flags.override, (text,), vae.SIZES["tiny"], training.Recipe()),
        (flags.override, (f"model.width={text}",), vae.SIZES["tiny"], training.Recipe()),
        (flags.override, (f"recipe.ema={text}",), vae.SIZES["tiny"], training.Recipe()),
    ):
        read_or_refused(read, *arguments)


def test_bent_checkpoints_are_gone_past_or_told_in_one_line(tmp_path):
    """Whatever one file of it holds: the state as saved, the one before it, or one line."""
    saved = {step: {"ema": jnp.full((4, 4), float(step))} for step in (1, 2)}
    for step, state in saved.items():
        checkpoint.save(tmp_path / "whole", step, state, {"devices": 1})
    # No hypothesis: what the files hold differs from run to run.
    rng, found = np.random.default_rng(0), []
    for number in range(40):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "whole", folder)
        path = rng.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
        content = bytearray(path.read_bytes())
        for place in rng.integers(0, max(1, len(content)), rng.integers(0, 6)):
            content[place : place + 1] = rng.bytes(1)
        path.write_bytes(content[: rng.integers(0, len(content) + 1)] + rng.bytes(rng.integers(9)))
        read = read_or_refused(checkpoint.restore, folder, saved[1])
        found.append(None if read is None else read[0])
        if read is not None:
            step, state, layout = read
            np.testing.assert_array_equal(state["ema"], saved[step]["ema"])
            assert isinstance(layout, dict)
    assert {1, 2} <= set(found)
