"""Do many runs: every combination of the values given to flags of a run. One record each.

    fpu sweep --out=DIR --set model=vae,gan --set eps=1,10,inf --set seed=0,1,2
    fpu sweep --out=DIR --preset=corrected --set dataset=octmnist --shard=0/4

A run that fails does not stop the others; it is listed at the end (exit code 1). So is one whose audit or attack
refutes its claim (exit code 3; the alarms of all audits share one probability of 1e-4). Records and runs are private
(mode 600). What else there is to know: experiments/README.md, Many runs.
"""

from absl import flags

from fpu import InputError
from fpu.baselines import BASELINES
from fpu.files import storage
from fpu.pipeline import forecast, grids, progress, run, settings, sweep

GROUPS = {
    "Common flags": ("out", "set", "preset", "dry_run"),
    "Several machines": ("shard",),
    "Speed": ("cells_at_once",),
}
WORDS = "write --set FLAG=VALUES"


def define_flags() -> None:
    flags.DEFINE_string(
        "out", None, "folder for the records, which are private; here or gs://BUCKET/..."
    )
    flags.DEFINE_multi_string(
        "set", [], "FLAG=VALUE,VALUE,... of a run, or model.width=8,16 and the like; repeatable"
    )
    flags.DEFINE_string("preset", None, f"a grid: {', '.join(grids.GRIDS)}")
    flags.DEFINE_string(
        "shard", "0/1", "i/k: the part of this process, i = 0 to k - 1 (default 0/1: all)"
    )
    flags.DEFINE_bool("dry_run", False, "list groups, runs, steps, seconds and memory; start none")
    flags.DEFINE_integer(
        "cells_at_once",
        0,
        "runs that train side by side on one device, as one program (default: what its memory holds; on a CPU 1)",
    )


def main(_: list[str]) -> int:
    """Run what the flags say; exit code 3 where an audit refutes a claim, else 1 where a run failed."""
    given = flags.FLAGS
    wanted = sweep.cells(given.set, given.preset)
    if not wanted:
        raise InputError(
            f"--set: no run is left ({', '.join(filter(settings.unprotected, BASELINES))} need eps=inf)"
        )
    count, wanted = len(wanted), sweep.shard(given.shard, wanted)
    if given.dry_run:
        print("\n".join(forecast.lines(wanted, given.cells_at_once)))
        return 0
    if given.out is None:
        raise InputError("--out is missing: name a folder for the records")
    out = storage.place(given.out)
    failed, refuted = sweep.sweep(wanted, out, count, given.cells_at_once)
    print(sweep.table(wanted, out), end="")
    for label in failed:
        progress.say(f"failed: {label}")
    for line in refuted:
        progress.say(line)
    return run.REFUTED if refuted else int(bool(failed))
