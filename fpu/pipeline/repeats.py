"""What another run at the same settings would release: the mechanism again, on draws of the release itself.

One release is one draw of the noise. How far another would lie from it is not seen in it, but draws of the release
are like its members, and on them the mechanism can be run again and again. What comes out depends on the release and
on the members' class counts. It serves for intervals in the private report and is never published. This is a
parametric bootstrap (B. Efron, 1979): its spread is taken, not its centre.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from fpu import data, training
from fpu.pipeline import draw, progress, train
from fpu.pipeline.jobs import Job

DEFAULT = 5  # where a repeat takes seconds: one-shot releases, and models taught by draws of one


def count(job: Job) -> int:
    """How many repeats: those asked for, or DEFAULT where they are cheap; none where nothing is noised.

    In the protocol of the field each repeat is judged by a training of minutes: none unless asked for.
    """
    if not job.plan.private:
        return 0
    if job.options.repeats is not None:
        return job.options.repeats
    cheap = train.dpsgd(job.plan) is None and job.options.evaluation != "field"
    return DEFAULT if cheap else 0


def sets(
    job: Job, sample: Callable, labels: np.ndarray, key: jax.Array, public: jax.Array
) -> Iterator[np.ndarray]:
    """The images, uint8 [n, H, W, C], of `count` other runs, one set after the other; the plan is that of the run.

    Args:
      sample: (key, labels) -> images of the released generator.
      labels: ints [n], of the images that the run drew; theirs are the same.
      key: typed key, as secret as the data. public: the run's: the draws differ by the mechanism alone.

    A model taught by draws is trained again only where --repeats asks for it. Else draws of the repeated release,
    which taught it, stand for its own: the noise is the same, and what learning adds to it is small.
    """
    wanted = count(job)
    if not wanted:
        return
    progress.say(f"{wanted} other releases at these settings, from draws of this one")
    k_members, k_noise = jax.random.split(key)
    members = _members(job, sample, k_members)
    for number in range(wanted):
        made = _generator(job, members, jax.random.fold_in(k_noise, number), public)
        yield job.draw(made, labels, public)


def _members(job: Job, sample: Callable, key: jax.Array) -> training.Pool:
    """As many draws as there are units, of their classes: each draw a unit."""
    table, _ = data.units(job.dataset, job.split.members)
    labels = job.dataset.labels[job.split.members][table[:, 0]].astype(np.int32)
    return train.singles(draw.draw(sample, key, labels, draw.CHUNK), labels)


def _generator(job: Job, members: training.Pool, key: jax.Array, public: jax.Array) -> Any:
    """(key, labels) -> images of the mechanism run on `members`."""
    if not job.trained:
        return job.sampler(train.fitted(job.baseline, members, job.n, job.plan, key))
    k_release, k_sgd = jax.random.split(key)
    task = job.task(k_release, k_sgd, public, members)
    if job.options.repeats is None:
        return functools.partial(job.teacher.sample, train.release(job.teacher, task))
    return job.sampler(next(train.each(train.train(job.trainer, [task]).params)))
