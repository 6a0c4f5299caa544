"""Add the records of sweeps to a study: one file, one record a line.

    python -m experiments.collect FOLDER... STUDY.jsonl

Lines are sorted by data set, number of members, model, eps, noise and seed, so that a new record changes no other
line. A record that the study holds already is not added again. `experiments.report STUDY.jsonl` reads the file.
"""

import json

from fpu import InputError
from fpu.commands import door
from fpu.files import storage
from fpu.report import records

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
    # The members come from the manifest beside a record: they are private, and not part of it.
    stripped = [
        run | {"data": {k: v for k, v in run["data"].items() if k != "members"}} for run in runs
    ]
    different = {json.dumps(run, sort_keys=True): run for run in stripped}
    ordered = sorted(different.items(), key=lambda item: (*_key(item[1]), item[0]))
    return [json.dumps(run, separators=(",", ":"), ensure_ascii=False) for _, run in ordered]


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
