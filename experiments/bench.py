"""Benchmarks: what is claimed about speed and about the engine's guarantee, measured in one run.

    python -m experiments.bench --suite=engine --out=experiments/results/bench
    python -m experiments.bench --suite=audit

Writes SUITE.json and SUITE.md into --out and prints the tables. Compare ratios, which are taken side by
side, rather than times.
"""

import importlib
import pathlib

from absl import flags

from experiments import cli, progress, settings, workdir
from fpu import InputError

SUITES = ("engine", "audit")
_SUITE = flags.DEFINE_string("suite", "engine", f"what to measure: {', '.join(SUITES)}")
_OUT = flags.DEFINE_string("out", None, "folder for SUITE.json and SUITE.md")


def main(argv: list[str]) -> None:
    """Measure what the flags say."""
    if len(argv) > 1:
        raise InputError(f"{argv[1]}: not a flag; write --name=value")
    settings.named("--suite=", _SUITE.value, SUITES)
    suite = importlib.import_module(f"experiments.suites.{_SUITE.value}")
    result = suite.measure(progress.say)
    table = suite.table(result)
    print(table)
    if _OUT.value:
        folder = pathlib.Path(_OUT.value).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        command = f"python -m experiments.bench --suite={_SUITE.value}"
        workdir.write_json(folder / f"{_SUITE.value}.json", {"command": command, **result})
        workdir.write_text(folder / f"{_SUITE.value}.md", f"`{command}`\n\n{table}")


if __name__ == "__main__":
    cli.main(main)
