"""Many runs, one record each: the product of the values given to any flags of experiments.run.

    python -m experiments.sweep --out=DIR --set model=vae,gan --set eps=1,10,inf --set seed=0,1,2

Records land in DIR as NAME.record.json, written whole. A sweep that was killed goes on where it was;
a run that fails does not stop the others, and is listed at the end (exit code 1); so is one whose audit
refutes its claim (exit code 3; the alarms of all audits share one probability of 1e-4). The run folders
stay under runs/, which is private.
"""

import dataclasses
import itertools
import math
import pathlib
import shutil
import typing

from absl import flags

from experiments import cli, progress, run, settings
from fpu import InputError, readers
from fpu.models.baselines import BASELINES


def define_flags() -> None:
    """Of this command alone: a test may import it beside another that has an --out too."""
    flags.DEFINE_string("out", None, "folder for the records")
    flags.DEFINE_multi_string("set", [], "FLAG=VALUE,VALUE,... of experiments.run; repeatable")
    flags.DEFINE_bool("dry_run", False, "list the runs, start none")


def cells(axes: list[str]) -> list[settings.Options]:
    """Every combination. Baselines without a mechanism appear at eps = inf alone.

    Raises InputError for an unknown flag (with the nearest) or a value of the wrong type.
    """
    kinds = {
        f.name: (*typing.get_args(f.type), f.type)[0] for f in dataclasses.fields(settings.Options)
    }
    del kinds["set"], kinds["workdir"]
    values = {}
    for axis in axes:
        name, equals, text = axis.partition("=")
        if not equals:
            raise InputError(f"--set={axis}: write FLAG=VALUE,VALUE,...")
        settings.named("--set=", name, tuple(kinds))
        try:
            values[name] = [kinds[name](part) for part in text.split(",")]
        except ValueError:
            raise InputError(f"--set={axis}: {name} is a {kinds[name].__name__}") from None
    combined = [
        settings.Options(**dict(zip(values, combination, strict=True)))
        for combination in itertools.product(*values.values())
    ]
    kept = [
        options
        for options in combined
        if not (settings.unprotected(options.model) and (options.eps or math.inf) < math.inf)
    ]
    for options in kept:
        settings.check(options)
    return kept


def name(options: settings.Options) -> str:
    """What tells one run of a sweep from the others: its flags that are not the default."""
    given = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(options)
        if getattr(options, field.name) != field.default and field.name != "data_dir"
    }
    given["dataset"] = pathlib.Path(options.dataset).stem
    given["model"] = options.model
    return "-".join(
        f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in sorted(given.items())
    )


def sweep(wanted: list[settings.Options], out: pathlib.Path) -> tuple[list[str], list[str]]:
    """Do every run that has no record in `out` yet.

    Returns: the names of those that failed, and a line for each whose audit refutes its claim.
    """
    failed, refuted = [], []
    for number, options in enumerate(wanted, 1):
        label = name(options)
        kept = out / f"{label}.record.json"
        progress.say(
            f"[{number}/{len(wanted)}] {label}{' has its record' if kept.exists() else ''}"
        )
        try:
            if not kept.exists():
                own = dataclasses.replace(options, workdir=f"runs/{label}")
                folder = run.run(own, siblings=len(wanted))
                with readers.atomic(kept) as part:
                    shutil.copyfile(folder / "record.json", part)
            if line := run.refutation(kept):
                refuted.append(f"{label}: {line}")
        except Exception as error:  # one cell must not cost the others
            progress.say(f"error: {label}: {type(error).__name__}: {' '.join(str(error).split())}")
            failed.append(label)
    return failed, refuted


def main(argv: list[str]) -> int:
    """Run what the flags say; exit code 3 where an audit refutes a claim, else 1 where a run failed."""
    if len(argv) > 1:
        raise InputError(f"{argv[1]}: not a flag; write --set FLAG=VALUES")
    wanted = cells(flags.FLAGS.set)
    if not wanted:
        raise InputError(
            f"--set: no run is left ({', '.join(filter(settings.unprotected, BASELINES))} need eps=inf)"
        )
    if flags.FLAGS.dry_run:
        print("\n".join(name(options) for options in wanted))
        return 0
    if flags.FLAGS.out is None:
        raise InputError("--out is missing: name a folder for the records")
    failed, refuted = sweep(wanted, pathlib.Path(flags.FLAGS.out).expanduser())
    for label in failed:
        progress.say(f"failed: {label}")
    for line in refuted:
        progress.say(line)
    return run.REFUTED if refuted else int(bool(failed))


if __name__ == "__main__":
    define_flags()
    cli.main(main)
