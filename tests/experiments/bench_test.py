"""experiments/bench.py and its suites: each runs at the smallest size, and its table holds what was measured."""

import dataclasses
import json
import math
import signal
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import shared_run
import tiny_prior

from experiments import bench
from experiments.suites import (
    attacks,
    devices,
    engine,
    faults,
    fidelity,
    field,
    grid,
    stage,
    timing,
)
from fpu import InputError, models
from fpu.data import npz
from fpu.pipeline import cost


@pytest.fixture
def run_suite(monkeypatch, tmp_path, capsys):
    """(name, module, smaller constants) -> the suite's result as it was written, and its table."""

    def run(name, module, **constants):
        for constant, value in constants.items():
            monkeypatch.setattr(module, constant, value)
        bench.bench(name, str(tmp_path), "digits", None)
        (path,) = tmp_path.glob(f"{name}*.json")
        result, table = json.loads(path.read_text()), path.with_suffix(".md").read_text()
        command, _, printed = table.partition("\n\n")
        assert command == f"`{result['command']}`"
        assert printed in capsys.readouterr().out
        return result, table

    return run


def test_an_unknown_suite_is_refused():
    with pytest.raises(InputError, match="did you mean engine"):
        bench.bench("engin", None, "digits", None)


@dataclasses.dataclass(frozen=True)
class Linear:
    """The config of the smallest model there is: one matrix."""

    width: int = 256


def linear(config, spec):
    """A models.Model whose loss is the squared length of a linear map of the image."""

    def init(key):
        shape = math.prod(spec.shape), config.width
        return {"private": {"matrix": jax.random.normal(key, shape)}, "public": {}}

    def loss(private, public, example, step, key):
        del public, step, key
        return jnp.sum(jnp.square(example.image.reshape(1, -1) @ private["matrix"])), {}

    def sample(params, key, labels, codes):
        noise = jax.random.normal(key, (len(labels), params["private"]["matrix"].shape[1]))
        return (noise @ params["private"]["matrix"].T).reshape(len(labels), *spec.shape)

    return models.Model(init, loss, None, sample, lambda params, example, key: {})


@pytest.fixture
def one_linear_model(monkeypatch):
    """The suites find this model alone, which compiles in a moment."""
    module = types.SimpleNamespace(SIZES={"tiny": Linear()}, make=linear)
    monkeypatch.setattr(models, "MODELS", ("linear",))
    monkeypatch.setattr(models, "load", lambda name: module)


def test_the_engine_is_measured(run_suite, one_linear_model):
    """Without the peers: their import alone takes seconds."""
    network = ("one matrix", "linear", {}, "tiny", (8, 8, 1))
    sizes = {"NETWORKS": (network,), "PEERS": (), "MEMORY": (0,), "BATCHES": (32,)}
    result, table = run_suite("engine", engine, BATCH=8, ROUNDS=2, **sizes)
    assert result["command"] == "python -m experiments.bench --suite=engine"
    (row,) = result["ratios"]
    assert row["fast_over_plain"][1] <= row["fast_over_plain"][0] <= row["fast_over_plain"][2]
    assert row["rules"]["ghost"] > 0
    (row,) = result["memory"]
    assert row["fast, microbatch 64"] == row["fast"] < row["vmap"]
    assert "| one matrix | 8 |" in table


def test_ratios_are_taken_within_a_round():
    seconds = {"a": [1.0, 10.0, 3.0], "b": [1.0, 5.0, 1.0]}
    assert timing.ratio(seconds["a"], seconds["b"]) == [2.0, 1.5, 2.5]
    assert np.median(seconds["a"]) / np.median(seconds["b"]) != 2.0


