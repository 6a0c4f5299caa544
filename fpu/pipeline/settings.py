"""The flags of a run: their names, help and defaults, and what follows from them alone."""

import dataclasses
import math
import typing
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import flags

from fpu import InputError, models, nearest
from fpu.baselines import BASELINES, OF_PRIOR, RELEASES
from fpu.pipeline import limits

MOST_STEPS = 10**7
EVALUATIONS = "quick", "full", "field"  # protocols.PROTOCOLS says what each is
SEEDS = 0, 2**32 - 1, ", or seeds would coincide"
MOST_COPIES = 10**4  # of an audit or an attack
# (least, usual) number of copies or queries. 0: as many as the claim needs (auditing.copies_needed).
AUDITS = {
    "none": (0, 0),
    "one_run": (0, 0),
    "two_worlds": (10, 0),
    "samples": (10, 0),
    "paper": (1, 1),
}
# Of --set.
CHOICES = {"model.size": ("tiny", "default", "paper"), "data.subset": ("random", "first")}
HINTS = {  # flags of other programs: what to write here
    "epochs": "write --steps=N for steps of DP-SGD, or --draw_steps=N for those on draws",
    "batch_size": "write --sample_rate=Q, the share of the members in a batch on average",
    "batch": "write --sample_rate=Q, the share of the members in a batch on average",
    "epsilon": "write --eps=1",
    "learning_rate": "write --set recipe.learning_rate=1e-3",
    "lr": "write --set recipe.learning_rate=1e-3",
    "width": "write --set model.width=32",
    "data": "write --dataset=NAME or --dataset=path/to/scans.npz",
    "out": "write --workdir=FOLDER",
}
REPLACED = {
    "n_train": "write --n_per_class=N, the members of each class",
    "subset": "write --set data.subset=first, or random",
    "size": "write --set model.size=tiny, default or paper",
    "warmup": "write --warmup_share=0 for none, --warmup_share=1 for moments",
    "warmup_steps": "write --draw_steps=N",
    "audit_runs": "write --audit=two_worlds:N",
    "queries": "write --preset=paper --audit=paper:N",
}


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags of a run, as typed. None means: decided from the data and the preset."""

    model: str = "ddpm"
    dataset: str = "digits"
    data_dir: str | None = None
    side: int | None = None
    groups: str | None = None
    skip_unreadable: bool = False
    n_per_class: int | None = None
    n_public: int | None = None
    eps: float | None = None
    noise_multiplier: float | None = None
    delta: float | None = None
    steps: int | None = None
    sample_rate: float | None = None
    clip_norm: float = 1.0
    warmup_share: float | None = None
    draw_steps: int | None = None
    prior: str = "auto"
    preset: str = "corrected"
    seed: int = 0
    noise_seed: int | None = None
    n_samples: int | None = None
    labels: str | None = None
    evaluation: str = "quick"
    repeats: int | None = None
    folds: int | None = None
    shadows: int = 0
    audit: str = "none"
    workdir: str | None = None
    set: tuple[str, ...] = ()


_HELP = {
    "model": f"{', '.join(models.MODELS)} (default ddpm); baselines: {', '.join(BASELINES)}",
    "eps": "privacy budget, such as 1; inf: no privacy. This, or --noise_multiplier",
    "dataset": "digits (default), mnist, a 2-D MedMNIST name, the path of a folder or .npz",
    "n_per_class": "members of each class (default 50; paper: 10); 0: all",
    "n_public": "number of members that everybody may know (default: how many there are)",
    "seed": "chooses what is public: members, initialisation, images drawn (default 0)",
    "workdir": "private folder of the run (default runs/NAME); release/ in it may be handed out",
    "data_dir": "folder that already holds the data set's files",
    "side": "make images squares of so many pixels (28 for folders and for sides above 64)",
    "groups": "CSV (index or file, group): images of one patient, protected as a whole",
    "skip_unreadable": "leave unreadable files of a folder out",
    "n_samples": "synthetic images (default 100 a class, at least 1,000; with field at least n)",
    "labels": "classes to draw, as 0,1,1,2 (repeats weigh more; default: all, evenly)",
    "delta": "default 1 / (10 n)",
    "noise_multiplier": "standard deviation of the noise over the clip norm; eps is computed from it",
    "warmup_share": "share of the budget for a DP release whose draws teach the model; DP-SGD has the rest (default 1; "
    "0.3: DDPM, 3,500 images or more, --prior=scans; 0: --noise_multiplier, --steps, --sample_rate, paper)",
    "prior": "public images that help: auto (default: glyphs for digits and mnist, layers for octmnist, none for "
    "others), none, glyphs, layers, scans, images:WHAT (a data set, folder or .npz), module:function",
    "clip_norm": "l2 norm that each example's gradient is clipped to (default 1)",
    "sample_rate": "Poisson sampling rate of DP-SGD",
    "preset": "corrected (default) or paper (arXiv:2606.07640 as its code has it)",
    "steps": "steps of DP-SGD",
    "draw_steps": "steps on draws of the release (default 4000, DDPM 2500; 3000 above 12 pixels)",
    "set": "other settings, repeatable: model.NAME=VALUE, recipe.NAME=VALUE, model.size=tiny|default|paper, "
    "data.subset=random|first (in file order)",
    "evaluation": "the networks that judge utility: quick (default), full, or field, as papers do",
    "repeats": "runs on draws of the release, for the interval of another run (default 5)",
    "folds": "copies, each judged on members it never saw (default 5 below 50 test images)",
    "shadows": "even number of shadow models for LiRA: 64 are good, each costs a run",
    "audit": "none, one_run, two_worlds[:COPIES], samples[:COPIES] (synthetic images alone): a lower bound on eps from "
    "copies; exit code 3 where it refutes the claim. paper[:QUERIES]: that paper's empirical epsilon",
    "noise_seed": "makes sampling and noise repeatable; the record then says that it is disclosed",
}


def define_flags(options: type = Options, told: Mapping[str, str] = _HELP) -> None:
    """One absl flag for each field of a dataclass of options, with its help."""
    define = {
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
        bool: flags.DEFINE_bool,
    }
    for name, kind in kinds(options).items():
        if name == "set":
            flags.DEFINE_multi_string("set", [], told["set"])
        else:
            define[kind](name, getattr(options, name), told[name])


def kinds(options: type = Options) -> dict[str, Any]:
    """{field: its type}, X of X | None."""
    return {f.name: (*typing.get_args(f.type), f.type)[0] for f in dataclasses.fields(options)}


def from_flags(options: type = Options) -> Any:
    """The options that the parsed flags say."""
    values = {name: flags.FLAGS[name].value for name in kinds(options)}
    return options(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def given(options: Options) -> dict[str, Any]:
    """{field: its value} of those that are not the default, but for where data and results lie."""
    values = {
        name: getattr(options, name) for name in kinds() if name not in ("data_dir", "workdir")
    }
    return {name: value for name, value in values.items() if value != getattr(Options, name)}


def teaches(options: Options) -> bool:
    """Whether there is a release that a prior can help; of options that `check` let pass."""
    return options.model in OF_PRIOR or warmup_share(options) > 0


def warmup_share(options: Options) -> float:
    """The share of the budget for a warm-up, 0 where there is none; of options that `check` let pass."""
    if options.model not in models.MODELS or not 0 < (options.eps or 0) < math.inf:
        return 0.0
    if options.warmup_share is not None:
        return options.warmup_share
    dpsgd = options.steps or options.sample_rate or options.preset == "paper"
    return 0.0 if dpsgd and not options.draw_steps else 1.0


def audit(options: Options) -> tuple[str, int]:
    """(kind, how many copies or queries) of --audit=KIND or --audit=KIND:COUNT."""
    kind, colon, text = options.audit.partition(":")
    named("--audit=", kind, tuple(AUDITS))
    least, count = AUDITS[kind]
    if not colon:
        return kind, count
    if not least:
        raise InputError(f"--audit={options.audit}: {kind} has nothing to count; leave :{text} out")
    if not (text.isdecimal() and len(text) < 10 and least <= int(text) <= MOST_COPIES):
        raise InputError(
            f"--audit={options.audit}: {text} must be a whole number, {least} or more, at most {MOST_COPIES}"
        )
    return kind, int(text)


def choice(options: Options, name: str) -> str | None:
    """The value that --set gives to a name of CHOICES, the last if there are several; None where it gives none."""
    values = [pair.removeprefix(f"{name}=") for pair in options.set if pair.startswith(f"{name}=")]
    return values[-1] if values else None


def named(flag: str, value: str, values: tuple[str, ...]) -> None:
    """InputError with the nearest of `values` where `value` is none of them. `flag` ends in "=", as --model= ."""
    if value not in values:
        raise InputError(f"{flag}{value} is unknown: {nearest(value, values)}")


def whole(name: str, value: int | None, least: int, most: float = math.inf, why: str = "") -> None:
    """InputError where a flag's whole number is out of its limits. None is not given."""
    if value is not None and not least <= value <= most:
        ends = f"{least} or more" if most == math.inf else f"{least} to {most:,}"
        raise InputError(f"--{name}={value}: must be {ends}{why}")


