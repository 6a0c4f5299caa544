"""Train a generator under a privacy budget, draw synthetic images, judge them, write a report.

    fpu run --model=ddpm --eps=1
    fpu run --model=vae --eps=3 --dataset=mnist --n_per_class=100
    fpu run --model=gan --eps=10 --dataset=path/to/images.npz
    srun --ntasks=4 python -m experiments.run --model=ddpm --eps=10      # four processes, one run

A killed run, started again with the same command, continues and ends where it would have ended. SIGTERM saves the
training and ends with exit code 143. Exit code 1: training diverged; 3: an audit or an attack refutes the claim.
"""

import json

import numpy as np
from absl import flags

from fpu import InputError, distributed, report
from fpu.pipeline import forecast, progress, run, settings

GROUPS = {
    "Common flags": ("model", "eps", "dataset", "n_per_class", "seed", "workdir", "dry_run"),
    "Data": ("side", "groups", "skip_unreadable", "data_dir", "n_samples", "labels"),
    "Privacy": (
        "delta",
        "n_public",
        "noise_multiplier",
        "warmup_share",
        "clip_norm",
        "sample_rate",
    ),
    "Training": ("prior", "preset", "steps", "draw_steps", "set"),
    "Evaluation": ("evaluation", "repeats", "folds", "shadows", "audit"),
    "Several machines": ("process",),
    "Research": ("noise_seed",),
}
REPLACED = settings.REPLACED | dict.fromkeys(
    ("coordinator", "process_id", "num_processes"), "write --process=HOST:PORT/i/k"
)
HINTS = settings.HINTS


def define_flags() -> None:
    settings.define_flags()
    flags.DEFINE_bool("dry_run", False, "say plan, noise, minutes and folder; start nothing")
    flags.DEFINE_string(
        "process", None, "HOST:PORT/i/k: process i of the k of one run; not on Slurm and TPU pods"
    )


def main(_: list[str]) -> int:
    """Run what the flags say; exit code 1 where training diverged, 3 where its claim is refuted."""
    given = flags.FLAGS
    if given.dry_run:
        print("\n".join(forecast.of_run(settings.from_flags())))
        return 0
    folder = run.run(settings.from_flags(), addresses=process(given.process))
    code = 0
    if distributed.is_first():
        record = json.loads((folder / "record.json").read_text())
        code, line = run.failure(record)
        for sentence in [line] if line else report.brief(record):
            progress.say(sentence)
        print(folder / "report.html")
    return int(distributed.broadcast(np.int32(code)))  # all leave with it, and none waits


def process(text: str | None) -> tuple[str, int, int] | tuple[()]:
    """(coordinator, process_id, num_processes) of distributed.initialize, of HOST:PORT/i/k; () of nothing."""
    if text is None:
        return ()
    address, *numbers = text.split("/")
    if not (":" in address and len(numbers) == 2 and all(n.isdecimal() for n in numbers)):
        raise InputError(
            f"--process={text}: write HOST:PORT/i/k, as host:7777/0/2 and host:7777/1/2"
        )
    i, k = map(int, numbers)
    if i >= k:
        raise InputError(f"--process={text}: i is 0 to k - 1, of k processes")
    return address, i, k
