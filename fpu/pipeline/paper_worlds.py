"""The three worlds of the paper (arXiv:2606.07640), as cells of one training program.

    full      all members: the run itself, which fidelity and utility look at
    ablated   all members but those of one class
    victim    ablated, and ONE image of that class: the query

Every class is left out in turn, and has `queries` images as queries: its first members, so that with one
query a class the paper's own (of class 0, or 3 for OrganAMNIST) is among them. All worlds run the plan of the
run with its constants: N is the number of all members, also where 90 or 91 of 100 take part.
"""

from typing import NamedTuple

import jax
import numpy as np

from fpu.baselines import RELEASES
from fpu.intervals import missing
from fpu.pipeline import copies, draw, progress, train
from fpu.pipeline.jobs import Job
from fpu.privacy import paper_epsilon

SAMPLES = 100  # of each class, from each world
NOTE = (
    "Not a bound on eps: an estimate, in a plane and at chosen images, of how much denser one training's "
    "samples lie than another's."
)


class Worlds(NamedTuple):
    """Masks over the members' pool. World i of `victim` differs from ablated[of[i]] by the unit query[i]."""

    ablated: np.ndarray  # bool [A, U], one for each class that has members
    victim: np.ndarray  # bool [V, U]
    classes: np.ndarray  # ints [A], the class that is left out
    query: np.ndarray  # ints [V]
    of: np.ndarray  # ints [V]


def worlds(labels: np.ndarray, queries: int) -> Worlds:
    """The worlds of members with these labels [U], with the first `queries` members of each class as queries."""
    labels = np.asarray(labels)
    classes = np.unique(labels)
    ablated = labels != classes[:, None]
    firsts = [np.flatnonzero(labels == c)[:queries] for c in classes]
    query = np.concatenate([*firsts, np.arange(0)])
    of = np.repeat(np.arange(len(classes)), [len(f) for f in firsts])
    victim = ablated[of] | (np.arange(len(labels)) == query[:, None])
    return Worlds(ablated, victim, classes, query, of)


def judge(job: Job, key: jax.Array, queries: int = 1) -> dict:
    """The paper's empirical epsilon of a run's model: the record's privacy['empirical_epsilon'].

    Trains A + V models for A classes and V = A * queries queries, each with keys of its own. From each 100
    images of EVERY class are drawn, as the paper does, so also of the class that the ablated world has no member of:
    its label is asked for, and the model answers with what it makes of a label it never saw.

    Args:
      key: typed key, as secret as the members.
      queries: images of each class that take their turn as query.

    Returns: {'overall', 'per_class', 'unchanged'} as fpu.privacy.paper_epsilon has them, beside the counts;
    or a metric that is missing, with the reason.
    """
    dataset, split = job.dataset, job.split
    labels = dataset.labels[split.members]
    if not (job.trained or job.options.model in RELEASES):
        return missing(f"{job.options.model} is not trained: worlds of it would be copies")
    if dataset.groups is not None:
        return missing("a world differs by one image; the privacy unit of these data is a group")
    if len(np.unique(labels)) < 2:
        return missing("all members are of one class: without it there is nothing to train on")
    real = np.sort(np.concatenate([split.members, split.nonmembers, split.reference]))
    progress.say("empirical epsilon: fitting Isomap, up to a minute")
    try:
        plane = paper_epsilon.embedding(dataset.images[real], dataset.labels[real])
    except ValueError as reason:
        return missing(str(reason))
    every = worlds(labels, queries)
    masks = np.concatenate([every.ablated, every.victim])
    progress.say(
        f"empirical epsilon: {len(masks)} trainings: {len(every.ablated)} worlds without a class and "
        f"{len(every.victim)} with one image of it"
    )
    k_train, k_draw = jax.random.split(key)
    models = copies.train_masks(job, train.pool(dataset, split.members), masks, k_train)
    diverged = sum(not train.finite(params) for params in models)
    if diverged:
        return missing(f"{diverged} of {len(masks)} trainings diverged")
    progress.say(f"empirical epsilon: {SAMPLES} images a class from each of {len(masks)} models")
    points = [plane.embed(images) for images in _drawn(job, models, k_draw)]
    own = plane.embed(dataset.images[split.members])
    counts = {
        "k": paper_epsilon.K,
        "neighbours": paper_epsilon.NEIGHBOURS,
        "dimension": paper_epsilon.DIMENSION,
        "embedded_per_class": {str(c): n for c, n in plane.per_class.items()},
        "embedded": plane.n,
        "samples_per_class": SAMPLES,
        "queries": len(every.query),
        "trainings": len(masks),
    }
    return {"note": NOTE, **counts, **_ratios(every, own, points)}


def _drawn(job, models, key):
    """uint8 images of every class in turn, from one model after the other."""
    labels = np.repeat(np.arange(job.dataset.n_classes, dtype=np.int32), SAMPLES)
    for i, params in enumerate(models):
        yield draw.draw(job.sampler(params), jax.random.fold_in(key, i), labels, draw.CHUNK)


def _ratios(every: Worlds, own, points) -> dict:
    """The metrics, of the members' points [U, 2] and the samples' points of each world."""
    at_query, beside = np.empty(len(every.query)), []
    for v, (query, a) in enumerate(zip(every.query, every.of, strict=True)):
        ratios = paper_epsilon.log_ratio(own, points[a], points[len(every.ablated) + v])
        at_query[v] = ratios[query]
        beside.append(ratios[every.ablated[a]])
    return paper_epsilon.summary(at_query, every.classes[every.of]) | {
        "unchanged": paper_epsilon.unchanged(np.concatenate(beside))
    }
