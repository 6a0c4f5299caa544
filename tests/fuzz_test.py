"""Whatever comes from outside, bent at random: it is read, or refused in one line. Nothing else happens."""

import copy
import gzip
import io
import json
import struct

import jax.numpy as jnp
import numpy as np
import pytest
import toy
from fake_records import record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fpu import InputError, report, training
from fpu.data import npz
from fpu.files import safe
from fpu.models import vae
from fpu.pipeline import settings as flags
from fpu.pipeline import sweep, workdir
from fpu.report import frame, records
from fpu.training import checkpoint

# All examples of a test share its folder: each writes its own content over the last.
SOME = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
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
@SOME
@given(data=st.data())
def test_bent_files_of_images(tmp_path, name, data):
    content, read = FILES[name]
    (tmp_path / name).write_bytes(data.draw(bent(content)))
    read_or_refused(read, tmp_path / name)


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


def bent_json(whole):
    """`whole` with another value at one place, as text."""
    changed = st.builds(put, st.just(whole), st.sampled_from(list(places(whole))), JSON)
    return changed.map(json.dumps)


@SOME
@given(text=bent_json(record()))
def test_bent_records_make_tables_and_pages_or_are_refused(tmp_path, text):
    path = tmp_path / "record.json"
    path.write_text(text)
    if runs := read_or_refused(records.read, [path]):
        frame.markdown(runs)
        frame.csv(runs)
        report.page(runs[0], b"a picture")


CONFIG = {"model": "vae", "steps": 3}


@SOME
@given(text=bent_json({"fingerprint": "0" * 64, "config": CONFIG}))
def test_a_bent_description_of_a_run(tmp_path, text):
    (tmp_path / "config.json").write_text(text)

    def enter():
        with workdir.opened(tmp_path, CONFIG):
            pass

    read_or_refused(enter)


TEXT = st.text(st.sampled_from("0123456789,.=/-einfatrsodml_ \0é"), max_size=12)


@SOME
@given(TEXT)
def test_bent_flags(text):
    for read, *arguments in (
        (sweep.cells, [f"seed={text}"]),
        (sweep.cells, [text]),
        (sweep.cells, [f"eps={text}"]),
        (sweep.shard, text, [1, 2, 3]),
        (flags.sampling_labels, text, 10, 7),
        (flags.override, (text,), vae.SIZES["tiny"], training.Recipe()),
        (flags.override, (f"model.width={text}",), vae.SIZES["tiny"], training.Recipe()),
        (flags.override, (f"recipe.ema={text}",), vae.SIZES["tiny"], training.Recipe()),
    ):
        read_or_refused(read, *arguments)


@pytest.fixture
def checkpoints(tmp_path):
    """{step: (state, content of its file)} of the two checkpoints in tmp_path."""
    states = {step: {"ema": jnp.full((4, 4), float(step))} for step in (1, 2)}
    for step, state in states.items():
        checkpoint.save(tmp_path, step, state, {"devices": 1})
    return {step: (s, (tmp_path / f"{step}.ckpt").read_bytes()) for step, s in states.items()}


@SOME
@given(data=st.data(), step=st.sampled_from([1, 2]))
def test_bent_checkpoints_are_passed_over(tmp_path, checkpoints, data, step):
    """Whatever one file holds: a state as it was saved comes back, and the other file is readable."""
    content = checkpoints[step][1]
    changed = data.draw(bent(content))
    (tmp_path / f"{step}.ckpt").write_bytes(changed)
    read, state, layout = checkpoint.restore(tmp_path, checkpoints[1][0])
    (tmp_path / f"{step}.ckpt").write_bytes(content)
    assert read == (1 if step == 2 and changed != content else 2)
    np.testing.assert_array_equal(state["ema"], checkpoints[read][0]["ema"])
    assert layout == {"devices": 1}


@SOME
@given(data=st.data(), of_metadata=st.booleans())
def test_bent_content_of_a_checkpoint_under_a_right_digest(
    tmp_path, checkpoints, data, of_metadata
):
    """What no accident makes: it is a state of the right shape, or refused in one line."""
    like, content = checkpoints[2]
    start = checkpoint._HEADER.size + checkpoint._DIGEST
    size = checkpoint._HEADER.unpack(content[: checkpoint._HEADER.size])[2]
    metadata, payload = content[start : start + size], content[start + size :]
    if of_metadata:
        metadata = data.draw(bent(metadata))
    else:
        payload = data.draw(bent(payload))
    (tmp_path / "1.ckpt").unlink(missing_ok=True)
    (tmp_path / "2.ckpt").write_bytes(checkpoint._framed(metadata, payload))
    read = read_or_refused(checkpoint.restore, tmp_path, like)
    assert read is None or read[1]["ema"].shape == (4, 4)
    read_or_refused(checkpoint.averaged, tmp_path)
