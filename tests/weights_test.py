"""fpu/weights.py: files that torch wrote (tests/oracles/inception.py), and files that lie or bite."""

import os
import pathlib
import pickle
import struct
import zipfile

import numpy as np
import pytest
from oracles.waves import wave

from fpu import InputError, weights

ORACLES = pathlib.Path(__file__).parent / "oracles"
WHOLE = wave((5, 4), 0.0).astype(np.float32)
EXPECTED = {
    "0.weight": wave((2, 1, 3, 3), 1.0).astype(np.float32),
    "0.bias": WHOLE[3, :2],
    "rows": WHOLE[1:3],
    "turned": WHOLE.T,
    "half": wave((5, 4), 0.0)[0].astype(np.float32).astype(np.float16).astype(np.float32),
    "double": WHOLE[0],
    "1.running_var": np.ones(2, np.float32),
}
SHAPES = {name: x.shape for name, x in EXPECTED.items()}
FILES = ("zipped.pth", "legacy.pth")


def read(path, shapes=SHAPES):
    return weights.read(path, shapes, "it.pth")


@pytest.mark.parametrize("file", FILES)
def test_what_torch_saved_is_read(file):
    found = read(ORACLES / file)
    assert found.keys() == EXPECTED.keys()
    for name, expected in EXPECTED.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], expected, name)


def test_an_npz_with_the_same_names_is_read(tmp_path):
    np.savez(tmp_path / "w.npz", **EXPECTED, other=np.zeros(3))
    found = read(tmp_path / "w.npz")
    assert found.keys() == EXPECTED.keys()
    np.testing.assert_array_equal(found["turned"], WHOLE.T)


@pytest.mark.parametrize("file", [*FILES, "w.npz"])
def test_absent_and_mis_shaped_weights_are_named(tmp_path, file):
    np.savez(tmp_path / "w.npz", **EXPECTED)
    path = (tmp_path if file.endswith("npz") else ORACLES) / file
    with pytest.raises(InputError, match=rf"{file}: has no weight 2\.weight; give it\.pth$"):
        read(path, SHAPES | {"2.weight": (3,)})
    with pytest.raises(InputError, match=r"turned is \[4, 5\] where \[5, 4\] is needed; give it"):
        read(path, SHAPES | {"turned": (5, 4)})


def refusal(path):
    with pytest.raises(InputError) as caught:
        read(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line.removeprefix(f"{path}: ")


def test_files_of_another_kind_are_one_line(tmp_path):
    assert refusal(tmp_path / "none.pth") == "cannot be read (No such file or directory)"
    assert refusal(tmp_path) == "cannot be read (Is a directory)"
    path = tmp_path / "x.pth"
    for content in (b"", b"hello\nworld", bytes(range(256)), pickle.dumps({"a": 1})):
        path.write_bytes(content)
        assert "not a .pth of PyTorch or an .npz" in refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "text")
    assert refusal(path) == "has no weight 0.weight; give it.pth"
    zipped(path, pickle.dumps([1, 2]))
    assert refusal(path) == "holds a list, not a state dict; give it.pth"


class _Call:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


def zipped(path, pickled, **entries):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickled)
        for name, content in entries.items():
            archive.writestr(f"a/{name}", content)


def legacy(path, *values, tail=b""):
    path.write_bytes(
        b"".join(v if isinstance(v, bytes) else pickle.dumps(v, 2) for v in values) + tail
    )


@pytest.mark.parametrize("bomb", [(os.mkdir,), (eval, "1"), (getattr, "", "join"), (np.zeros, 3)])
def test_code_is_never_run(tmp_path, bomb):
    made, path = tmp_path / "made", tmp_path / "bomb.pth"
    call = _Call(*bomb, str(made)) if bomb == (os.mkdir,) else _Call(*bomb)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        pickled = pickle.dumps({"0.weight": call}, protocol)
        zipped(path, pickled)
        assert "which plain tensors do not need, so nothing of it was run" in refusal(path)
        legacy(path, weights._MAGIC, weights._PROTOCOL, {"little_endian": True}, pickled)
        assert "which plain tensors do not need, so nothing of it was run" in refusal(path)
        legacy(path, pickled)
        assert "nothing of it was run" in refusal(path)
    assert not made.exists()