def test_metrics_are_calibrated_on_fresh_images(run_suite, monkeypatch):
    monkeypatch.setattr(fidelity.classifier, "STEPS", 20)
    # the second count is more than there are images
    result, table = run_suite("fidelity", fidelity, COUNTS=(60, 5000), REPEATS=3)
    assert result["command"] == "python -m experiments.bench --suite=fidelity --dataset=digits"
    rows = {row["metric"]: row for row in result["rows"]}
    assert {row["n"] for row in result["rows"]} == {60}
    assert abs(rows["kid"]["mean"]) < 4 * rows["kid"]["sd"]
    assert rows["precision"]["mean"] > 0.9
    assert "200 are needed" in rows["fd"]["reason"] or "128 are needed" in rows["fd"]["reason"]
    assert "| fd | null |" in table


def test_a_stage_of_dpsgd_is_paired_with_the_whole_budget(run_suite, monkeypatch, calls_of):
    tiny_prior.install(monkeypatch)
    learning = stage.jobs.defaults.defaults
    monkeypatch.setattr(
        stage.jobs.defaults, "defaults", lambda *a, **k: learning(*a, **k)._replace(steps=2)
    )
    monkeypatch.setattr(stage.jobs.defaults, "draw_steps", lambda *a: 2)
    shared_run.replace_vae(monkeypatch)
    monkeypatch.setattr(stage.train.warmup, "DRAWS", 60)
    protocols = stage.protocols.PROTOCOLS
    monkeypatch.setitem(protocols, "quick", protocols["quick"]._replace(steps=2))
    taught = calls_of(stage.train.warmup, "pretrain")
    sizes = {"EPS": (5.0,), "SHARES": (0.5,), "SEEDS": 1, "IMAGES": 100, "MODEL": "vae"}
    result, table = run_suite("stage", stage, PER_CLASS={"digits": (20,)}, **sizes)
    rows = [(one["share"], one["trained"]) for one in result["rows"]]
    assert rows == [(1.0, "none"), (0.5, "before"), (0.5, "all"), (0.5, "few")]
    assert len(taught) == 2  # all and few go on from one start
    assert {(one["n"], one["eps"]) for one in result["rows"]} == {(200, 5.0)}
    assert result["judged_on"] == "training images that are no members"
    base, *others = result["rows"]
    gains = [f"{one['accuracy'] - base['accuracy']:+.3g}" for one in others]
    assert all(gain in line for gain, line in zip(gains, table.splitlines()[-3:], strict=True))


def test_attacks_are_calibrated_where_there_is_something_to_find(run_suite):
    sizes = {"PER_CLASS": (3,), "SEEDS": (0,), "IMAGES": 200, "SIZES": (40,), "CLAIMS": (10.0,)}
    generators = (("copycat", math.inf, None), ("fresh", math.inf, None))  # nothing to compile
    result, table = run_suite("attacks", attacks, GENERATORS=generators, **sizes)
    aucs = {(row["model"], row["attack"]): row["auc"][0] for row in result["powers"]}
    assert aucs["copycat", "nearest"] > 0.99
    assert 0.2 < aucs["fresh", "domias"] < 0.8
    assert all(row["ceiling"] <= row["limit"] for row in result["ceilings"])
    assert "| fresh | inf | 30 |" in table


# A run of a moment: it writes a release, then a record that holds its seconds.
CHILD = """
import json, pathlib, sys, time
flags = dict(a[2:].split("=", 1) for a in sys.argv[1:])
run = pathlib.Path(flags["workdir"])
(run / "release").mkdir(parents=True, exist_ok=True)
time.sleep(0.2)
(run / "release" / "synthetic.npz").write_bytes(CONTENT)
time.sleep(0.2)
record = {"model": flags["model"], "cost": {"seconds": time.time()}}
(run / "record.json").write_text(json.dumps(record))
"""


@pytest.mark.parametrize(
    ("content", "equal"), [("b'same'", True), ("run.parent.name.encode()", False)]
)
def test_killed_runs_are_compared_bitwise_with_an_undisturbed_run(run_suite, content, equal):
    child = CHILD.replace("CONTENT", content)
    few = {"MODELS": ("vae",), "KILLS": (signal.SIGKILL,)}
    result, table = run_suite("faults", faults, _CHILD=child, **few)
    (row,) = result["rows"]
    assert row["equal"] is equal
    assert f"| vae | SIGKILL | 1 | {row['place']} 1 | {int(equal)} |" in table


