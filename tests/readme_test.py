"""The commands in the READMEs, in the order in which they are pasted: flags that exist, values that are taken, files
that are there by then, and no folder that two runs share. The example of "As a library" runs as it stands.
"""

import dataclasses
import importlib.util
import os
import pathlib
import re
import shlex
import types

import dp_accounting as dpa
import pytest
import toy
from dp_accounting import pld

from fpu.dp.plan import longest_move
from fpu.pipeline import forecast, jobs, refusals, settings, sweep, workdir

ROOT = pathlib.Path(__file__).parents[1]
TEXTS = ("README.md", "experiments/README.md", "fpu/priors/README.md", "fpu/fidelity/README.md")
YOURS = {"scans.npz", "path/to/folder", "public.npz", "runs/NAME/release"}  # what a reader has
RUN = {"dry_run", "process"}  # flags of a run that are no Options


def commands(text):
    """(name, flags as [name, value] lists, other words) of each command of its sh blocks, in order."""
    for block in re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            match = re.match(r" *(?:uv run )?python -m experiments\.(\w+)(.*)", line)
            if match:
                yield match[1], *parsed(shlex.split(match[2], comments=True))


def parsed(words):
    given, rest = [], []
    for word in words:
        if given and given[-1] == ["set"]:
            given[-1].append(word)
        elif word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            given.append([name] if name == "set" and not equals else [name, value])
        else:
            rest.append(word)
    return given, rest


def flags_of(name, monkeypatch):
    """The names that a command defines."""
    names = set()
    kinds = ("string", "multi_string", "bool", "integer", "float", "list")
    noted = {f"DEFINE_{kind}": lambda name, *_: names.add(name) for kind in kinds}
    inside = importlib.util.find_spec(f"fpu.commands.{name}")
    command = importlib.import_module(f"{'fpu.commands' if inside else 'experiments'}.{name}")
    for module in (command, settings):
        monkeypatch.setattr(module, "flags", types.SimpleNamespace(**noted), raising=False)
    command.define_flags()
    return names


@pytest.fixture
def small_data(monkeypatch):
    """Every data set is a small one of its name; priors are not made."""
    small = toy.dataset([150, 150], test=[50, 50])

    def load(name, *_, **__):
        return dataclasses.replace(small, name=pathlib.Path(name).stem)

    monkeypatch.setattr(jobs.data, "load", load)
    monkeypatch.setattr(jobs.prior, "load", lambda *_: None)


@pytest.mark.parametrize("path", TEXTS)
def test_blocks_work_when_pasted_one_after_the_other(path, small_data, monkeypatch):
    there, folders, seen = set(YOURS), [], 0
    for name, given, rest in commands((ROOT / path).read_text(encoding="utf-8")):
        seen += 1
        given = [pair if len(pair) == 2 else [pair[0], ""] for pair in given]
        assert {flag for flag, _ in given} <= flags_of(name, monkeypatch), (path, name)
        if name == "run":
            axes = [f"{flag}={value}" for flag, value in given if flag not in RUN]
            (options,) = sweep.cells(axes)
            refusals.check(options)
            folders.append(workdir.place(jobs.prepare(options)))
            assert (options.dataset in there) == ("/" in options.dataset or "." in options.dataset)
        elif name == "sweep":
            values = dict(given)
            axes = [value for flag, value in given if flag == "set"]
            assert sweep.cells(axes, values.get("preset"))
            there |= {values["out"]} if "out" in values else set()
        for flag, value in given:
            if flag in ("release", "synthetic", "members"):
                assert value in there, (path, name, value)
            if flag == "out" and name not in ("sweep", "bench"):
                assert value not in there, (path, name, value)
                there.add(value)
        if name in ("report", "collect"):
            assert rest[0] in there
    assert len(set(folders)) == len(folders)
    assert seen > 0


def test_a_dry_run_says_plan_noise_minutes_and_files_and_leaves_none(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(forecast, "_step", lambda job: 0.01)
    said = forecast.of_run(settings.Options(model="gaussian", eps=1.0, n_per_class=5))
    assert "differentially private" in said[0]
    assert re.match(r"members: 50, noise multiplier: [\d.]+$", said[1])
    assert re.search(r"about [\d.]+ (s|min) with judging", said[2])
    assert said[3].startswith("runs/gaussian-digits-eps1-5each-seed0: release/, report.html")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def ran():
    """(names the block leaves behind, what it printed)."""
    section = (
        (ROOT / "README.md")
        .read_text(encoding="utf-8")
        .split("\n## As a library\n")[1]
        .split("\n## ")[0]
    )
    (block,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    printed, names = [], {"print": lambda *words: printed.append(" ".join(map(str, words)))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "urandom", lambda count: bytes(range(count)))  # a test must repeat
        exec(compile(block, "README.md", "exec"), names)
    return names, printed, block


def test_the_example_learns(ran):
    names, printed, _ = ran
    accuracy = (names["guesses"] == names["labels"][names["test"]]).mean()
    assert accuracy > 0.85  # guessing: 0.1
    assert printed[1].startswith(f"accuracy on the test set: {accuracy:.3f}"[:-1])


def test_the_statement_is_what_dp_accounting_says_of_its_own_words(ran):
    (statement, *_), names = ran[1], ran[0]
    number = r"([0-9][0-9.,e-]*)"
    found = re.search(
        rf"is \({number}, {number}\)-diff.*: {number} steps .* at rate {number} of n = {number} "
        rf"\(at most {number} kept.* noise multiplier {number}\.",
        statement,
    )
    eps, delta, steps, rate, n, kept, noise = (float(x.replace(",", "")) for x in found.groups())
    assert (delta, steps, n) == (1e-5, 200, names["train"].sum())
    assert (rate, noise) == pytest.approx((256 / n, names["plan"].sgd().noise_multiplier), rel=1e-5)
    noise /= longest_move(int(kept))
    step = dpa.TruncatedSubsampledGaussianDpEvent(int(n), rate, int(kept), noise)
    direct = pld.PLDAccountant().compose(step, int(steps)).get_epsilon(delta)
    assert eps == pytest.approx(direct, rel=1e-4)
    assert 7.9 < eps <= 8.0


def test_the_private_part_of_the_example_is_about_fifteen_lines(ran):
    private = ran[2].split("plan = ")[1].split("\nguesses")[0]
    assert len([line for line in private.splitlines() if line.strip()]) <= 15
