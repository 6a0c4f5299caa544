"""One run: train a generator under a budget, draw a synthetic data set, judge it, write it all down.

    python -m experiments.run --model=ddpm --eps=1
    python -m experiments.run --model=vae --eps=3 --dataset=mnist --n_per_class=100
    python -m experiments.run --model=gan --eps=10 --dataset=path/to/images.npz
    srun --ntasks=4 python -m experiments.run --model=ddpm --eps=10      # four processes, one run

A killed run, started again with the same command, continues and ends where it would have ended. SIGTERM
saves the training and leaves with exit code 143.
"""

import dataclasses
import json
import math
import pathlib
import time

import numpy as np
from absl import flags

from experiments import cli, presets, progress, settings, stopping
from fpu import InputError, data


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


DIVERGED, REFUTED = 1, 3  # exit codes


def resolve(options: settings.Options):
    """(dataset, split, config): every choice made, nothing written. config is JSON-able."""
    settings.check(options)
    preset = options.preset
    dataset = data.load(options.dataset, options.data_dir)
    n_per_class, n_train = options.n_per_class, options.n_train
    if n_per_class is None and n_train is None:
        n_per_class = presets.members_per_class(preset)
    subset = options.subset or presets.subset(preset)
    split = data.partition(
        dataset,
        n_per_class=n_per_class or None,
        n_train=n_train or None,
        seed=options.seed,
        subset=subset,
    )
    n = len(data.units(dataset, split.members)[1])
    size = options.size or presets.size(preset, dataset.shape)
    config = dataclasses.asdict(options) | {
        "n_per_class": n_per_class,
        "size": size,
        "subset": subset,
        "delta": options.delta or 1 / (10 * n),
        "labels": options.labels,
        "eps": _json_eps(options.eps),
        "noise_seed": options.noise_seed,
        "sha256_members": data.manifest(dataset, split)["sha256_members"],
    }
    if config["delta"] >= 1 / n:
        raise InputError(
            f"--delta={config['delta']:g}: must be below 1/n = {1 / n:g}; left out, it is 1/(10 n)"
        )
    source = split.nonmembers if options.model == "fresh" else split.members
    fewest = np.bincount(dataset.labels[source], minlength=dataset.n_classes).min()
    config["n_samples"] = settings.sample_count(options, dataset.n_classes, int(fewest))
    settings.sampling_labels(options.labels, dataset.n_classes, 1)  # refuse bad labels now
    for name in ("workdir", "data_dir"):
        del config[name]
    return dataset, split, config


def run(
    options: settings.Options,
    tensorboard: bool = False,
    siblings: int = 1,
    addresses: tuple | None = None,
) -> pathlib.Path:
    """Do the whole run and return its folder. InputError for bad input.

    siblings: runs of the sweep that this one belongs to, among which an audit's alarms are shared out.
    addresses: arguments of distributed.initialize, where several processes may be doing this run.
    """
    begun = time.monotonic()
    dataset, split, config = resolve(options)
    folder = pathlib.Path(options.workdir or _default_workdir(dataset, config)).expanduser()

    # Heavy imports only once the input is known to be good.
    from experiments import pipeline, together
    from fpu import distributed

    if addresses is not None:
        distributed.initialize(*addresses)
    job = pipeline.prepare(options, dataset, split, config)
    with together.opened(folder, job.config) as finished, stopping.on_sigterm():
        if finished:
            progress.say(f"{folder} is finished: see report.html, or name another --workdir")
            return folder
        pipeline.carry_out(job, folder, begun, tensorboard, siblings)
    return folder


def _json_eps(eps: float | None):
    return "inf" if eps is not None and math.isinf(eps) else eps


def _default_workdir(dataset, config: dict) -> pathlib.Path:
    privacy = (
        f"sigma{config['noise_multiplier']:g}"
        if config["noise_multiplier"] is not None
        else f"eps{float(config['eps'] or math.inf):g}"
    )
    many = f"n{config['n_train']}" if config["n_train"] else f"{config['n_per_class'] or 'all'}each"
    name = f"{config['model']}-{dataset.name}-{privacy}-{many}-seed{config['seed']}"
    return pathlib.Path("runs") / (
        name if config["preset"] == "corrected" else f"{name}-{config['preset']}"
    )


def failure(record: pathlib.Path) -> tuple[int, str] | None:
    """(exit code, one loud line) where training diverged, or the audit refutes the claim of the run."""
    from experiments import auditing

    held = json.loads(record.read_text())
    if line := auditing.refutation(held):
        return REFUTED, line
    return (DIVERGED, held["diverged"]) if "diverged" in held else None


def main(argv: list[str]) -> int:
    """Run what the flags say; exit code 1 where training diverged, 3 where an audit refutes the claim."""
    if len(argv) > 1:
        raise InputError(f"{argv[1]}: not a flag; write --name=value")
    given = flags.FLAGS
    addresses = given.coordinator, given.process_id, given.num_processes
    folder = run(settings.from_flags(), given.tensorboard, addresses=addresses)
    from fpu import distributed  # not above: bad input should not wait for jax

    code = 0
    if distributed.leads():
        print(folder / "report.html")
        code, line = failure(folder / "record.json") or (0, "")
        if line:
            progress.say(line)
    return int(distributed.of_the_first(np.int32(code)))  # all leave with it, and none waits


if __name__ == "__main__":
    define_flags()
    cli.main(main)
