"""Benchmarks: measure what is claimed about speed, about the guarantee, and about the metrics.

    python -m experiments.bench --suite=engine --out=experiments/results/bench
    python -m experiments.bench --suite=fidelity --dataset=mnist --data_dir=FOLDER

Writes SUITE.json and SUITE.md into --out and prints the tables. README.md says what each suite measures.
"""

import importlib
import pathlib

from absl import flags

from fpu.commands import door
from fpu.files import safe
from fpu.pipeline import progress, settings

SUITES = (
    "engine", "audit", "fidelity", "attacks", "field", "repeats", "stage", "faults", "grid", "devices"
)  # fmt: skip
_ON_IMAGES = ("fidelity", "attacks", "field", "stage")


def define_flags() -> None:
    flags.DEFINE_string("suite", "engine", f"what to measure: {', '.join(SUITES)}")
    flags.DEFINE_string("out", None, "folder for SUITE.json and SUITE.md")
    flags.DEFINE_string("dataset", "digits", f"images of the suites {', '.join(_ON_IMAGES)}")
    flags.DEFINE_string("data_dir", None, "folder that holds the data set's files already")


def bench(suite: str, out: str | None, dataset: str, data_dir: str | None) -> None:
    """Run the suite, print its table and write record and table to `out` (None: nowhere)."""
    settings.named("--suite=", suite, SUITES)
    module = importlib.import_module(f"experiments.suites.{suite}")
    command, name = f"python -m experiments.bench --suite={suite}", suite
    if suite in _ON_IMAGES:
        result = module.measure(progress.say, dataset, data_dir)
        command += f" --dataset={pathlib.Path(dataset).name}"
        name += f"-{result['dataset']}"
    else:
        result = module.measure(progress.say)
    table = module.table(result)
    print(table)
    if out:
        folder = pathlib.Path(out).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        safe.write_json(folder / f"{name}.json", {"command": command, **result})
        safe.write_text(folder / f"{name}.md", f"`{command}`\n\n{table}\n")


def main(_: list[str]) -> None:
    """Measure what the flags say."""
    values = flags.FLAGS
    bench(values.suite, values.out, values.dataset, values.data_dir)


if __name__ == "__main__":
    door.enter("experiments.bench")
