"""Benchmarks: what is claimed about speed and about the engine's guarantee, measured in one run.

    python -m experiments.bench --suite=engine --out=experiments/results/bench
    python -m experiments.bench --suite=audit
    python -m experiments.bench --suite=fidelity --dataset=mnist --data_dir=FOLDER
    python -m experiments.bench --suite=attacks --dataset=digits

Writes SUITE.json, SUITE.md and, where there is one, SUITE.png into --out and prints the tables. Compare
ratios, which are taken side by side, rather than times.
"""

import importlib
import pathlib

from absl import flags

from experiments import cli, progress, settings, workdir
from fpu import InputError, readers

SUITES = ("engine", "audit", "fidelity", "attacks")
_ON_IMAGES = ("fidelity", "attacks")
_SUITE = flags.DEFINE_string("suite", "engine", f"what to measure: {', '.join(SUITES)}")
_OUT = flags.DEFINE_string("out", None, "folder for SUITE.json, SUITE.md and SUITE.png")
_DATASET = flags.DEFINE_string("dataset", "digits", "images to measure fidelity and attacks with")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "folder that holds the data set's files already")


def main(argv: list[str]) -> None:
    """Measure what the flags say."""
    if len(argv) > 1:
        raise InputError(f"{argv[1]}: not a flag; write --name=value")
    settings.named("--suite=", _SUITE.value, SUITES)
    suite = importlib.import_module(f"experiments.suites.{_SUITE.value}")
    command, name = f"python -m experiments.bench --suite={_SUITE.value}", _SUITE.value
    if _SUITE.value in _ON_IMAGES:
        result = suite.measure(progress.say, _DATASET.value, _DATA_DIR.value)
        command += f" --dataset={pathlib.Path(_DATASET.value).name}"
        name += f"-{result['dataset']}"
    else:
        result = suite.measure(progress.say)
    table = suite.table(result)
    print(table)
    if _OUT.value:
        folder = pathlib.Path(_OUT.value).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        workdir.write_json(folder / f"{name}.json", {"command": command, **result})
        workdir.write_text(folder / f"{name}.md", f"`{command}`\n\n{table}")
        if hasattr(suite, "figure"):
            with readers.atomic(folder / f"{name}.png") as part:
                suite.figure(result).savefig(part, format="png", dpi=130)


if __name__ == "__main__":
    cli.main(main)
