"""Cross-fitted evaluation of a run: copies of its generator, each trained without a fold of the members.

They are made where too few real images are left to test on. They are never released: what they say of the members
goes into the private record alone.
"""

from collections.abc import Iterator

import jax
import numpy as np

from fpu import crossfit, data
from fpu.pipeline import copies, progress, settings, train
from fpu.pipeline.jobs import Job

DEFAULT = 5
FEW = 50  # test images: with fewer, fidelity cannot be told, and accuracy has an interval of 28 points or more


def count(job: Job) -> int:
    """How many folds: those asked for, or DEFAULT where fewer than FEW test images are left; 0 is none.

    No folds where the generator hands out real images; at most one for each unit.
    """
    if settings.unprotected(job.options.model):
        return 0
    wanted = job.options.folds
    if wanted is None:
        wanted = DEFAULT if len(job.split.test) < FEW else 0
    units = len(data.units(job.dataset, job.split.members)[1])
    return min(wanted, units) if units > 1 else 0


def judge(job: Job, labels: np.ndarray, key: jax.Array, public: jax.Array) -> dict | None:
    """crossfit.judge of this job's generator; None where `count` is 0.

    Args:
      labels: ints [m], of the images that the run drew; the copies draw the same.
      key: typed key, as secret as the data. public: the run's: copies begin as the released model did.
    """
    if not (many := count(job)):
        return None
    progress.say(
        f"{len(job.split.test)} test images: {many} copies, each without a part of the members, are judged on that part"
    )
    index = job.split.members
    images, classes = job.dataset.images[index], job.dataset.labels[index]
    owner, _ = data.unit_of(job.dataset, index)
    _, firsts = np.unique(owner, return_index=True)
    fold = crossfit.folds(classes[firsts], many, np.random.default_rng([job.options.seed, 4]))
    masks = fold[None] != np.arange(many)[:, None]
    made = copies.train_masks(job, train.pool(job.dataset, index), masks, key, public)
    return crossfit.judge(
        crossfit.Members(images, classes, owner, fold, job.dataset.unit),
        _copies(job, made, labels, public),
        labels,
        job.dataset.n_classes,
        seed=job.options.seed,
        protocol=job.options.evaluation,
    )


def _copies(job: Job, made, labels: np.ndarray, public: jax.Array) -> Iterator[crossfit.Copy]:
    """What each copy draws, and how it scores images where it is a model."""
    for params in made:
        images = job.draw(job.sampler(params), labels, public)
        scores = job.scorer(params, public) if job.trained else None
        yield crossfit.Copy(images, scores)
