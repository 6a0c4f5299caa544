"""Which classifiers are judged, on what they are trained, and on what they are tested.

Each row answers one question about the synthetic set: what it is worth as training data, between a floor and a
ceiling; what it adds to the members; whether its labels are right; and what the same budget is worth without a
generator. All are tested on the real test images, which are used for nothing else, except `label_fidelity`, which is
tested on the synthetic ones. A protocol says which network is trained on the synthetic images and on the real ones
beside them, how often and for how long. Numbers of two protocols are never compared.
"""

import functools
import hashlib
import importlib.metadata
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from fpu.dp.rounding import rounded_up
from fpu.files import cache as caches
from fpu.priors import Prior
from fpu.utility import classifier, field, linear, metrics, private_classifier


class Protocol(NamedTuple):
    """How the networks of the rows are trained."""

    network: Any  # the module whose train_all and logits they are: classifier or field
    seeds: int
    steps: int
    small_steps: int  # of the small network of `classifier` that judges labels and gives features


PROTOCOLS = {
    "quick": Protocol(classifier, 1, classifier.STEPS, classifier.STEPS),
    "full": Protocol(classifier, 3, 3 * classifier.STEPS, 3 * classifier.STEPS),
    "field": Protocol(field, field.SEEDS, field.STEPS, 3 * classifier.STEPS),
}

LabelledImages = tuple[np.ndarray, np.ndarray]  # uint8 [n, H, W, C] and ints [n]


def rows(
    real: Mapping[str, LabelledImages],
    synthetic: LabelledImages,
    beside: Mapping[str, LabelledImages],
    n_classes: int,
    *,
    budget: tuple[float, float] | None = None,
    n: int | None = None,
    units: private_classifier.Units | None = None,
    prior: Prior | None = None,
    network: Any = None,
    seed: int = 0,
    protocol: str = "quick",
    secret: jax.Array | None = None,
    cache: Path | None = None,
    progress: Callable[[str], Any] = lambda line: None,
) -> dict[str, dict]:
    """All rows of the record's 'utility'.

    Args:
      real: {'members', 'nonmembers', 'reference', 'test': (uint8 images, int labels)}.
      synthetic: (images, labels).
      beside: {name: (images, labels)}, other synthetic sets; each has a row of its own.
      budget: (eps, delta) of the run, or None where it is not private: no private_classifier then.
      n: the public number of units among the members, for the private classifier; None: how many there are.
      units: what the budget protects, as data.units of the members; None: each image.
      prior: public images in whose space the private classifier works; None: on the frequencies of the image.
      network: parameters of classifier.train on unseen real images with `seed`: the feature network
        of the fidelity metrics, so that it is trained once. None: too few images are unseen.
      seed: public. Network i takes seed + i.
      secret: None, or the private classifier's key: see private_classifier.Way.
      cache: a folder for the metrics of rows without synthetic images, or None. It holds no image and no network.
      progress: called with one line before each training.

    Returns: {row: metrics.judge of it}, or the reason why a row has none.
      synthetic; NAME of each other set
      members: the floor; all_real: the ceiling, members with every unseen image of the split
      members_and_synthetic: what the synthetic images add; not in the protocol field
      label_fidelity: trained on unseen real images, tested on the synthetic
      reference: the same networks tested on real images, to compare label_fidelity with
      private_classifier: trained privately on the members at the run's eps and delta, a budget of its own
      linear_synthetic, linear_members: the linear probe
    """
    members, test, how = real["members"], real["test"], PROTOCOLS[protocol]
    seeds = range(seed, seed + how.seeds)
    cached = functools.partial(_cached, cache, test, n_classes, seeds, protocol)

    def train(name, data):
        progress(f"utility: training on {len(data[0])} {name.replace('_', ' ')} images")
        return metrics.train_and_test(
            data, test, n_classes, seed=seed, seeds=how.seeds, steps=how.steps, network=how.network
        )

    def probe(data):
        def predict():
            return linear.probabilities(data, test[0], n_classes)[None]

        return _judged({"training": data, "test": test}, n_classes, seed, predict)

    sets = {"synthetic": synthetic, **beside}
    out = {name: train(name, data) for name, data in sets.items()}
    out["members"] = cached("network", members, lambda: train("members", members))
    everything = join(members, real["nonmembers"], real["reference"])
    out["all_real"] = cached("network", everything, lambda: train("real", everything))
    if protocol != "field":
        out["members_and_synthetic"] = train("member and synthetic", join(members, synthetic))
    networks = _unseen(network, real["reference"], n_classes, seeds, how.small_steps, progress)
    for name, data in (("label_fidelity", synthetic), ("reference", test)):
        out[name] = _tested(networks, data, n_classes, seed)
    if budget is not None and math.isfinite(budget[0]):
        eps = rounded_up(budget[0], 3)
        progress(f"utility: private classifier on {len(members[0])} members, eps = {eps}")
        out["private_classifier"] = _private(
            members, test, n_classes, budget, seeds, units, secret, prior, n
        )
    out["linear_synthetic"] = probe(synthetic)
    out["linear_members"] = cached("linear", members, lambda: probe(members))
    return out