def test_a_grid_of_cells_is_timed_and_so_is_the_papers(run_suite, monkeypatch):
    def price(model, recipe, spec, sgd, count, calls):
        """A machine that does eight cells in the time of one."""
        return cost.Price(sgd.steps, max(0.01, 0.01 * count / 8), 2**20 * count, 1e9 * count)

    monkeypatch.setattr(cost, "price", price)
    monkeypatch.setitem(grid.PEAKS, jax.devices()[0].device_kind, 8e12)
    result, table = run_suite("grid", grid)
    assert result["rows"][0]["cell_steps_per_second"] == {"1": 100, "4": 400, "16": 800}
    vae = result["paper"][0]
    assert (vae["steps"], vae["trainings"]) == (20_000, 9 * 3 * 21)
    assert vae["hours"] == round(0.01 * 20_000 * 567 / 3600, 1)
    assert "| vae dense | 8 | 100 | 400 | 800 | 8.0 | 16 | 800 | 10.0 |" in table
    assert grid.table(result | {"peak_gigaflops_per_second": None}).count("| – |") == 9
    assert "| ddpm | 20,000 | 567 | 32 |" in table


def test_devices_are_compared_within_a_round(run_suite, one_linear_model, monkeypatch):
    """One device here, as fast as itself; tests/support/four_devices.py has what several compute."""
    assert jax.device_count() == 1  # and from now on it cannot be otherwise
    monkeypatch.setenv("NPROC", "2")
    network = ("one matrix", "linear", "tiny", {}, 8)
    sizes = {"NETWORKS": (network,), "ROUNDS": 2, "N": 20, "DRAWS": 10, "BATCH": {"cpu": 5}}
    result, _ = run_suite("devices", devices, **sizes)
    assert (result["counts"], result["fake"]) == ([1], True)
    same = {"1": [1.0, 1.0, 1.0]}
    assert [(row["what"], row["gain"]) for row in result["rows"]] == [
        ("step", same),
        ("draw", same),
    ]
    result["counts"] = [1, 2]
    for row in result["rows"]:
        row["gain"]["2"] = [1.9, 1.8, 2.0]
    assert "1.90 [1.80, 2.00]" in devices.table(result)


def test_field_has_a_ceiling_for_each_data_set(run_suite, monkeypatch):
    def train_and_test(train, test, n_classes, *, seed, seeds, steps, network):
        assert (seeds, steps, network) == (3, 30, field.field)
        assert (len(train[0]), len(test[0]), n_classes) == (1437, 360, 10)
        value = {"value": 0.98765, "low": 0.98, "high": 0.99, "n": len(test[0])}
        return {"accuracy": value, "auc": value}

    monkeypatch.setattr(field.metrics, "train_and_test", train_and_test)
    result, table = run_suite("field", field, STEPS=30)
    (row,) = result["rows"]
    assert (row["dataset"], row["n"], row["side"]) == ("digits", 1437, 8)
    assert "| digits | 1,437 | 8 | 98.77 [98.00, 99.00] |" in table
    lines = []
    found = field.measure(lines.append, "all", None)
    assert [row["dataset"] for row in found["rows"]] == ["digits"]
    assert sum("left out" in line for line in lines) == 3


def test_field_calls_a_file_by_its_name(tmp_path, monkeypatch):
    arrays = {"images": np.zeros((20, 8, 8), np.uint8), "labels": np.arange(20) % 2}
    splits = {f"{split}_{part}": x for split in npz.SPLITS for part, x in arrays.items()}
    np.savez(tmp_path / "draws.npz", **splits)
    monkeypatch.setattr(field, "ceiling", lambda dataset: {"dataset": dataset.name, "seconds": 0.0})
    assert field.measure(print, str(tmp_path / "draws.npz"), None)["dataset"] == "draws"
