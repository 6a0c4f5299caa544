"""experiments/bench.py and the engine's suite: they run, and their tables hold what was measured."""

import json
import signal
from unittest import mock

import jax
import numpy as np
import pytest
from scipy import stats

from experiments import bench
from experiments.suites import ablation, attacks, devices, engine, faults, fidelity, grid
from fpu import InputError, data
from fpu.pipeline import cost, run, settings

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
    bench.bench("engine", str(tmp_path), "digits", None)
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
    with pytest.raises(InputError, match="did you mean engine"):
        bench.bench("engin", None, "digits", None)


def bench_suite(suite, tmp_path):
    """What the suite wrote about the digits: its JSON, and its table."""
    bench.bench(suite, str(tmp_path), "digits", None)
    assert (tmp_path / f"{suite}-digits.png").read_bytes().startswith(b"\x89PNG")
    written = (tmp_path / f"{suite}-digits.md").read_text()
    return json.loads((tmp_path / f"{suite}-digits.json").read_text()), written


def test_metrics_are_calibrated_on_fresh_images(monkeypatch, tmp_path):
    monkeypatch.setattr(fidelity, "COUNTS", (60, 5000))  # the second is more than there are
    monkeypatch.setattr(fidelity, "REPEATS", 3)
    monkeypatch.setattr(fidelity.classifier, "STEPS", 20)
    result, table = bench_suite("fidelity", tmp_path)
    assert result["command"] == "python -m experiments.bench --suite=fidelity --dataset=digits"
    rows = {row["metric"]: row for row in result["rows"]}
    assert {row["n"] for row in result["rows"]} == {60}
    assert abs(rows["kid"]["mean"]) < 4 * rows["kid"]["sd"]
    assert rows["precision"]["mean"] > 0.9
    assert "200 are needed" in rows["fd"]["reason"] or "128 are needed" in rows["fd"]["reason"]
    assert "| fd | null |" in table


def test_attacks_are_calibrated_where_there_is_something_to_find(monkeypatch, tmp_path):
    generators = (("copycat", float("inf"), None), ("gaussian", 10.0, None))
    for name, value in (
        ("COUNTS", (30,)),
        ("GENERATORS", generators),
        ("SIZES", (40,)),
        ("CLAIMS", (10.0,)),
    ):
        monkeypatch.setattr(attacks, name, value)
    monkeypatch.setattr(attacks.classifier, "STEPS", 20)
    result, table = bench_suite("attacks", tmp_path)
    found = {(row["model"], row["attack"]): row["auc"][0] for row in result["powers"]}
    assert found["copycat", "nearest"] > 0.99
    assert 0.2 < found["gaussian", "domias"] < 0.8
    assert all(row["ceiling"] <= row["limit"] for row in result["ceilings"])
    assert "| gaussian | 10.0 | 30 |" in table


def test_gains_are_paired_with_the_base_of_the_same_seed(monkeypatch, tmp_path):
    for name, value in (
        ("N", 60),
        ("SEEDS", (0, 1)),
        ("MODELS", ("vae",)),
        ("PARTS", {"stages": ({"steps": 3}, (10.0,))}),
        (
            "SWITCHES",
            (
                ("stages", "bare draws", ("vae",), {"model": "gaussian", "steps": None}),
                ("dp-sgd", "not of this part", ("vae",), {}),
            ),
        ),
    ):
        monkeypatch.setattr(ablation, name, value)
    monkeypatch.setattr(ablation.classifier, "train", quick_training(ablation.classifier.train))
    result, table = bench_suite("ablation", tmp_path)
    base, bare = result["rows"]
    assert (base["switch"], bare["switch"]) == ("base", "bare draws")
    assert bare["gain"]["mean"] == pytest.approx(
        np.mean(bare["accuracy"]) - np.mean(base["accuracy"])
    )
    assert bare["gain"]["low"] <= bare["gain"]["mean"] <= bare["gain"]["high"]
    assert "| stages | vae, ε = 10 |" in table


def quick_training(train):
    return lambda *args, seed: train(*args, seed=seed, steps=20)


def test_a_gain_is_that_of_a_paired_t_test():
    a, b = np.random.default_rng(0).normal(size=(2, 7))
    oracle = stats.ttest_rel(a, b).confidence_interval(0.95)
    found = ablation.gain(a, b)
    np.testing.assert_allclose([found["low"], found["high"]], oracle)


