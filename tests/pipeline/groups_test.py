"""fpu/pipeline/groups.py: cells of one program end where runs alone end, are stopped and go on; what they cost."""

import dataclasses
import functools
import json
import pathlib

import jax
import numpy as np
import pytest
from quick_run import TINY

from fpu import training
from fpu.dp import accounting
from fpu.pipeline import cost, generator, groups, jobs, keep, run, sweep, workdir
from fpu.pipeline.settings import Options
from fpu.training import checkpoint

pytestmark = pytest.mark.usefixtures("plain")
BOTH = Options(
    model="vae", eps=10.0, n_per_class=10, warmup_share=0.5, draw_steps=7, steps=5, n_samples=20,
    noise_seed=1, set=TINY,
)  # fmt: skip
CELLS = [BOTH, dataclasses.replace(BOTH, seed=1), dataclasses.replace(BOTH, eps=3.0)]


@pytest.fixture(autouse=True)
def _three_calls(quick, monkeypatch):
    """For a stage, and noise that nobody has solved for."""
    monkeypatch.setattr(training.loop, "STEPS_PER_CALL", 3)
    monkeypatch.setattr(accounting, "calibrate", lambda make_plan, eps: make_plan(3 / eps))
    monkeypatch.setattr(accounting, "epsilon", lambda plan: (1.0, "pld"))


def inside(folder, wanted=CELLS) -> list[Options]:
    places = [str(folder / str(i)) for i in range(len(wanted))]
    return [dataclasses.replace(o, workdir=w) for o, w in zip(wanted, places, strict=True)]


def ends(wanted, stage="0"):
    places = [pathlib.Path(options.workdir) / "checkpoints" / stage for options in wanted]
    return [checkpoint.averaged(place) for place in places]


@functools.cache
def grouped(folder):
    """The options of the three cells after they were trained as a group, and where they ended."""
    wanted = inside(folder / "grouped")
    groups.train_group(wanted)
    return wanted, ends(wanted)


def test_cells_of_a_group_end_where_runs_alone_end(tmp_path, monkeypatch, tmp_path_factory):
    wanted, ended = grouped(tmp_path_factory.getbasetemp())
    assert workdir.note(pathlib.Path(wanted[2].workdir))["cells"] == 3
    for options, end in zip(inside(tmp_path), ended, strict=True):
        job, folder = jobs.prepare(options), pathlib.Path(options.workdir)
        folder.mkdir(parents=True)
        key = workdir.secret_key(folder, options.noise_seed)
        generator.trained(job, folder, key, jax.random.key(options.seed))
        for mine, other in zip(*map(jax.tree.leaves, (*ends([options]), end)), strict=True):
            np.testing.assert_allclose(mine, other, atol=2e-4)
    for a, b in ((0, 1), (0, 2), (1, 2)):  # and nowhere else: neither pool nor noise was shared
        far = jax.tree.map(lambda x, y: np.abs(x - y).max(), ended[a], ended[b])
        assert max(jax.tree.leaves(far)) > 1e-2

    # What comes after finds a training that has ended, and trains no step.
    steps = []
    compiled = training.compiled

    def counted(*arguments, **named):
        made = compiled(*arguments, **named)
        return made._replace(run=lambda *a: steps.append(1) or made.run(*a))

    monkeypatch.setattr(training.loop, "compiled", counted)
    folder = run.run(wanted[1])
    assert steps == []
    cost = json.loads((folder / "record.json").read_text())["cost"]
    assert cost["trained_side_by_side"] == 3
    assert cost["seconds"]["train"] >= workdir.note(folder)["seconds"] > 0


