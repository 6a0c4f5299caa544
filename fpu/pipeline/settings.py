"""Flags to settings: every choice of a run resolved, checked and JSON-able, before anything is written."""

import dataclasses
import difflib
import math
import typing

from absl import flags

from fpu import InputError, models
from fpu.baselines import BASELINES, RELEASES
from fpu.pipeline import defaults
from fpu.training import Recipe

MOST_STEPS = 10**7
AUDITS = ("none", "one_run", "two_worlds")


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags of a run, as typed. None means: decided from the data and the preset."""

    model: str = "ddpm"
    dataset: str = "digits"
    data_dir: str | None = None
    n_per_class: int | None = None
    n_train: int | None = None
    eps: float | None = None
    noise_multiplier: float | None = None
    delta: float | None = None
    steps: int | None = None
    sample_rate: float | None = None
    clip_norm: float = 1.0
    warmup: str | None = None
    warmup_share: float | None = None
    warmup_steps: int | None = None
    preset: str = "corrected"
    subset: str | None = None
    size: str | None = None
    seed: int = 0
    noise_seed: int | None = None
    n_samples: int | None = None
    labels: str | None = None
    evaluation: str = "quick"
    shadows: int = 0
    audit: str = "none"
    audit_runs: int | None = None
    queries: int = 0
    workdir: str | None = None
    set: tuple[str, ...] = ()


_HELP = {
    "model": f"one of {', '.join((*models.MODELS, *BASELINES))}",
    "dataset": "digits, mnist, a 2-D MedMNIST name, or a path to an .npz in MedMNIST's format",
    "data_dir": "folder that holds the data set's files already",
    "n_per_class": "members of each class (default 50; paper: 10); 0 = all",
    "n_train": "members in all, balanced over classes, instead of --n_per_class; 0 = all",
    "eps": "privacy budget; inf = no privacy. This, or --noise_multiplier",
    "noise_multiplier": "standard deviation of the noise over the clip norm; eps is then computed",
    "delta": "default 1 / (10 n)",
    "steps": "private steps",
    "sample_rate": "Poisson sampling rate q",
    "clip_norm": "l2 norm C that each example's gradient is clipped to",
    "warmup": "moments (teach the model on draws from one DP release first) or none; default: moments, but none "
    "at eps=inf and where --steps, --sample_rate or --noise_multiplier describe a DP-SGD of your own",
    "warmup_share": "share of the budget (of the sum of 1/sigma^2) for that release; 1 = no DP-SGD (default 1)",
    "warmup_steps": "steps on the draws (default 1000, or 3000 for images of more than 12 pixels a side)",
    "preset": "corrected (ours) or paper (arXiv:2606.07640 as coded)",
    "subset": "how members are chosen: random, or first in file order (default: random; paper: first)",
    "size": "tiny, default or paper (default: by the images)",
    "seed": "governs only what is public: subset, initialisation, sampling labels",
    "noise_seed": "research only: makes sampling and noise repeatable, and is disclosed in the record",
    "n_samples": "synthetic images (default: 100 a class, at least 1,000)",
    "labels": "classes to draw, such as 0,1,1,2 (repeats weigh more); default: all, evenly",
    "evaluation": "quick or full",
    "shadows": "shadow models for LiRA, each as costly as the run itself; even. 4 is the least, 16 tell much "
    "more than a plain score, 64 give every image a spread of its own (default 0: none)",
    "audit": "none, one_run or two_worlds: a lower bound on eps from copies trained beside the run; exit code 3 "
    "where it refutes the claim",
    "audit_runs": "copies in each world of --audit=two_worlds (default 50)",
    "queries": "with --preset=paper: images a class that the paper's empirical epsilon looks at; each costs "
    "a training, and so does each class (default 0: none)",
    "workdir": "where everything goes (default runs/...)",
    "set": "anything else, as model.width=64 or recipe.learning_rate=1e-3; repeatable",
}


def define_flags() -> None:
    """One absl flag for each field of Options."""
    define = {int: flags.DEFINE_integer, float: flags.DEFINE_float, str: flags.DEFINE_string}
    for field in dataclasses.fields(Options):
        if field.name == "set":
            flags.DEFINE_multi_string("set", [], _HELP["set"])
        else:
            kind = (*typing.get_args(field.type), field.type)[0]  # X of X | None
            define[kind](field.name, field.default, _HELP[field.name])


def from_flags() -> Options:
    """Options from parsed flags."""
    values = {f.name: getattr(flags.FLAGS, f.name) for f in dataclasses.fields(Options)}
    return Options(**(values | {"set": tuple(values["set"])}))


def check(options: Options) -> None:
    """Refuse what can be refused before the data are read. InputError names the flag and the fix."""
    named("--model=", options.model, (*models.MODELS, *BASELINES))
    named("--preset=", options.preset, defaults.PRESETS)
    named("--evaluation=", options.evaluation, ("quick", "full"))
    if options.subset is not None:
        named("--subset=", options.subset, ("random", "first"))
    if options.size is not None:
        named("--size=", options.size, ("tiny", "default", "paper"))
    if options.workdir is not None and "://" in options.workdir:
        raise InputError(
            f"--workdir={options.workdir}: a run is private and locked while it lasts: name a folder of this machine; "
            "experiments.sweep --out may be a bucket"
        )
    real = unprotected(options.model)
    if options.eps is not None and options.noise_multiplier is not None:
        raise InputError("--eps and --noise_multiplier: give one, the other is solved for")
    if options.eps is None and options.noise_multiplier is None and not real:
        raise InputError(
            "--eps is missing: give a budget such as --eps=1, or --eps=inf for no privacy"
        )
    if options.eps is not None and not options.eps > 0:
        raise InputError(
            f"--eps={options.eps:g}: must be positive, such as --eps=1; --eps=inf switches privacy off"
        )
    if real and (options.noise_multiplier or (options.eps or math.inf) < math.inf):
        raise InputError(
            f"--model={options.model} runs no private mechanism: only --eps=inf makes sense"
        )
    if options.noise_multiplier is not None and not 0 <= options.noise_multiplier < math.inf:
        raise InputError(
            f"--noise_multiplier={options.noise_multiplier:g}: must be finite, and 0 or more"
        )
    if not 1e-6 <= options.clip_norm < math.inf:
        raise InputError(
            f"--clip_norm={options.clip_norm:g}: must be positive (at least 1e-6) and finite; usual is 1"
        )
    if options.seed >= 2**32:
        raise InputError(f"--seed={options.seed}: must be below 2^32, or seeds would coincide")
    if options.sample_rate is not None and not 0 < options.sample_rate <= 1:
        raise InputError(
            f"--sample_rate={options.sample_rate:g}: must lie in (0, 1]; 1 is everybody, every step"
        )
    if options.delta is not None and not 0 < options.delta < 1:
        raise InputError(
            f"--delta={options.delta:g}: must lie in (0, 1/n); left out, it is 1/(10 n)"
        )
    for name in ("steps", "n_samples"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise InputError(f"--{name}={value}: must be at least 1")
    if options.steps is not None and options.steps > MOST_STEPS:
        raise InputError(
            f"--steps={options.steps}: must be at most {MOST_STEPS}, or accounting alone takes hours"
        )
    for name in ("n_per_class", "n_train", "seed", "noise_seed", "queries"):
        value = getattr(options, name)
        if value is not None and value < 0:
            raise InputError(f"--{name}={value}: must not be negative")
    if options.n_per_class is not None and options.n_train is not None:
        raise InputError("--n_per_class and --n_train: give one of them")
    _check_warmup(options)
    _check_copies(options)


def _check_copies(options: Options) -> None:
    named("--audit=", options.audit, AUDITS)
    if options.shadows and (options.shadows < 4 or options.shadows % 2):
        raise InputError(
            f"--shadows={options.shadows}: must be even, and 4 or more; 0 switches LiRA off"
        )
    if options.queries and options.preset != "paper":
        raise InputError(
            f"--queries={options.queries}: the paper's empirical epsilon needs --preset=paper"
        )
    if options.audit_runs is not None and options.audit != "two_worlds":
        raise InputError("--audit_runs: only --audit=two_worlds has runs to count")
    if options.audit_runs is not None and options.audit_runs < 10:
        raise InputError(f"--audit_runs={options.audit_runs}: must be 10 or more")
    for name, asked in (("shadows", options.shadows), ("audit", options.audit != "none")):
        if asked and options.model in BASELINES:
            raise InputError(
                f"--{name}: --model={options.model} has no membership score; use one of "
                f"{', '.join(models.MODELS)}"
            )


def _check_warmup(options: Options) -> None:
    if options.warmup is not None:
        named("--warmup=", options.warmup, ("moments", "none"))
    if options.warmup_share is not None and not 0 < options.warmup_share <= 1:
        raise InputError(
            f"--warmup_share={options.warmup_share:g}: must lie in (0, 1]; --warmup=none is share 0"
        )
    if options.warmup_steps is not None and options.warmup_steps < 1:
        raise InputError(f"--warmup_steps={options.warmup_steps}: must be at least 1")
    asked = [f"--{n}" for n in ("warmup_share", "warmup_steps") if getattr(options, n) is not None]
    if options.warmup == "moments":
        asked.append("--warmup=moments")
    if not asked:
        return
    for reason, holds in (
        (f"--model={options.model} is not trained", options.model in BASELINES),
        ("--warmup=none", options.warmup == "none"),
        ("--noise_multiplier is that of DP-SGD alone: give --eps", options.eps is None),
        ("at --eps=inf the images themselves teach the model", options.eps == math.inf),
    ):
        if holds:
            raise InputError(f"{asked[0]}: there is no warm-up here: {reason}")
    if (options.warmup_share or 1) == 1 and (options.steps or options.sample_rate):
        raise InputError(
            f"{asked[0]}: the warm-up has the whole budget, so --steps and --sample_rate mean nothing: "
            "add --warmup_share=0.5, or leave them out"
        )


def warmup_share(options: Options) -> float:
    """The share of the budget for a warm-up, 0 where there is none; of options that `check` let pass."""
    trained = options.model in models.MODELS and 0 < (options.eps or 0) < math.inf
    own = options.steps or options.sample_rate or options.preset == "paper"
    if not trained or options.warmup == "none":
        return 0.0
    asked = options.warmup or options.warmup_share or options.warmup_steps
    return (options.warmup_share or 1.0) if asked or not own else 0.0


def named(before: str, value: str, known: tuple[str, ...]) -> None:
    """InputError naming the nearest of the known values. `before` is what stands before it: --model= ."""
    if value not in known:
        near = difflib.get_close_matches(value, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else "choose"
        raise InputError(f"{before}{value} is unknown: {hint} (known: {', '.join(known)})")


def override(pairs: tuple[str, ...], model_config, recipe: Recipe):
    """(model config, recipe) with each `model.name=value` or `recipe.name=value` put in.

    Raises InputError for an unknown name (with the nearest) or a value of the wrong type.
    """
    parts = {"model": model_config, "recipe": recipe}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        part, _, field = name.partition(".")
        if not equals or not field or part not in parts:
            raise InputError(f"--set={pair}: write model.NAME=VALUE or recipe.NAME=VALUE")
        known = dataclasses.asdict(parts[part]) if parts[part] is not None else {}
        named(f"--set={part}.", field, tuple(known))
        kind = type(known[field])
        try:
            value = {"True": True, "False": False}[text] if kind is bool else kind(text)
        except (ValueError, KeyError):
            raise InputError(f"--set={pair}: {field} is a {kind.__name__}") from None
        parts[part] = dataclasses.replace(parts[part], **{field: value})
    if recipe is not None and (parts["recipe"].microbatch < 0 or parts["recipe"].critic_steps < 1):
        raise InputError(
            "--set: recipe.microbatch must be 0 or more, recipe.critic_steps 1 or more"
        )
    return parts["model"], parts["recipe"]


def sampling_labels(text: str | None, n_classes: int, count: int) -> list[int]:
    """The labels to draw, `count` of them: the wanted classes (all where text is None) in turn."""
    text = text or ",".join(map(str, range(n_classes)))
    try:
        wanted = [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--labels={text}: write class numbers with commas, as 0,1,2") from None
    if not all(0 <= label < n_classes for label in wanted):
        raise InputError(f"--labels={text}: classes run from 0 to {n_classes - 1}")
    return sorted(wanted[i % len(wanted)] for i in range(count))


def sample_count(options: Options, n_classes: int, images_per_class: int) -> int:
    """How many images to draw. A baseline that hands out real images stops where they run out."""
    count = options.n_samples or max(1000, 100 * n_classes)
    if options.n_samples is None and options.model in ("copycat", "fresh"):
        return max(n_classes, min(count, n_classes * images_per_class))
    return count


def unprotected(model: str) -> bool:
    """Whether this generator runs without a mechanism, so that it has no eps to choose."""
    return model in BASELINES and model not in RELEASES
