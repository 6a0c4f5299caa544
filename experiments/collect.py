"""Add the records of sweeps to a study: one file, one record a line.

    python -m experiments.collect FOLDER... STUDY.jsonl

Lines are sorted by data set, number of members, model, eps, noise and seed, so that a new record changes no other
line. A record that the study holds already is not added again. Of the paths of data no folder is kept: a study is
made to be handed on. `experiments.report STUDY.jsonl` reads the file.
"""

import json
import re

from fpu import InputError
from fpu.commands import door
from fpu.files import storage
from fpu.report import records

_FOLDERS = re.compile(r"[^:]*[/\\](?=.)")  # of a path, or of images:PATH
WORDS = ""  # takes folders and a file


def define_flags() -> None:
    """There are none."""


def main(argv: list[str]) -> None:
    """Add the records of the folders `argv[1:-1]` to the file `argv[-1]`, which is written whole or not at all.

    Raises fpu.InputError, naming the file, where a record cannot be read.
    """
    *folders, name = argv[1:]
    if not folders or not name.endswith(".jsonl"):
        raise InputError("write: python -m experiments.collect FOLDER... STUDY.jsonl")
    study = storage.place(name)
    runs = records.read([name]) if storage.exists(study) else []
    lines = merged(runs + records.read(folders))
    storage.write(study, "".join(f"{line}\n" for line in lines).encode())
    print(f"{study}: {len(lines)} records, {len(lines) - len(runs)} of them new")


def merged(runs: list[dict]) -> list[str]:
    """The JSON text of each different record, in the order of a study. `runs` are as `records.read` gives them."""
    different = {json.dumps(run, sort_keys=True): run for run in map(_public, runs)}
    ordered = sorted(different.items(), key=lambda item: (*_key(item[1]), item[0]))
    return [json.dumps(run, separators=(",", ":"), ensure_ascii=False) for _, run in ordered]


def _public(run: dict) -> dict:
    """The record without what belongs to its owner alone: the members, of the manifest beside it, and folders.

    Nor with what sets it apart from the others that were read with it: a reader of the study finds that anew.
    """
    config = {k: v for k, v in run["config"].items() if k != "differs"}
    paths = {k: v for k, v in config.items() if k in ("dataset", "prior") and v}
    names = {k: _FOLDERS.sub("", v) for k, v in paths.items()}
    data = {k: v for k, v in run["data"].items() if k != "members"}
    return run | {"config": config | names, "data": data}


def _key(run: dict) -> tuple:
    config, data = run["config"], run["data"]
    noise = config.get("noise_multiplier") or 0.0
    return (
        data["name"],
        data["n_members"],
        config["model"],
        records.eps(run),
        noise,
        config.get("seed") or 0,
    )


if __name__ == "__main__":
    door.enter("experiments.collect")
