"""Faults: runs that are killed at a random moment, started again, and compared bitwise with an undisturbed run.

Every trial is a run of experiments.run in its own process and folder, on digits, with a warm-up and DP-SGD. A
disclosed noise seed makes two runs comparable. The run is killed once, by SIGKILL or SIGTERM, at a moment drawn from
the time that an undisturbed run takes. Then it is started again with the same command. What is measured:

- right after the kill, release/ is absent, or whole and equal to that of the undisturbed run
- at the end release/, the picture and the record (but for its seconds) equal those of the undisturbed run
- SIGTERM ends the process with one line and exit code 143, unless it came before the run had begun
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
from collections.abc import Callable

from fpu.pipeline import signals
from fpu.report import words
from fpu.report.settings import by

MODELS = ("vae", "gan", "ddpm")
KILLS = (signal.SIGKILL,) * 15 + (signal.SIGTERM,) * 3
FLAGS = (
    "--eps=10",
    "--n_per_class=20",
    "--warmup_share=0.5",
    "--draw_steps=200",
    "--steps=150",
    "--n_samples=100",
    "--noise_seed=1",
    "--evaluation=quick",
)
# Checkpoints after every 50 steps: by default a run as short as this one has none before its end.
_CHILD = """
from fpu.commands import door
from fpu.pipeline import keep
keep.SECONDS = 0
door.enter("fpu.commands.run")
"""
_PLACES = (  # the first of these files that exists says how far a killed run had come
    ("report.html", "after the report"),
    ("record.json", "report"),
    ("manifest.json", "evaluation"),
    ("release", "writing"),
    ("checkpoints/0", "DP-SGD or sampling"),
    ("checkpoints/warmup", "warm-up"),
    ("config.json", "before training"),
)


def measure(say: Callable[[str], None]) -> dict:
    """{'flags', 'rows'}: a row for each kill, with where it struck and what was equal afterwards."""
    rows, rng = [], random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        base = pathlib.Path(name)
        for model in MODELS:
            _start(model, base / model / "compile").wait()  # fills the compilation cache
            undisturbed = base / model / "undisturbed"
            start = time.monotonic()
            if _start(model, undisturbed).wait() != 0:
                raise RuntimeError(f"{model}: the undisturbed run failed: {_stderr(undisturbed)}")
            seconds, expected = time.monotonic() - start, digests(undisturbed)
            for number, kind in enumerate(KILLS):
                moment = rng.uniform(0, seconds)
                row = _trial(model, base / model / str(number), kind, moment, expected)
                rows.append({"model": model, "seconds": seconds} | row)
                equal = "equal" if row["equal"] else "NOT EQUAL"
                say(f"{model}: {row['signal']} at {moment:.1f} s, {row['place']}: {equal}")
    return {"flags": list(FLAGS), "rows": rows}


def _trial(
    model: str, folder: pathlib.Path, kind: signal.Signals, moment: float, expected: dict[str, str]
) -> dict:
    """The row of one kill: what was left right after it, and whether the finished run is as `expected`."""
    process = _start(model, folder)
    try:
        process.wait(moment)  # it may end sooner than the undisturbed run did
    except subprocess.TimeoutExpired:
        process.send_signal(kind)
    code = process.wait()
    release = _release(digests(folder))
    row = {
        "signal": kind.name,
        "at": moment,
        "place": next(
            (name for path, name in _PLACES if (folder / "run" / path).exists()), "start"
        ),
        "code": code,
        "message": "stopped by SIGTERM" in _stderr(folder),
        "release_whole": not release or release == _release(expected),
    }
    again = _start(model, folder).wait()
    return row | {"equal": again == 0 and digests(folder) == expected}


def _start(model: str, folder: pathlib.Path) -> subprocess.Popen:
    folder.mkdir(parents=True, exist_ok=True)
    run = folder / "run"
    with open(folder / "stderr.txt", "a", encoding="utf-8") as stderr:
        return subprocess.Popen(
            [sys.executable, "-c", _CHILD, f"--model={model}", f"--workdir={run}", *FLAGS],
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )


def _stderr(folder: pathlib.Path) -> str:
    return (folder / "stderr.txt").read_text(encoding="utf-8")


def digests(folder: pathlib.Path) -> dict[str, str]:
    """{file: SHA-256} of what a run made: release/, the picture, and the record without its seconds."""
    run = folder / "run"
    contents = {
        str(path.relative_to(run)): path.read_bytes()
        for path in (*run.glob("release/**/*"), *run.glob("samples.png"))
        if path.is_file()
    }
    if (run / "record.json").exists():
        record = json.loads((run / "record.json").read_text(encoding="utf-8"))
        record["cost"].pop("seconds")
        contents["record.json"] = json.dumps(record, sort_keys=True).encode()
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def _release(files: dict[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in files.items() if name.startswith("release/")}


def table(result: dict) -> str:
    """A row for each model and signal: kills, where they struck, and in how many of them all was right."""
    rows = []
    for (model, kind), trials in by(result["rows"], lambda r: (r["model"], r["signal"])).items():
        places = [r["place"] for r in trials]
        stopped = sum(r["message"] and r["code"] == signals.CODE for r in trials)
        rows.append(
            [
                model,
                kind,
                str(len(trials)),
                ", ".join(f"{place} {places.count(place)}" for place in dict.fromkeys(places)),
                str(sum(r["equal"] for r in trials)),
                str(sum(r["release_whole"] for r in trials)),
                str(stopped) if kind == signal.SIGTERM.name else "",
            ]
        )
    header = ["model", "signal", "kills", "where", "bitwise equal at the end"]
    header += ["release/ absent or whole", "ended with one line and code 143"]
    about = (
        "Runs on digits, killed once at a random moment and started again with the same command, against an "
        f"undisturbed run (`experiments.run {' '.join(result['flags'])}`, a checkpoint every 50 steps). A SIGTERM "
        "before the run has begun, or after its end, leaves no line."
    )
    return f"{about}\n\n{words.grid(header, rows, align='---')}"