def override(pairs: tuple[str, ...], model_config: Any, recipe: Any) -> tuple[Any, Any]:
    """(model config, recipe) with each `model.name=value` or `recipe.name=value` of --set put in.

    Names of CHOICES are left to `choice`. None: what a baseline has.
    Raises InputError for an unknown name (with the nearest) or a value of the wrong type.
    """
    parts = {"model": model_config, "recipe": recipe}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if equals and name in CHOICES:
            continue
        part, _, field = name.partition(".")
        if not equals or not field or part not in parts:
            raise InputError(f"--set={pair}: write model.NAME=VALUE or recipe.NAME=VALUE")
        fields = dataclasses.asdict(parts[part]) if parts[part] is not None else {}
        named(f"--set={part}.", field, tuple(fields))
        kind = type(fields[field])
        try:
            value = {"True": True, "False": False}[text] if kind is bool else kind(text)
        except (ValueError, KeyError):
            raise InputError(f"--set={pair}: {field} is a {kind.__name__}") from None
        parts[part] = dataclasses.replace(parts[part], **{field: value})
    for part, config in parts.items():
        limits.check(part, config)
    return parts["model"], parts["recipe"]


def sampling_labels(text: str | None, n_classes: int, count: int) -> np.ndarray:
    """int32 [count]: labels to draw: the classes in `text` (all where it is None) in turn, sorted."""
    text = text or ",".join(map(str, range(n_classes)))
    try:
        wanted = [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--labels={text}: write class numbers with commas, as 0,1,2") from None
    if not all(0 <= label < n_classes for label in wanted):
        raise InputError(f"--labels={text}: classes run from 0 to {n_classes - 1}")
    return np.sort(np.resize(np.asarray(wanted, np.int32), count))


def unprotected(model: str) -> bool:
    """Whether this generator runs without a mechanism, so that it has no eps to choose."""
    return model in BASELINES and model not in RELEASES
