"""What is refused of the flags of a run before its data are read: one line that names the flag and the fix."""

import itertools
import math
from collections.abc import Iterator

from fpu import InputError, models, priors
from fpu.baselines import BASELINES, OF_PRIOR
from fpu.pipeline import defaults, settings

_WHOLE = {  # least, most and why, of whole numbers
    "steps": (1, settings.MOST_STEPS, ", or accounting alone takes hours"),
    "draw_steps": (1, settings.MOST_STEPS, ", or training takes days"),
    # Each is also a file of the release.
    "n_samples": (1, 10**5, "; experiments.generate draws more of them later"),
    "n_public": (1, 10**9),
    "n_per_class": (0,),
    "seed": settings.SEEDS,
    "noise_seed": (0,),
    "shadows": (0, settings.MOST_COPIES, ": each is a training"),
    "repeats": (0, settings.MOST_COPIES, ": each is a run"),
    "folds": (0, settings.MOST_COPIES, ": each is a run"),
}


def check(options: settings.Options) -> None:
    """Refuse what can be refused before the data are read. InputError names the flag and the fix."""
    settings.named("--model=", options.model, (*models.MODELS, *BASELINES))
    priors.check(options.prior)
    settings.named("--preset=", options.preset, tuple(defaults.PRESETS))
    settings.named("--evaluation=", options.evaluation, settings.EVALUATIONS)
    for name, values in settings.CHOICES.items():
        if (value := settings.choice(options, name)) is not None:
            settings.named(f"--set={name}=", value, values)
    if options.workdir is not None and "://" in options.workdir:
        raise InputError(
            f"--workdir={options.workdir}: a run is private and locked while it lasts: name a folder of this machine; "
            "experiments.sweep --out may be a bucket"
        )
    parts = _budget, _numbers, _warmup, _prior, _copies
    lines = itertools.chain.from_iterable(part(options) for part in parts)
    if first := next(lines, None):
        raise InputError(first)


def _budget(options: settings.Options) -> Iterator[str]:
    real = settings.unprotected(options.model)
    if options.eps is not None and options.noise_multiplier is not None:
        yield "--eps and --noise_multiplier: give one, the other is solved for"
    if options.eps is None and options.noise_multiplier is None and not real:
        yield "--eps is missing: give a budget such as --eps=1, or --eps=inf for no privacy"
    if options.eps is not None and not options.eps > 0:
        yield f"--eps={options.eps:g}: must be positive, such as --eps=1; --eps=inf switches privacy off"
    if real and (options.noise_multiplier or (options.eps or math.inf) < math.inf):
        yield f"--model={options.model} runs no private mechanism: only --eps=inf makes sense"
    if options.noise_multiplier is not None and not 0 <= options.noise_multiplier < math.inf:
        yield f"--noise_multiplier={options.noise_multiplier:g}: must be finite, and 0 or more"


def _numbers(options: settings.Options) -> Iterator[str]:
    if not 1e-6 <= options.clip_norm < math.inf:
        yield f"--clip_norm={options.clip_norm:g}: must be positive (at least 1e-6) and finite; usual is 1"
    if options.sample_rate is not None and not 0 < options.sample_rate <= 1:
        yield f"--sample_rate={options.sample_rate:g}: must lie in (0, 1]; 1 is everybody, every step"
    if options.delta is not None and not 0 < options.delta < 1:
        yield f"--delta={options.delta:g}: must lie in (0, 1/n); left out, it is 1/(10 n)"
    for name, limits in _WHOLE.items():
        settings.whole(name, getattr(options, name), *limits)
    for name in ("repeats", "folds"):
        if getattr(options, name) == 1:
            yield f"--{name}=1: must be 0 for none, or 2 and more"


def _copies(options: settings.Options) -> Iterator[str]:
    kind, _ = settings.audit(options)
    if options.shadows and (options.shadows < 4 or options.shadows % 2):
        yield f"--shadows={options.shadows}: must be even, and 4 or more; 0 switches LiRA off"
    if kind == "paper" and options.preset != "paper":
        yield f"--audit={options.audit}: the paper's empirical epsilon needs --preset=paper"
    if kind == "samples" and settings.unprotected(options.model):
        yield f"--audit=samples: --model={options.model} claims nothing that an audit could refute"
    for name, asked in (("shadows", options.shadows), ("audit", kind in ("one_run", "two_worlds"))):
        if asked and options.model in BASELINES:
            known = ", ".join(models.MODELS)
            yield f"--{name}: --model={options.model} has no membership score; use one of {known}"


def _warmup(options: settings.Options) -> Iterator[str]:
    share = options.warmup_share
    if share is not None and not 0 <= share <= 1:
        yield f"--warmup_share={share:g}: must lie in [0, 1]; 0 is DP-SGD alone"
    asked = [f"--{n}" for n in ("warmup_share", "draw_steps") if getattr(options, n)]
    if not asked:
        return
    if reason := _untaught(options) or ("--warmup_share=0" if share == 0 else ""):
        yield f"{asked[0]}: there is no warm-up here: {reason}"
    if (share or 1) == 1 and (options.steps or options.sample_rate):
        yield (
            f"{asked[0]}: the warm-up has the whole budget, so --steps and --sample_rate mean nothing: "
            "add --warmup_share=0.5, or leave them out"
        )


def _prior(options: settings.Options) -> Iterator[str]:
    if options.model in OF_PRIOR and options.prior == "none":
        yield f"--model={options.model}: draws images of a prior: name one, as --prior=glyphs"
    if options.prior in ("auto", "none") or settings.teaches(options):
        return
    reason = _untaught(options)
    reason = reason or "DP-SGD has the whole budget: add --warmup_share=0.5, or leave --prior out"
    yield f"--prior={options.prior}: there is no release here to help: {reason}"


def _untaught(options: settings.Options) -> str:
    """Why no release teaches a model here, whatever its share; "" where one may."""
    if options.model in BASELINES:
        return f"--model={options.model} takes none"
    if options.eps is None:
        return "--noise_multiplier is that of DP-SGD alone: give --eps"
    return "at --eps=inf the images themselves teach the model" if math.isinf(options.eps) else ""
