"""Which public prior a run has, and what is released in its space."""

import functools
import pathlib

from fpu import InputError, data, models, priors
from fpu.baselines import BASELINES, OF_PRIOR, Baseline
from fpu.pipeline import progress, settings
from fpu.report import words


def spec(dataset: data.Dataset) -> models.Spec:
    """What a model or a prior may know of the data."""
    return models.Spec(dataset.shape, dataset.n_classes)


def chosen(options: settings.Options, dataset: data.Dataset) -> str:
    """What --prior says, and where it says auto, what the public rule says; none where there is no release to help.

    Raises InputError where images of a prior are to be drawn and the rule names none.
    """
    if not settings.teaches(options):
        return "none"
    if options.prior != "auto":
        _refuse_the_data_themselves(options)
        return options.prior
    name = "none" if options.preset == "paper" else priors.auto(dataset.name, spec(dataset))
    if options.model in OF_PRIOR and name == "none":
        raise InputError(
            f"--model={options.model}: no prior is known to fit {dataset.name}: name one, as --prior=glyphs, or use "
            "--model=gaussian"
        )
    return name


def _refuse_the_data_themselves(options: settings.Options) -> None:
    """InputError where --prior=images: names the data set of the run: its images would be handed out as public ones."""
    kind, _, what = options.prior.partition(":")
    if kind != "images":
        return
    ours, theirs = (pathlib.Path(name).expanduser().resolve() for name in (options.dataset, what))
    inside = ours.exists() and (ours.is_relative_to(theirs) or theirs.is_relative_to(ours))
    if what == options.dataset or inside:
        raise InputError(
            f"--prior=images:{what} is what --dataset={options.dataset} names: public images are other images, which "
            "anybody may see"
        )


def of_classifier(asked: str, dataset: data.Dataset, data_dir: str | None) -> priors.Prior | None:
    """In whose space the private classifier works where a run has no prior of its own, as `gaussian` has none.

    asked: --prior.
    """
    name = priors.auto(dataset.name, spec(dataset)) if asked == "auto" else asked
    return load(name, spec(dataset), data_dir)


@functools.lru_cache(maxsize=2)
def load(name: str, spec: models.Spec, data_dir: str | None) -> priors.Prior | None:
    """priors.load under a name that tells of no path, as a release tells it; None of none. Kept for later runs."""
    if name == "none":
        return None
    prior = priors.load(name, spec, data_dir, progress.say)
    return prior._replace(name=words.prior_name({"prior": name}))


def baseline(name: str, spec: models.Spec, prior: priors.Prior | None) -> Baseline:
    """A generator of BASELINES for these images; of OF_PRIOR with that prior."""
    return BASELINES[name](spec, *([prior] if name in OF_PRIOR else []))
