"""Images drawn from a release in a prior's space: decoded, picked from the public pool, or both.

Everything here is post-processing of a release and public. A draw is a code z of its class, and then

    decoded   the decoder's image of z;
    picked    the image of the pool whose code is nearest to z;
    varied    the same, moved towards z by a few public variations of which the nearest is kept;
    half      varied or decoded, by a coin;
    margin    no code is drawn: one of the pool's images that are clearest of its class, as bright as members are
              where the release says how bright (brightness.py).

Picks are sharp but show what the prior knows; decoded images are smooth. On validation parts of digits (n = 500) and
MNIST (n = 1,000) at eps = 1 varied picks taught most, with the smallest KID by trained and by random features; half and
half came next. On MNIST with n = 50,000, where a mixture says more than the pool holds, half and half taught most and
covered most. Where classes overlap, nearest images of draws teach little, and the clearest ones do.

Codes of a class lie nearer to another class's mean now and then, the more often the noisier the means. What such a draw
teaches is wrong, so it is drawn again (README.md, Draws of another class).
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from fpu.models import Spec
from fpu.priors import Prior, brightness

WAYS = ("decoded", "picked", "varied", "half", "margin")
TRIES = 6  # variations of a pick, each of the nearest so far
AGAIN = 4  # times at most that an image of another class is drawn again
# By margin: the share of the pool that is taken for each class, of those that are like the members at all
# (Prior.plausible); the fewest images of either; weight of the log density over d. All classes together take at most
# half of those that are like the members: else, of a small pool, they would all be given the same images.
CLEAREST, FEWEST, DENSITY, TOGETHER = 0.01, 300, 0.15, 0.5
MORE = 4.0  # times as many can be like the members where draws are made as bright as they are
_CHUNK = 1000  # images that are varied at once
_NEAREST = 32  # codes that are compared to the whole pool at once: 13 MB, which a cache may hold


def default(prior: Prior, components: int = 1) -> str:
    """The way of a prior's draws, a public rule of the prior and of how many components a class has."""
    if prior.space.decode is None:
        return "margin"
    return "half" if components > 1 or prior.vary is None else "varied"


def sample(
    prior: Prior, spec: Spec, params: dict[str, Any], key: jax.Array, labels, way: str | None = None
) -> np.ndarray:
    """float32 [n, H, W, C] in [0, 1], one image for each label.

    Args:
      params: of release.fit.
      key: typed key; the first images of a longer call with the same key are the same.
      labels: ints [n] in 0..K-1.
      way: one of WAYS; None: the default of the prior and the release. An image that the release gives another class
        is then drawn again.
    """
    labels = np.asarray(labels)
    params = on_host(params)
    chosen = way or default(prior, params["means"].shape[1])
    if chosen == "margin":
        images = _by_margin(prior, params, key, labels)
    else:
        images = _by_code(prior, spec, params, key, labels, chosen, 0 if way else AGAIN)
    return images.astype(np.float32) / np.float32(255)


def _by_code(prior, spec, params, key, labels, way, again):
    """uint8 [n, H, W, C]; an image that the release gives another class is drawn again, `again` times at most."""
    images = _once(prior, spec, params, key, labels, way)
    others = np.arange(len(labels))
    for number in range(again):
        found = nearest_class(params, prior.space.encode(images[others]))
        others = others[found != labels[others]]
        if len(others) == 0:
            break
        k_again = jax.random.fold_in(key, number)
        images[others] = _once(prior, spec, params, k_again, labels[others], way)
    return images


def _once(prior, spec, params, key, labels, way):
    """uint8 [n, H, W, C]: for each label a code of its class, and an image that has about this code."""
    k_code, k_coin, k_vary = jax.random.split(key, 3)
    z = codes(params, k_code, labels)
    chance = {"decoded": 1.0, "half": 0.5}.get(way, 0.0)
    coin = _rng(k_coin).random(len(labels)) < chance
    images = np.zeros((len(labels), *spec.shape), np.uint8)
    if coin.any():
        images[coin] = _decoded(prior, z[coin])
    if not coin.all():
        picks = prior.images[nearest(prior, z[~coin])]
        images[~coin] = picks if way == "picked" else _varied(prior, k_vary, z[~coin], picks)
    return images


def nearest_class(params: Mapping[str, Any], codes: np.ndarray) -> np.ndarray:
    """ints [n]: the class of the nearest mean of a release to each of codes, float [n, d]."""
    count, several, d = params["means"].shape
    means = np.asarray(params["means"], np.float64).reshape(-1, d)
    # |z - m|^2 less |z|^2, which is the same for all means.
    distances = np.square(means).sum(1)[None] - 2 * codes @ means.T
    return distances.reshape(-1, count, several).min(2).argmin(1)


