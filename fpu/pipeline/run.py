"""A run from its settings to its folder."""

import dataclasses
import json
import math
import pathlib
import time

import numpy as np

from fpu import InputError, data
from fpu.pipeline import defaults, progress, settings, signals

DIVERGED, REFUTED = 1, 3  # exit codes


def resolve(options: settings.Options):
    """(dataset, split, config): every choice made, nothing written. config is JSON-able."""
    settings.check(options)
    preset = options.preset
    dataset = data.load(options.dataset, options.data_dir)
    n_per_class, n_train = options.n_per_class, options.n_train
    if n_per_class is None and n_train is None:
        n_per_class = defaults.members_per_class(preset)
    subset = options.subset or defaults.subset(preset)
    split = data.partition(
        dataset,
        n_per_class=n_per_class or None,
        n_train=n_train or None,
        seed=options.seed,
        subset=subset,
    )
    n = len(data.units(dataset, split.members)[1])
    size = options.size or defaults.size(preset, dataset.shape)
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
    from fpu import distributed
    from fpu.pipeline import jobs, processes

    if addresses is not None:
        distributed.initialize(*addresses)
    job = jobs.prepare(options, dataset, split, config)
    with processes.opened(folder, job.config) as finished, signals.on_sigterm():
        if finished:
            progress.say(f"{folder} is finished: see report.html, or name another --workdir")
            return folder
        jobs.carry_out(job, folder, begun, tensorboard, siblings)
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
    from fpu.pipeline import auditing

    held = json.loads(record.read_text())
    if line := auditing.refutation(held):
        return REFUTED, line
    return (DIVERGED, held["diverged"]) if "diverged" in held else None
