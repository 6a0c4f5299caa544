"""What flags and data decide before there is a plan: members, their public number, images to draw, delta, prior."""

import dataclasses
import math

import numpy as np

from fpu import InputError, data
from fpu.pipeline import defaults, prior, progress, settings

_MOST_BYTES = 2**30  # of the images that a run draws


def of(options: settings.Options) -> tuple[data.Dataset, data.Split, dict]:
    """The data, who is a member, and the record's config as far as it follows from them.

    Raises InputError for bad input.
    """
    dataset = data.load(
        options.dataset,
        options.data_dir,
        side=options.side,
        groups=options.groups,
        skip_unreadable=options.skip_unreadable,
    )
    n_per_class, subset = defaults.PRESETS[options.preset]
    n_per_class = n_per_class if options.n_per_class is None else options.n_per_class
    subset = settings.choice(options, "data.subset") or subset
    size = settings.choice(options, "model.size") or defaults.size(options.preset, dataset.shape)
    split = _split(options, dataset, n_per_class, subset)
    _look_at(options, dataset.images[split.members])
    n = _public_number(options, len(data.units(dataset, split.members)[1]))
    source = split.nonmembers if options.model == "fresh" else split.members
    fewest = int(np.bincount(dataset.labels[source], minlength=dataset.n_classes).min())
    settings.sampling_labels(options.labels, dataset.n_classes, 1)  # refuse bad labels now
    infinite = options.eps is not None and math.isinf(options.eps)
    config = dataclasses.asdict(options) | {
        "n_per_class": n_per_class,
        "prior": prior.chosen(options, dataset),
        "size": size,
        "subset": subset,
        "delta": options.delta or 1 / (10 * n),
        "eps": "inf" if infinite else options.eps,
        "sha256_members": data.manifest(dataset, split)["sha256_members"],
        "n_samples": _sample_count(options, dataset.n_classes, fewest, n),
        "n_public": n,
    }
    if config["delta"] >= 1 / n:
        raise InputError(
            f"--delta={config['delta']:g}: must be below 1/n = {1 / n:g}; left out, it is 1/(10 n)"
        )
    _refuse_too_large(config["n_samples"], dataset.shape)
    for name in ("workdir", "data_dir"):
        del config[name]
    return dataset, split, config


def _split(options, dataset: data.Dataset, n_per_class: int, subset: str) -> data.Split:
    """The split; where nobody asked for a number of each class, a class that has fewer gives what it has."""
    asked = options.n_per_class is not None or subset == "first"
    split = data.partition(
        dataset,
        n_per_class=n_per_class or None,
        seed=options.seed,
        subset=subset,
        at_most=not asked,
    )
    if not asked:
        counts = np.bincount(dataset.labels[split.members], minlength=dataset.n_classes)
        few = [
            f"{dataset.class_names[k]}: {counts[k]}" for k in np.flatnonzero(counts < n_per_class)
        ]
        if few:
            told = f"fewer than {n_per_class} to train on of {', '.join(few)}"
            progress.say(f"{told}; all of them are members")
    return split


def _sample_count(options: settings.Options, n_classes: int, images_per_class: int, n: int) -> int:
    """How many images to draw. A baseline that hands out real images stops where they run out.

    The protocol of the field draws as many as there are members; n is their public number.
    """
    least = n if options.evaluation == "field" else 0
    count = options.n_samples or max(1000, 100 * n_classes, least)
    if options.n_samples is None and options.model in ("copycat", "fresh"):
        return max(n_classes, min(count, n_classes * images_per_class))
    return count


def _public_number(options: settings.Options, units: int) -> int:
    """n of the plan, of the default delta and of every average: --n_public, or the count, which is then public."""
    n = options.n_public or units
    if n < units:
        raise InputError(
            f"--n_public={n}: {units:,} members were listed; name that many or more, or a smaller --n_per_class"
        )
    return n


def _look_at(options: settings.Options, images: np.ndarray) -> None:
    """Say so where all members are one image: most likely the file is not what it should be.

    A private run is not refused for it: whether it ends would tell of its images.
    """
    if len(images) < 2 or not all(np.array_equal(image, images[0]) for image in images):
        return
    text = (
        f"--dataset={options.dataset}: all {len(images):,} members are the same image; "
        "check how the file was made"
    )
    if not math.isinf(options.eps or math.inf) or options.noise_multiplier:
        progress.say(text)
    else:
        raise InputError(text)


def _refuse_too_large(count: int, shape: tuple[int, int, int]) -> None:
    most = _MOST_BYTES // math.prod(shape)
    if count > most:
        raise InputError(
            f"--n_samples={count}: images of {shape[0]}x{shape[1]} pixels fill {count * math.prod(shape):,} bytes; at "
            f"most {most} are drawn by a run, more by experiments.generate"
        )
