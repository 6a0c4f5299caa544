"""Which classifiers are judged, on what they are trained, and on what they are tested.

Every row asks one question of the synthetic set: as training data beside its floor and its ceiling,
as an addition to the members, its labels, and what the same budget buys without a generator. All
are tested on the real test images, which nothing else ever sees, but for `label_fidelity`, which is
tested on the synthetic ones. Quick or full, the rows are the same: quick is one seed and 400 steps.
"""

import functools
import hashlib
import importlib.metadata
import math
from pathlib import Path

import jax
import numpy as np
from scipy.special import softmax

from fpu.files import cache as caches
from fpu.utility import classifier, linear, metrics, private_classifier

SEEDS = {True: 1, False: 3}  # of quick and of full
STEPS = {True: classifier.STEPS, False: 3 * classifier.STEPS}


def rows(
    real,
    synthetic,
    beside,
    n_classes,
    *,
    budget=None,
    unit="image",
    network=None,
    seed=0,
    quick=True,
    secret=None,
    cache=None,
    progress=lambda line: None,
):
    """All rows of the record's 'utility'.

    Args:
      real: {'members', 'nonmembers', 'reference', 'test': (uint8 images, int labels)}.
      synthetic: (images, labels).
      beside: {name: (images, labels)}, rival sets; each has a row of its own.
      budget: (eps, delta) of the run, or None where it is not private: no private_classifier then.
      unit: what the budget protects; the private classifier can protect an 'image' only.
      network: parameters of classifier.train on unseen real images with `seed`: the feature network
        of the fidelity metrics, so that nothing is trained twice. None: too few images are unseen.
      seed: public. Network i takes seed + i.
      secret: None, or the private classifier's key: see private_classifier.train.
      cache: a folder (Path) for the metrics of rows without synthetic images, or None.
      progress: called with one line before each training.

    Returns: {row: utility.judge's metrics}, or the reason why a row has none.
      synthetic; NAME of each rival
      members: the floor; all_real: the ceiling, members with every unseen image of the split
      members_and_synthetic: what the synthetic images add
      label_fidelity: trained on unseen real images, tested on the synthetic; reference: the same
        networks tested on real images, which label_fidelity can be compared with
      private_classifier: DP-SGD on the members at the run's eps and delta, a budget of its own
      linear_synthetic, linear_members: the linear probe
    """
    members, test = real["members"], real["test"]
    seeds = range(seed, seed + SEEDS[quick])
    kept = functools.partial(_kept, cache, test, n_classes, seeds, STEPS[quick])

    def train(name, data):
        progress(f"utility: training on {len(data[0])} {name.replace('_', ' ')} images")
        return metrics.train_and_test(
            data, test, n_classes, seed=seed, seeds=len(seeds), steps=STEPS[quick]
        )

    def probe(data):
        def predict():
            return linear.probabilities(data, test[0], n_classes)[None]

        return _judged({"training": data, "test": test}, n_classes, seed, predict)

    out = {name: train(name, data) for name, data in ({"synthetic": synthetic} | beside).items()}
    out["members"] = kept("network", members, lambda: train("members", members))
    everything = _join(members, real["nonmembers"], real["reference"])
    out["all_real"] = kept("network", everything, lambda: train("real", everything))
    out["members_and_synthetic"] = train("member and synthetic", _join(members, synthetic))
    networks = _unseen(network, real["reference"], n_classes, seeds, STEPS[quick], progress)
    for name, data in (("label_fidelity", synthetic), ("reference", test)):
        out[name] = _tested(networks, data, n_classes, seed)
    if budget is not None and math.isfinite(budget[0]):
        progress(f"utility: DP-SGD classifier on {len(members[0])} members, eps = {budget[0]:.3g}")
        out["private_classifier"] = _private(members, test, n_classes, budget, unit, seeds, secret)
    out["linear_synthetic"] = probe(synthetic)
    out["linear_members"] = kept("linear", members, lambda: probe(members))
    return out


def _join(*sets):
    images, labels = zip(*sets, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _judged(sets, n_classes, seed, predict):
    """utility.judge of predict() -> probabilities [S, n, K] on sets['test'], if no set is empty."""
    for name, (images, _) in sets.items():
        if len(images) == 0:
            return metrics.nothing(n_classes, f"there is no {name} image")
    return metrics.judge(predict(), sets["test"][1], np.random.default_rng(seed))


def _unseen(network, reference, n_classes, seeds, steps, progress):
    """One network trained on unseen real images for each seed; none where the first is lacking."""
    if network is None:
        return []
    if len(seeds) > 1:
        progress(f"utility: training on {len(reference[0])} unseen real images")
    return [network, *classifier.train_all(*reference, n_classes, seeds=seeds[1:], steps=steps)]


def _tested(networks, test, n_classes, seed):
    if not networks:
        return metrics.nothing(n_classes, "too few unseen real images to train a classifier on")
    return _judged({"test": test}, n_classes, seed, lambda: metrics.networks(networks, test[0]))


def _private(train, test, n_classes, budget, unit, seeds, secret=None):
    """The mean over as many private trainings as there are seeds, each with the whole budget."""
    if unit != "image":
        reason = f"its DP-SGD protects one image; this run protects one {unit}"
        return metrics.nothing(n_classes, reason)

    def predict():
        keys = [None if secret is None else jax.random.fold_in(secret, seed) for seed in seeds]
        params = [private_classifier.train(*train, n_classes, *budget, key) for key in keys]
        logits = np.stack([private_classifier.logits(p, test[0]) for p in params])
        return softmax(logits.astype(np.float64), axis=-1)

    try:
        return _judged({"training": train, "test": test}, n_classes, seeds[0], predict)
    except ValueError as error:  # no plan for this budget
        return metrics.nothing(n_classes, str(error))


def _kept(cache, test, n_classes, seeds, steps, kind, train, solve):
    """solve(), or what it returned for the same images, seeds, steps, code and libraries."""
    question = {
        "kind": kind,
        "train": caches.digest(*train),
        "test": caches.digest(*test),
        "n_classes": n_classes,
        "seeds": list(seeds),
        "steps": steps,
    }
    return caches.remembered(cache, question | _code(), solve)


@functools.cache
def _code():
    """What else the numbers depend on."""
    folder = Path(__file__).parent
    names = ("classifier.py", "metrics.py", "linear.py", "protocols.py", "../intervals.py")
    source = b"".join((folder / name).read_bytes() for name in names)
    versions = {name: importlib.metadata.version(name) for name in ("jax", "numpy", "scikit-learn")}
    backend = jax.default_backend()
    return {"code": hashlib.sha256(source).hexdigest(), "backend": backend, **versions}
