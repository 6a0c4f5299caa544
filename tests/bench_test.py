"""experiments/bench.py and the engine's suite: they run, and their tables hold what was measured."""

import json

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from experiments import bench
from experiments.suites import engine
from fpu import InputError

pytestmark = pytest.mark.usefixtures("quick_compiles")


@pytest.fixture
def small(monkeypatch):
    """One small network, few rounds, and no peers (their import alone takes seconds)."""
    network = ("vae dense", "vae", {"width": 8, "depth": 1, "latent": 2}, "tiny", (8, 8, 1))
    for name, value in (
        ("NETWORKS", (network,)),
        ("PEERS", ()),
        ("MEMORY", (0,)),
        ("BATCHES", (32,)),
        ("CELLS", (2,)),
        ("BATCH", 8),
        ("ROUNDS", 2),
    ):
        monkeypatch.setattr(engine, name, value)
    monkeypatch.setattr(engine.models, "MODELS", ("vae",))


def test_the_engine_is_measured_and_written_down(small, tmp_path, capsys):
    flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(suite="engine", out=str(tmp_path)):
        bench.main(["bench"])
    result = json.loads((tmp_path / "engine.json").read_text())
    assert result["command"] == "python -m experiments.bench --suite=engine"
    (row,) = result["ratios"]
    assert row["fast_over_plain"][1] <= row["fast_over_plain"][0] <= row["fast_over_plain"][2]
    assert row["rules"]["ghost"] > 0
    (row,) = result["memory"]
    assert row["fast, microbatch 64"] == row["fast"] < row["vmap"]
    assert result["cells"][0]["cell_steps_per_second"]["2"] > 0
    written = (tmp_path / "engine.md").read_text()
    assert "| vae dense | 8 |" in written
    assert written.split("\n\n", 1)[1] in capsys.readouterr().out


def test_ratios_are_taken_within_a_round():
    seconds = {"a": [1.0, 10.0, 3.0], "b": [1.0, 5.0, 1.0]}
    assert engine._ratio(seconds, "a", "b") == [2.0, 1.5, 2.5]
    assert np.median(seconds["a"]) / np.median(seconds["b"]) != 2.0


def test_an_unknown_suite_is_refused():
    flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(suite="engin"), pytest.raises(InputError, match="did you mean engine"):
        bench.main(["bench"])
