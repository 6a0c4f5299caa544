"""Imports point one way: which room of the house may know of which. ROOMS reads from the ground up."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
# They do not know how a generator was trained.
JUDGES = {"intervals", "utility", "fidelity", "privacy"}
ROOMS = {  # room: the rooms it may import
    "intervals": set(),
    "neighbours": set(),
    "dp": set(),
    "distributed": set(),
    "files": set(),
    "models": set(),
    "data": {"files"},
    "priors": {"dp", "models", "files", "data", "neighbours"},
    "baselines": {"dp", "models", "priors"},
    "training": {"dp", "models", "baselines", "files", "distributed"},
    "utility": {"intervals", "files", "distributed", "dp", "models", "priors"},
    "fidelity": {"intervals", "neighbours", "utility"},
    "privacy": {"intervals", "neighbours", "data", "dp"},
    "evaluation": JUDGES | {"data", "neighbours", "priors"},
    "crossfit": JUDGES | {"neighbours"},
    "release": {"files", "data", "dp", "models", "priors", "baselines"},
    "record": {"files", "data", "dp"},
    "report": {"files", "dp", "privacy", "record", "baselines", "models", "intervals"},
}
ROOMS["pipeline"] = set(ROOMS)
ROOMS["commands"] = set(ROOMS)


def imports(path):
    """Names of the project's modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports by a relative name"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in ("fpu", "experiments", "tests")}


def rooms(path):
    """The rooms of fpu that a file imports."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("fpu.")} & set(ROOMS)


def test_the_walk_sees_imports_of_every_form():
    assert {"fpu.models.layers", "fpu.models.Model"} <= imports(ROOT / "fpu/models/vae.py")
    assert "files" in rooms(ROOT / "fpu/data/npz.py")


def test_every_room_is_on_the_plan():
    built = {p.stem for p in (ROOT / "fpu").iterdir() if p.suffix == ".py" or p.is_dir()}
    assert built - {"__init__", "__main__", "__pycache__"} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_it_may(room):
    paths = [ROOT / "fpu" / f"{room}.py", *(ROOT / "fpu" / room).glob("**/*.py")]
    for path in filter(pathlib.Path.is_file, paths):
        assert rooms(path) <= ROOMS[room] | {room}, path
        assert all(name.split(".")[0] == "fpu" for name in imports(path)), path


def test_the_plan_has_no_circle():
    order = list(ROOMS)
    for room, below in ROOMS.items():
        assert all(order.index(other) < order.index(room) for other in below), room
