"""The folder of a run: the one that is named, or one named by the run's settings."""

import hashlib
import json
import math
import pathlib

from fpu.pipeline import settings
from fpu.pipeline.jobs import Job
from fpu.report import words


def place(job: Job) -> pathlib.Path:
    """The folder of a run: --workdir, or one named by its settings."""
    if job.options.workdir:
        return pathlib.Path(job.options.workdir).expanduser()
    config = job.config
    privacy = (
        f"sigma{config['noise_multiplier']:g}"
        if config["noise_multiplier"] is not None
        else f"eps{float(config['eps'] or math.inf):g}"
    )
    many = f"{config['n_per_class'] or 'all'}each"
    name = f"{config['model']}-{job.dataset.name}-{privacy}-{many}-seed{config['seed']}"
    if job.options.prior != "auto":
        name += f"-{words.prior_name(config) or 'none'}".replace(":", "-")
    if config["preset"] != "corrected":
        name += f"-{config['preset']}"
    return pathlib.Path("runs") / (name + _others(job))


def _others(job: Job) -> str:
    """A short hash of the settings that the name of the folder leaves out, "" where all are as usual."""
    said = {"model", "eps", "noise_multiplier", "n_per_class", "seed", "preset"}
    others = {k: v for k, v in settings.given(job.options).items() if k not in said}
    if others.pop("dataset", job.dataset.name) != job.dataset.name:  # a file: known by its content
        others["members"] = job.config["sha256_members"]
    digest = hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()
    return f"-{digest[:6]}" if others else ""