def test_a_group_that_was_stopped_ends_where_it_would_have(tmp_path, monkeypatch, tmp_path_factory):
    monkeypatch.setattr(keep, "SECONDS", 0.0)  # a checkpoint after every call
    wanted, save = inside(tmp_path), checkpoint.save
    for stage in ("warmup", "0"):

        def dies(folder, step, state, layout, stage=stage):
            if folder == tmp_path / "1" / "checkpoints" / stage and step > 3:
                raise KeyboardInterrupt  # the first cell is a checkpoint ahead
            save(folder, step, state, layout)

        monkeypatch.setattr(checkpoint, "save", dies)
        with pytest.raises(KeyboardInterrupt):
            groups.train_group(wanted)
        kept = [checkpoint.steps(tmp_path / str(i) / "checkpoints" / stage) for i in range(3)]
        assert kept[0][-1] > kept[1][-1] == 3
    monkeypatch.setattr(checkpoint, "save", save)
    groups.train_group(wanted)
    for a, b in zip(ends(wanted), grouped(tmp_path_factory.getbasetemp())[1], strict=True):
        jax.tree.map(np.testing.assert_array_equal, a, b)


def test_groups_hold_what_shares_a_program_and_lose_no_run():
    wanted = [
        BOTH,
        dataclasses.replace(BOTH, eps=3.0),
        Options(model="gaussian", eps=1.0),
        dataclasses.replace(BOTH, n_per_class=11),
        dataclasses.replace(BOTH, seed=5),
        dataclasses.replace(BOTH, steps=6),
        Options(model="vae", eps=1.0, dataset="no such data"),
    ]
    numbers = [[wanted.index(o) for o in group] for group in groups.formed(wanted, 2, sweep.folder)]
    assert sorted(numbers) == [[0, 1], [2], [3], [4], [5], [6]]
    # A CPU takes one at a time.
    assert groups.formed(wanted, 0, sweep.folder) == [[options] for options in wanted]


def test_runs_that_are_trained_already_are_not_grouped_with_others(monkeypatch, tmp_path):
    wanted = [dataclasses.replace(BOTH, seed=seed) for seed in range(5)]
    held = {0: {"warmup": [7], "0": [3, 5]}, 1: {"warmup": [7], "0": [5]}, 2: {"warmup": [3]}}

    def steps(place):
        return held.get(int(place.parts[-3]), {}).get(place.name, [])

    monkeypatch.setattr(checkpoint, "steps", steps)
    priced = []
    monkeypatch.setattr(cost, "most", lambda *job: priced.append(job) or 4)
    monkeypatch.setattr(groups.jax, "default_backend", lambda: "gpu")
    found = groups.formed(wanted, None, lambda options: tmp_path / str(options.seed))
    assert len(priced) == 1
    assert [[o.seed for o in group] for group in found] == [[0, 1], [2], [3, 4]]


def test_more_memory_holds_more_cells(monkeypatch):
    job = jobs.prepare(BOTH)
    stages = cost.stages(job.trainer, job.plan)
    assert [price.steps for price in stages] == [7, 5]
    most = max(price.bytes for price in stages)
    monkeypatch.setattr(cost, "stages", lambda *_: stages)  # each call compiles all
    limits = (0, 10.5 * most, 100.5 * most)
    assert [cost.most(job.trainer, job.plan, limit) for limit in limits] == [1, 7, 70]
    assert cost.most(job.trainer, job.plan) == 1
    assert all(price.seconds > 0 and price.flops > 1e4 for price in stages)


def test_a_sweep_in_groups_has_every_record_whatever_one_cell_does(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    wanted = [*CELLS, Options(model="gaussian", eps=1.0, n_per_class=10, n_samples=20)]
    taken = pathlib.Path("runs") / sweep.name(wanted[2])
    taken.mkdir(parents=True)
    (taken / "stranger").write_text("")
    failed, refuted = sweep.sweep(wanted, pathlib.Path("out"), at_once=2)
    assert (failed, refuted) == ([sweep.name(wanted[2])], [])
    made = {path.name.removesuffix(".record.json") for path in pathlib.Path("out").iterdir()}
    assert made == {sweep.name(options) for options in wanted} - set(failed)
    told = capsys.readouterr().err
    assert "training 2 runs side by side" in told
    assert "[4/4]" in told
