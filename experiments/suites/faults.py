"""Faults: runs that are killed at random moments, started again, and compared bitwise with one that was left alone.

Every trial is a run of experiments.run in its own process and folder, on digits, warm-up and DP-SGD both, with
a disclosed noise seed, which makes two runs comparable. It is killed once, by SIGKILL or SIGTERM, at a moment drawn
from the time that an undisturbed run takes, then started again with the same command. What counts:

- right after the kill, release/ is absent or whole and equal to the undisturbed one's
- at the end release/, the picture and the record (but for its seconds) equal those of the undisturbed run
- SIGTERM ends the process with its one line and code 143, unless it came before the run had begun
"""

import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

from experiments.suites import drawing
from fpu.pipeline import signals

MODELS = ("vae", "gan", "ddpm")
KILLS = (signal.SIGKILL,) * 15 + (signal.SIGTERM,) * 3
FLAGS = (
    "--eps=10",
    "--n_per_class=20",
    "--warmup_share=0.5",
    "--warmup_steps=200",
    "--steps=150",
    "--n_samples=100",
    "--noise_seed=1",
    "--evaluation=quick",
)
# A checkpoint after every call, so that a kill finds many of them: a short run has none before its end.
_CHILD = """
from fpu.commands import door, run
from fpu.pipeline import keep
keep.SECONDS = 0
door.enter(run)
"""
_PLACES = (  # the first of these files that is there tells how far a killed run had come
    ("report.html", "after the report"),
    ("record.json", "report"),
    ("manifest.json", "evaluation"),
    ("release", "writing"),
    ("checkpoints/0", "DP-SGD or sampling"),
    ("checkpoints/warmup", "warm-up"),
    ("config.json", "before training"),
)


def measure(say) -> dict:
    """{'flags', 'rows'}: a row for each kill, with where it struck and what was equal afterwards."""
    rows, rng = [], random.Random(0)
    with tempfile.TemporaryDirectory() as base:
        for model in MODELS:
            _start(model, pathlib.Path(base) / model / "compile").wait()
            whole = pathlib.Path(base) / model / "whole"
            begun = time.monotonic()
            if _start(model, whole).wait() != 0:
                raise RuntimeError(f"{model}: the undisturbed run failed: {_said(whole)}")
            seconds, expected = time.monotonic() - begun, digests(whole)
            for number, kind in enumerate(KILLS):
                moment = rng.uniform(0, seconds)
                row = _trial(model, whole.parent / str(number), kind, moment, expected)
                rows.append({"model": model, "seconds": seconds} | row)
                equal = "equal" if row["equal"] else "NOT EQUAL"
                say(f"{model}: {row['signal']} at {moment:.1f} s, {row['place']}: {equal}")
    return {"flags": list(FLAGS), "rows": rows}


def _trial(model, folder, kind, moment, expected) -> dict:
    process = _start(model, folder)
    try:
        process.wait(moment)  # it ended before its time: the machine was quicker than at first
    except subprocess.TimeoutExpired:
        process.send_signal(kind)
    code = process.wait()
    released = _released(digests(folder))
    row = {
        "signal": kind.name,
        "at": moment,
        "place": next(
            (told for name, told in _PLACES if (folder / "run" / name).exists()), "start"
        ),
        "code": code,
        "told": "stopped by SIGTERM" in _said(folder),
        "release_whole": not released or released == _released(expected),
    }
    again = _start(model, folder).wait()
    return row | {"equal": again == 0 and digests(folder) == expected}


def _start(model, folder) -> subprocess.Popen:
    folder.mkdir(parents=True, exist_ok=True)
    run = folder / "run"
    with open(folder / "said.txt", "a", encoding="utf-8") as said:
        return subprocess.Popen(
            [sys.executable, "-c", _CHILD, f"--model={model}", f"--workdir={run}", *FLAGS],
            stdout=subprocess.DEVNULL,
            stderr=said,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )


def _said(folder) -> str:
    return (folder / "said.txt").read_text(encoding="utf-8")


def digests(folder: pathlib.Path) -> dict[str, str]:
    """{file: SHA-256} of what a run made: release/, the picture, and the record without its seconds."""
    run = folder / "run"
    files = [*run.glob("release/*"), *run.glob("samples.png")]
    found = {str(p.relative_to(run)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    if (run / "record.json").exists():
        record = json.loads((run / "record.json").read_text(encoding="utf-8"))
        record["cost"].pop("seconds")
        text = json.dumps(record, sort_keys=True)
        found["record.json"] = hashlib.sha256(text.encode()).hexdigest()
    return found


def _released(found: dict[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in found.items() if name.startswith("release/")}


def table(result) -> str:
    """One row for each model and signal: kills, where they struck, and how often all was as it should be."""
    rows = []
    for model in dict.fromkeys(r["model"] for r in result["rows"]):
        for kind in dict.fromkeys(r["signal"] for r in result["rows"]):
            mine = [r for r in result["rows"] if (r["model"], r["signal"]) == (model, kind)]
            places = [r["place"] for r in mine]
            where = ", ".join(f"{p} {places.count(p)}" for p in dict.fromkeys(places))
            term = kind == signal.SIGTERM.name
            told = [r for r in mine if r["told"] and r["code"] == signals.CODE]
            row = [model, kind, len(mine), where, sum(r["equal"] for r in mine)]
            rows.append([*row, sum(r["release_whole"] for r in mine), len(told) if term else ""])
    header = ["model", "signal", "kills", "where", "bitwise equal in the end"]
    header += ["release/ absent or whole", "left with its line"]
    about = (
        "Runs on digits killed once at a random moment and started again with the same command, against one left "
        f"alone (`experiments.run {' '.join(result['flags'])}`, a checkpoint every 50 steps). A SIGTERM before the "
        "run has begun, or after its end, has no line to leave."
    )
    return f"{about}\n\n{drawing.grid(header, rows)}"