def test_the_validation_part_holds_no_member_and_no_test_image(monkeypatch):
    """What an ablation is judged on was not seen by its run, and settings may be chosen by it."""
    options = settings.Options("gaussian", n_train=60, eps=10.0)
    dataset, split, _ = run.resolve(options)
    blind = mock.Mock(side_effect=lambda params, images: np.zeros((len(images), 10)))
    monkeypatch.setattr(ablation.classifier, "logits", blind)
    ablation._accuracy.__wrapped__(options)
    (_, judged), _ = blind.call_args
    seen = {x.tobytes() for x in judged}
    train = {dataset.images[i].tobytes() for i in np.flatnonzero(dataset.split == data.TRAIN)}
    members = {dataset.images[i].tobytes() for i in split.members}
    assert seen <= train
    assert not seen & members


# A run of a moment: it writes a release, then a record that holds its seconds.
CHILD = """
import json, pathlib, sys, time
flags = dict(a[2:].split("=", 1) for a in sys.argv[1:])
run = pathlib.Path(flags["workdir"])
(run / "release").mkdir(parents=True, exist_ok=True)
time.sleep(0.3)
(run / "release" / "synthetic.npz").write_bytes(NAME)
time.sleep(0.3)
record = {"model": flags["model"], "cost": {"seconds": time.time()}}
(run / "record.json").write_text(json.dumps(record))
"""


@pytest.mark.parametrize(
    ("name", "equal"), [("b'same'", True), ("run.parent.name.encode()", False)]
)
def test_killed_runs_are_compared_bitwise_with_one_left_alone(monkeypatch, tmp_path, name, equal):
    for key, value in (
        ("MODELS", ("vae",)),
        ("KILLS", (signal.SIGKILL,)),
        ("_CHILD", CHILD.replace("NAME", name)),
    ):
        monkeypatch.setattr(faults, key, value)
    bench.bench("faults", str(tmp_path), "digits", None)
    (row,) = json.loads((tmp_path / "faults.json").read_text())["rows"]
    table = (tmp_path / "faults.md").read_text()
    assert row["equal"] is equal
    assert f"| vae | SIGKILL | 1 | {row['place']} 1 | {int(equal)} |" in table


def test_a_grid_of_cells_is_priced_and_so_is_the_papers(monkeypatch, tmp_path):
    def price(model, recipe, spec, sgd, count, calls):
        """A machine that does eight cells in the time of one."""
        return cost.Price(sgd.steps, max(0.01, 0.01 * count / 8), 2**20 * count, 1e9 * count)

    monkeypatch.setattr(grid.prices, "price", price)
    monkeypatch.setitem(grid.PEAKS, grid.jax.devices()[0].device_kind, 8e12)
    bench.bench("grid", str(tmp_path), "digits", None)
    result = json.loads((tmp_path / "grid.json").read_text())
    assert result["rows"][0]["cell_steps_per_second"] == {"1": 100, "4": 400, "16": 800}
    vae = result["paper"][0]
    assert (vae["steps"], vae["trainings"]) == (20_000, 9 * 3 * 21)
    assert vae["hours"] == round(0.01 * 20_000 * 567 / 3600, 1)
    table = (tmp_path / "grid.md").read_text()
    assert "| vae dense | 8 | 100 | 400 | 800 | 8.0 | 16 | 800 | 10.0 |" in table
    assert grid.table(result | {"peak_gigaflops_per_second": None}).count("| – |") == 9
    assert "| ddpm | 20,000 | 567 | 32 |" in table


def test_devices_are_compared_within_a_round(monkeypatch, tmp_path):
    """One device here, which is as fast as itself; tests/support/four_devices.py has what several compute."""
    assert jax.device_count() == 1  # and from now on it cannot be otherwise
    monkeypatch.setenv("NPROC", "2")
    network = ("vae dense", "vae", "tiny", {"width": 8, "depth": 1, "latent": 2}, 8)
    for name, value in (("NETWORKS", (network,)), ("ROUNDS", 2), ("N", 20), ("DRAWS", 10)):
        monkeypatch.setattr(devices, name, value)
    monkeypatch.setattr(devices, "BATCH", {"cpu": 5})
    bench.bench("devices", str(tmp_path), "digits", None)
    result = json.loads((tmp_path / "devices.json").read_text())
    assert (result["counts"], result["fake"]) == ([1], True)
    assert [(row["what"], row["gain"]) for row in result["rows"]] == [
        ("step", {"1": [1.0, 1.0, 1.0]}),
        ("draw", {"1": [1.0, 1.0, 1.0]}),
    ]
    assert devices._gain([1.0, 9.0, 2.0], [0.5, 3.0, 2.0]) == [2.0, 1.5, 2.5]
    two = result | {"counts": [1, 2]}
    for row in two["rows"]:
        row["gain"]["2"] = [1.9, 1.8, 2.0]
    assert "1.90 [1.80, 2.00]" in devices.table(two)
