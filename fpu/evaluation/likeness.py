"""What is compared to judge fidelity, in which features, and the rows that say it."""

from typing import Any, NamedTuple

import numpy as np

from fpu import fidelity, neighbours
from fpu.data import class_matched
from fpu.fidelity import features, memorisation
from fpu.intervals import missing
from fpu.privacy import distance
from fpu.utility import protocols

_IMAGES = 1000  # compared on each side, at most: FD, recall and coverage depend on the count
_LEAST_REFERENCE = 100  # real images to train a feature network on, at least


def compared(rng, real, synthetic, n_classes):
    """Synthetic, test and real-line images of equal class counts, and the rest of the reference set.

    The real line is made of non-members. Where a class has fewer of them than are compared, up to a quarter
    of its reference images are added, and the feature network is not trained on those. If keeping the counts
    equal would cost more than half of the comparison, there is no real line instead.
    """
    fake, test = class_matched(rng, synthetic[1], real["test"][1], most=_IMAGES)
    reserve = []
    for k in range(n_classes):
        rows = rng.permutation(np.flatnonzero(real["reference"][1] == k))
        wanted = np.sum(synthetic[1][fake] == k) - np.sum(real["nonmembers"][1] == k)
        reserve.append(rows[: min(max(0, wanted), len(rows) // 4)])
    reserve = np.concatenate(reserve)
    line = protocols.join(real["nonmembers"], _take(real["reference"], reserve))
    three = class_matched(rng, synthetic[1], real["test"][1], line[1], most=_IMAGES)
    if 2 * len(three[0]) >= len(fake):
        fake, test, line = *three[:2], _take(line, three[2])
    rest = np.setdiff1d(np.arange(len(real["reference"][1])), reserve)
    return _take(synthetic, fake), _take(real["test"], test), line, _take(real["reference"], rest)


class Networks(NamedTuple):
    """The feature networks, each embed(images) -> float64 [n, 64]."""

    name: str  # domain, or random where the reference set is too small to train on
    embed: features.Embed
    control: features.Embed  # random features; the same as `embed` where the name is random
    classifier: Any  # the domain network's parameters, or None
    n_reference: int


def networks(reference, test, n_classes, seed, protocol, progress) -> Networks:
    """The feature networks of these reference images."""
    images, labels = reference
    enough = len(images) >= _LEAST_REFERENCE and len(np.unique(labels)) > 1
    scale = images if enough else test[0]
    random = features.random(test[0].shape[1:], n_classes, seed=seed, scale=scale)
    if not enough:
        return Networks("random", random, random, None, len(images))
    progress(f"feature network on {len(images)} reference images")
    embed, params = features.domain(
        images,
        labels,
        n_classes,
        seed=seed,
        steps=protocols.PROTOCOLS[protocol].small_steps,
        scale=scale,
    )
    return Networks("domain", embed, random, params, len(images))


def rows(real, synthetic, three, networks, seed, progress):
    """The rows 'synthetic' and 'real' (the real line), and 'features'."""

    def rng(purpose):  # one for each part, so that no row depends on the draws of another
        return np.random.default_rng([seed, 1, purpose])

    fake, test, line, _ = three
    progress(f"fidelity of {len(fake[0])} synthetic images against as many test images")
    found = {"synthetic": _distances(test, fake[0], networks, rng(1))}
    if len(line[0]) == len(test[0]):
        found["real"] = _distances(test, line[0], networks, rng(1))
    else:
        reason = f"{len(line[0])} unseen real images; a real line needs as many as are compared"
        found["real"] = dict.fromkeys(found["synthetic"], missing(reason))
    pool = protocols.join(real["nonmembers"], real["reference"])
    for row, (images, labels) in (("synthetic", synthetic), ("real", real["test"])):
        judged, unseen = class_matched(rng(2), labels, pool[1], most=_IMAGES)
        sets = real["members"][0], pool[0][unseen], images[judged]
        found[row]["near_copies"] = memorisation.near_copies(*sets, rng(3))
        # In pixels every blurred image is near all others, and to a trained network a blurred copy looks fresh.
        members, others, own = neighbours.on_distinct(networks.control, *sets)
        for metric in (memorisation.authenticity, memorisation.data_copying):
            found[row][metric.__name__] = metric(members, others, own, rng(3))
    used = {"network": networks.name, "n_reference": networks.n_reference}
    return found | {"features": used}


def _distances(test, images, networks, rng):
    """fidelity.compare and fidelity.control of images and test images; images[i] is of class test[1][i]."""
    real, fake = neighbours.on_distinct(networks.embed, test[0], images)
    metrics = fidelity.compare(real, fake, test[1], rng)
    if networks.control is not networks.embed:
        real, fake = neighbours.on_distinct(networks.control, test[0], images)
        metrics |= fidelity.control(real, fake, test[1], rng)
    return metrics


def closest(real, synthetic, seed):
    """distance.ecdf of the synthetic images and as many unseen real ones of their classes, to the members."""
    rng = np.random.default_rng([seed, 3])
    pool = protocols.join(real["nonmembers"], real["reference"])
    fake, unseen = class_matched(rng, synthetic[1], pool[1], most=_IMAGES)
    members = real["members"][0]
    sides = [neighbours.distance(x, members) for x in (synthetic[0][fake], pool[0][unseen])]
    return distance.ecdf(sides[0], sides[1], rng)


def _take(pair, index):
    return pair[0][index], pair[1][index]
