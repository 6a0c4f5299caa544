"""Train a generator under a privacy budget, draw synthetic images, judge them, write a report.

    fpu run --model=ddpm --eps=1
    fpu run --model=vae --eps=3 --dataset=mnist --n_per_class=100
    fpu run --model=gan --eps=10 --dataset=path/to/images.npz
    srun --ntasks=4 python -m experiments.run --model=ddpm --eps=10      # four processes, one run

A killed run, started again with the same command, continues and ends where it would have ended. SIGTERM saves the
training and ends with exit code 143. Exit code 1: training diverged; 3: an audit refutes the claim.
"""

import numpy as np
from absl import flags

from fpu import InputError
from fpu.pipeline import progress, run, settings

GROUPS = {
    "Common flags": ("model", "eps", "dataset", "n_per_class", "seed", "workdir"),
    "Data": ("data_dir", "n_train", "subset", "labels", "n_samples"),
    "Privacy": ("delta", "noise_multiplier", "clip_norm", "sample_rate", "warmup", "warmup_share"),
    "Training": ("preset", "size", "steps", "warmup_steps", "set", "tensorboard"),
    "Evaluation": ("evaluation", "shadows", "audit", "audit_runs"),
    "Several machines": ("coordinator", "process_id", "num_processes"),
    "Research": ("noise_seed", "queries"),
}


def define_flags() -> None:
    """Of this command alone, beside those of every run."""
    settings.define_flags()
    flags.DEFINE_bool("tensorboard", False, "also write TensorBoard logs (extra: tensorboard)")
    found = "; left out, Slurm and TPU pods are asked"
    flags.DEFINE_string(
        "coordinator", None, f"several processes, one run: host:port of number 0{found}"
    )
    flags.DEFINE_integer("process_id", None, f"the number of this process{found}")
    flags.DEFINE_integer("num_processes", None, f"how many there are{found}")


def main(argv: list[str]) -> int:
    """Run what the flags say; exit code 1 where training diverged, 3 where an audit refutes the claim."""
    if len(argv) > 1:
        raise InputError(f"{argv[1]}: not a flag; write --name=value")
    given = flags.FLAGS
    addresses = given.coordinator, given.process_id, given.num_processes
    folder = run.run(settings.from_flags(), given.tensorboard, addresses=addresses)
    from fpu import distributed  # not above: bad input should not wait for jax

    code = 0
    if distributed.leads():
        print(folder / "report.html")
        code, line = run.failure(folder / "record.json") or (0, "")
        if line:
            progress.say(line)
    return int(distributed.of_the_first(np.int32(code)))  # all leave with it, and none waits