def on_host(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Parameters of release.fit as float32 arrays of numpy."""
    return {name: np.asarray(x, np.float32) for name, x in params.items()}


def codes(params: dict[str, Any], key: jax.Array, labels: np.ndarray) -> np.ndarray:
    """float32 [n, d]: a code for each label, of a component of its class, which is drawn by its weight."""
    k_component, k_normal = jax.random.split(key)
    coins = _rng(k_component).random(len(labels))
    shape = len(labels), params["means"].shape[2]
    noise = _rng(k_normal).standard_normal(shape, np.float32)
    z = np.zeros_like(noise)
    for k in np.unique(labels):
        rows = np.flatnonzero(labels == k)
        ends = np.cumsum(params["weights"][k])
        component = np.searchsorted(ends[:-1] / ends[-1], coins[rows], side="right")
        z[rows] = params["means"][k, component] + noise[rows] @ params["roots"][k].T
    return z


def _rng(key):
    """A generator whose first numbers are the same however many are drawn."""
    return np.random.default_rng(np.asarray(jax.random.bits(key, (4,), np.uint32)))


def _decoded(prior, z):
    if prior.space.decode is None:
        raise ValueError(f"the space of the prior {prior.name} has no decoder: draw by margin")
    return prior.space.decode(z)


def nearest(prior: Prior, z: np.ndarray) -> np.ndarray:
    """int [n]: which images of the pool have the codes nearest to z, float32 [n, d]."""
    half = 0.5 * np.square(prior.codes).sum(1)
    found = np.zeros(len(z), int)
    for i in range(0, len(z), _NEAREST):
        # |z - g|^2 / 2 less |z|^2 / 2, which is the same for all of the pool.
        found[i : i + _NEAREST] = (half[None] - z[i : i + _NEAREST] @ prior.codes.T).argmin(1)
    return found


def _varied(prior, key, z, images):
    """Images, varied and kept where that brings their codes nearer to z."""
    if prior.vary is None:
        return images
    count, images = len(z), images.copy()
    for i in range(0, count, _CHUNK):
        here = np.arange(i, i + _CHUNK)
        rows = np.minimum(here, count - 1)  # all calls have one shape, the last one repeats a row
        best = images[rows]
        nearest = _distance(prior, best, z[rows])
        for k_try in jax.random.split(jax.random.fold_in(key, i), TRIES):
            tried = np.asarray(prior.vary(k_try, best))
            distance = _distance(prior, tried, z[rows])
            nearer = distance < nearest
            nearest = np.where(nearer, distance, nearest)
            best = np.where(nearer[:, None, None, None], tried, best)
        images[i : i + _CHUNK] = best[: min(_CHUNK, count - i)]
    return images


def _distance(prior, images, z):
    return np.square(np.asarray(prior.space.encode(images)) - z).sum(1)


def _by_margin(prior, params, key, labels):
    """Of the clearest images of each class, without repetition until all are used; as bright as a release may say."""
    bright = "brightness" in params
    best = clearest(prior, params, bright)
    found = np.zeros(len(labels), int)
    for k in np.unique(labels):
        rows = np.flatnonzero(labels == k)
        rng = _rng(jax.random.fold_in(key, k))
        orders = [rng.permutation(len(best[k])) for _ in range(-(-len(rows) // len(best[k])))]
        found[rows] = best[k][np.concatenate(orders)[: len(rows)]]
    if not bright:
        return prior.images[found]
    drawn = [prior.images[each] for each in best]
    return brightness.moved(prior.images[found], labels, drawn, params["brightness"])


def clearest(prior: Prior, params: dict[str, Any], bright: bool) -> list[np.ndarray]:
    """For each class the images of the pool, ints [n_k], that are clearly of it: the CLEAREST by `clarity` of the
    plausible share of densest p(g), or where they are then made as bright as the members, of MORE times as many.

    Far from the members p(k | g) is clear everywhere, and says nothing: in a mixture of kinds, the densest come first.
    """
    score, density = clarity(params, prior.codes)
    share = prior.plausible * (MORE if bright else 1.0)
    like = _top(density, max(FEWEST, share * len(density)))
    most = TOGETHER * len(like) / score.shape[1]
    count = min(max(FEWEST, CLEAREST * len(density)), most)
    return [like[_top(own, count)] for own in score[like].T]


def clarity(params: Mapping[str, Any], codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How clearly codes g, float [n, d], are of each class k by a release, and how near to the members.

    Returns log p(k | g) + DENSITY log p(g) / d, float [n, K], and log p(g), float [n].
    """
    classes = zip(params["means"], params["weights"], params["roots"], strict=True)
    joint = np.stack([_log_density(codes, *one) for one in classes], 1)
    density = np.logaddexp.reduce(joint, axis=1)
    return joint - density[:, None] + DENSITY * density[:, None] / codes.shape[1], density


def _top(values, count):
    """Positions of the `count` largest values, at least one, or all where there are fewer."""
    count = min(len(values), max(1, round(count)))
    return np.argpartition(-values, count - 1)[:count]


def _log_density(rows, means, weights, root):
    """Log density [n] of a mixture of normals with one covariance, up to a constant that all classes share."""
    white = np.linalg.inv(np.asarray(root, np.float64))
    each = [
        np.log(max(weight, 1e-9)) - 0.5 * np.square((rows - mean[None]) @ white.T).sum(1)
        for mean, weight in zip(means, weights, strict=True)
    ]
    return np.logaddexp.reduce(np.stack(each), axis=0) - np.linalg.slogdet(root)[1]