def test_a_name_with_a_line_break_stays_one_line(tmp_path):
    zipped(tmp_path / "w.pth", b"\x80\x04\x8c\x02o\n\x8c\x05\x1b[31m\x93.")
    assert r"names 'o\n.\x1b[31m', which" in refusal(tmp_path / "w.pth")


def state(count=4, offset=0, shape=(2, 2), strides=(2, 1), kind="FloatStorage"):
    """The pickle that torch writes of {'w': tensor}, with anything in it."""
    number = lambda n: b"\x8a\x08" + struct.pack("<q", n)  # noqa: E731
    several = lambda values: b"(" + b"".join(map(number, values)) + b"t"  # noqa: E731
    text = lambda t: b"X" + struct.pack("<I", len(t)) + t.encode()  # noqa: E731
    storage = b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text("0") + text("cpu")
    storage += number(count) + b"tQ"
    rebuilt = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(offset)
    rebuilt += several(shape) + several(strides) + b"\x89ccollections\nOrderedDict\n)RtR"
    return b"\x80\x02}" + text("w") + rebuilt + b"s."


def test_a_tensor_made_by_hand_is_read(tmp_path):
    zipped(tmp_path / "w.pth", state(), **{"data/0": np.arange(4, dtype="<f4").tobytes()})
    found = read(tmp_path / "w.pth", {"w": (2, 2)})["w"]
    np.testing.assert_array_equal(found, [[0, 1], [2, 3]])


@pytest.mark.parametrize(
    "lie",
    [
        {"count": 3},
        {"count": 2**61},
        {"count": -1},
        {"offset": 1},
        {"offset": -1},
        {"offset": -(2**62)},
        {"strides": (3, 1)},
        {"strides": (-2, 1)},
        {"strides": (2**62, 2**62)},
        {"strides": (1,)},
        {"kind": "load"},
        {"kind": "FloatStorage\n0X\x03\0\0\0<u4p9"},  # drops it, and puts numpy's own name there
    ],
)
def test_a_tensor_beyond_its_numbers_is_refused(tmp_path, lie):
    path, held = tmp_path / "w.pth", np.arange(4, dtype="<f4").tobytes()
    zipped(path, state(**lie), **{"data/0": held})
    with pytest.raises(InputError, match=r"w\.pth: "):
        read(path, {"w": (2, 2)})
    count = struct.pack("<q", lie.get("count", 4))
    head = weights._MAGIC, weights._PROTOCOL, {"little_endian": True}
    legacy(path, *head, state(**lie), ["0"], tail=count + held)
    with pytest.raises(InputError, match=r"w\.pth: "):
        read(path, {"w": (2, 2)})


def test_packed_again_or_big_endian_is_refused(tmp_path):
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", state())
    assert refusal(path).startswith("was packed again")
    zipped(path, state(), byteorder=b"big")
    assert refusal(path).startswith("has big-endian numbers")
    legacy(path, weights._MAGIC, weights._PROTOCOL, {"little_endian": False}, state())
    assert refusal(path).startswith("has big-endian numbers")


@pytest.mark.parametrize("file", FILES)
def test_any_damage_is_one_line_or_costs_only_numbers(tmp_path, file):
    content, path = (ORACLES / file).read_bytes(), tmp_path / "w.pth"
    for at in range(0, len(content), 101):
        path.write_bytes(content[:at])
        refusal(path)
    for at in range(0, len(content), 13):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        try:
            found = read(path)
        except InputError:
            continue
        assert {name: x.shape for name, x in found.items()} == SHAPES