def alone(
    synthetic: LabelledImages, test: LabelledImages, n_classes: int, seed: int, protocol: str
) -> dict:
    """The row 'synthetic' of one set, by itself, with one network."""
    how = PROTOCOLS[protocol]
    return metrics.train_and_test(
        synthetic, test, n_classes, seed=seed, steps=how.steps, network=how.network
    )


def join(*sets: LabelledImages) -> LabelledImages:
    """All images of several sets, and their labels."""
    return np.concatenate([x for x, _ in sets]), np.concatenate([y for _, y in sets])


def _judged(sets, n_classes, seed, predict):
    """metrics.judge of predict() -> probabilities [S, n, K] on sets['test'], if no set is empty."""
    for name, (images, _) in sets.items():
        if len(images) == 0:
            return metrics.nothing(n_classes, f"there is no {name} image")
    return metrics.judge(predict(), sets["test"][1], np.random.default_rng(seed))


def _unseen(network, reference, n_classes, seeds, steps, progress):
    """One network trained on unseen real images for each seed; none if there is no `network`."""
    if network is None:
        return []
    if len(seeds) > 1:
        progress(f"utility: training on {len(reference[0])} unseen real images")
    images, labels = reference
    others = classifier.train_all(images, labels, n_classes, seeds=seeds[1:], steps=steps)
    return [network, *others]


def _tested(networks, test, n_classes, seed):
    if not networks:
        return metrics.nothing(n_classes, "too few unseen real images to train a classifier on")
    return _judged({"test": test}, n_classes, seed, lambda: metrics.networks(networks, test[0]))


def _private(
    train: LabelledImages,
    test: LabelledImages,
    n_classes: int,
    budget: tuple[float, float],
    seeds: Sequence[int],
    units: private_classifier.Units | None = None,
    secret: jax.Array | None = None,
    prior: Prior | None = None,
    n: int | None = None,
) -> dict:
    """The mean over one private training for each seed, each with the whole budget."""
    images, labels = train
    n = n or len(labels if units is None else units[1])

    def predict():
        shape = tuple(images.shape[1:])
        way = private_classifier.choose(prior, n, n_classes, *budget, shape)
        keys = [None if secret is None else jax.random.fold_in(secret, seed) for seed in seeds]
        params = [way.train(images, labels, units, key) for key in keys]
        return metrics.networks(params, test[0], way)

    try:
        return _judged({"training": train, "test": test}, n_classes, seeds[0], predict)
    except ValueError as error:  # no plan for this budget
        return metrics.nothing(n_classes, str(error))


def _cached(cache, test, n_classes, seeds, protocol, kind, train, compute):
    """compute(), or what it returned for the same images, seeds, protocol, code and libraries."""
    key = {
        "kind": kind,
        "train": caches.digest(*train),
        "test": caches.digest(*test),
        "n_classes": n_classes,
        "seeds": list(seeds),
        "protocol": protocol,
        "metrics": list(metrics.UTILITY),
    }
    return caches.remembered(cache, key | _code(), compute)


@functools.cache
def _code():
    """The code, backend and libraries that the numbers depend on."""
    folder = Path(__file__).parent
    names = "classifier", "field", "metrics", "linear", "protocols", "../intervals", "../dp/rows"
    source = b"".join((folder / f"{name}.py").read_bytes() for name in names)
    versions = {name: importlib.metadata.version(name) for name in ("jax", "numpy", "scikit-learn")}
    backend = jax.default_backend()
    return {"code": hashlib.sha256(source).hexdigest(), "backend": backend, **versions}
