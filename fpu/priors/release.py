"""The release in a prior's space: a mixture of normals for each class, from DP sums of the members' codes.

Where members are few against the noise, one noised sum gives class means, and the covariance within classes is the
prior's own. Where they are many, the same budget is shared by class means, rounds of Lloyd's algorithm [1] within each
class, and one last sum with a covariance for each class. How many components there are is a public rule. Where they
are many and nothing decodes, a share is for how bright the members are instead (brightness.py).
The rest is post-processing: the variance of the noise is known, so every number is shrunk towards its prior.

[1] Noised Lloyd rounds: Blum et al., Practical privacy: the SuLQ framework, PODS 2005, section 5.
"""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from fpu.dp import moments, sampling
from fpu.dp.rows import each_alone
from fpu.models import Spec
from fpu.priors import Prior, brightness, draws

# Shares of 1 / sigma^2 where there are components: of the class means, of all Lloyd rounds, of the last sum.
MEANS, ROUNDS, LAST = 0.2, 0.3, 0.5
LLOYD = 3  # rounds
# Members a class over sigma (or over 1): for each component; at least for any; and the most components.
PER_COMPONENT, ROOM, MOST = 90.0, 250.0, 30
WIDER = 1.4  # covariance within a class of members over that within a class of the prior
LEAST = 0.15  # of the mean count: what a sum is divided by at least
EXAMPLES = 20_000  # codes of the pool that say where a class's mean may lie,
NEARER = 0.8  # at this share of their distance from the pool's centre

# The arrays that `fit` returns, the last one where `says_how_bright`: what a release may hold.
MIXTURE: tuple[str, ...] = "means", "weights", "roots"
PARAMETERS = (*MIXTURE, "brightness")


def room(denominator: float, n_classes: int, noise_multiplier: float) -> float:
    """Members of a class over the noise, N / K / max(sigma, 1): public."""
    return denominator / n_classes / max(noise_multiplier, 1.0)


def components(prior: Prior, denominator: float, n_classes: int, noise_multiplier: float) -> int:
    """Components of each class, a public rule of the prior and N / K / sigma. 1: class means alone.

    Always 1 where draws are the clearest images of their class, as nothing decodes: there a mixture with a covariance
    for each class tells classes apart worse than means with the covariance of the pool (fpu/priors/README.md).
    """
    wide = room(denominator, n_classes, noise_multiplier)
    if prior.space.decode is None or wide < ROOM:
        return 1
    return int(min(wide / PER_COMPONENT, MOST))


def says_how_bright(
    prior: Prior, denominator: float, n_classes: int, noise_multiplier: float
) -> bool:
    """Whether a share of the budget is for the members' brightness: a public rule of the prior and N / K / sigma."""
    wide = room(denominator, n_classes, noise_multiplier)
    return prior.brightness and prior.space.decode is None and wide >= ROOM


def fit(
    prior: Prior, spec: Spec, pool, denominator: float, noise_multiplier: float, key: jax.Array
) -> dict[str, Any]:
    """Parameters for `draws.sample`, float32: means [K, M, d], weights [K, M], roots of covariances [K, d, d], and,
    where `says_how_bright`, brightness [K, T].

    Args:
      prior: public.
      spec: of the images; public.
      pool: a training.Pool of the members.
      denominator: the public number of units N.
      noise_multiplier: sigma, a Python float.
      key: secret typed key.

    **Guarantees.** One unit gives one image, whose code depends on that image and the public prior alone (it is
    computed by dp.rows.each_alone, so that its rounding does not depend on how many others there are); a code that
    is not finite counts as 0. With one component there is one noised sum of noise multiplier sigma, or there are two:
    that of the brightness is shaped by the noised one before it. With more components there are LLOYD + 2. All are of
    terms of norm at most 1 each (fpu/dp/moments.py), and their shares of 1 / sigma^2 add up to 1: together they are one
    Gaussian release of sigma. A sum is shaped by the noised sums before it alone: a row's component is the nearest of
    centres that are public or noised already. Codes and images are added up by `moments` and `brightness.fit` alone;
    their other arguments are public or noised, and so are the number of sums and of components.
    """
    k_unit, k_means, k_rounds, k_last = jax.random.split(key, 4)
    images, labels = images_of_units(spec, pool, k_unit)
    codes, count = encoded(prior, images), spec.n_classes
    several = components(prior, denominator, count, noise_multiplier)
    bright = says_how_bright(prior, denominator, count, noise_multiplier)
    share = 1.0 - brightness.SHARE * bright if several == 1 else MEANS
    std = noise_multiplier / share**0.5
    noised = moments.embeddings(codes / prior.radius, labels, count, k_means, std)
    means = _class_means(prior, noised, denominator, std)
    within = WIDER * np.asarray(prior.within, np.float64)
    if several == 1:
        # A direction without variance in the pool keeps a little: draws by margin invert the root.
        root = _root(within, 1e-6 * np.trace(within) / len(within))
        roots = np.repeat(root[None], count, axis=0)
        params = mixture(means[:, None], np.ones((count, 1)), roots)
        if bright:
            best = draws.clearest(prior, draws.on_host(params), bright)
            drawn = [prior.images[each] for each in best]
            std = noise_multiplier / brightness.SHARE**0.5
            released = brightness.fit(images, labels, drawn, denominator, k_last, std)
            params["brightness"] = jnp.asarray(released)
        return params

    u = codes - means[labels]
    centres = np.repeat(_start(within, several)[None], count, axis=0)
    radius, std = 1.15 * np.trace(within) ** 0.5, noise_multiplier * (LLOYD / ROUNDS) ** 0.5
    for k_round in jax.random.split(k_rounds, LLOYD):
        cell = labels * several + nearest(u, labels, centres)
        noised = moments.embeddings(u / radius, cell, count * several, k_round, std)
        centres = _moved(centres, noised, radius, np.trace(within), denominator, std)
    radius, std = 0.95 * np.trace(within) ** 0.5, noise_multiplier / LAST**0.5
    cell = nearest(u, labels, centres)
    left = u - centres[labels, cell]
    noised = moments.component_moments(left, labels, cell, count, several, radius, k_last, std)
    shifts, weights, covariances = _by_class(noised, radius, np.trace(within), denominator, std)
    least = 0.02 * np.trace(within) / len(within)
    roots = np.stack([_root(covariance, least) for covariance in covariances])
    return mixture(means[:, None] + centres + shifts, weights, roots)


def images_of_units(spec: Spec, pool, key: jax.Array) -> tuple[np.ndarray, np.ndarray]:
    """Image uint8 [U, H, W, C] and label [U] of each of the pool's units, one chosen by the secret `key`.

    **Guarantees.** Which image a unit gives depends on the unit's own size and the key.
    """
    chex.assert_shape(pool.images, (None, *spec.shape))
    rows = sampling.one_of(key, jnp.arange(len(pool.sizes)), pool.units, pool.sizes)
    # A number of a class and component may be more than 8 bits hold.
    return np.asarray(pool.images[rows]), np.asarray(pool.labels[rows]).astype(int)


def codes_of_units(prior: Prior, spec: Spec, pool, key: jax.Array) -> tuple[np.ndarray, np.ndarray]:
    """Code float64 [U, d] and label [U] of the image that each unit gives.

    **Guarantees.** As `images_of_units`; a code depends on its image alone.
    """
    images, labels = images_of_units(spec, pool, key)
    return encoded(prior, images), labels


def cholesky(prior: Prior) -> np.ndarray:
    """float64 [d, d] R with R R^T the covariance within a class of the prior, and a little in every direction."""
    d = len(prior.within)
    return np.linalg.cholesky(prior.within + 1e-6 * np.trace(prior.within) * np.eye(d))


def encoded(prior: Prior, images: np.ndarray) -> np.ndarray:
    """Codes float64 [n, d] of uint8 images, clipped to the prior's radius; 0 where one is not finite.

    **Guarantees.** A row sees its own image (`each_alone`).
    """
    codes = each_alone(lambda chunk: np.asarray(prior.space.encode(chunk), np.float64), images)
    if codes.shape[1:] != (len(prior.within),):
        raise ValueError("encode must give one code for each image")
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.linalg.norm(codes, axis=1, keepdims=True)
    scale = np.where(np.isfinite(norms), prior.radius / np.maximum(norms, prior.radius), 0.0)
    return np.where(np.isfinite(norms), codes, 0.0) * scale


def nearest(u: np.ndarray, labels: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """int [n]: the nearest of the centres [K, M, d] of its class for each row of u [n, d].

    **Guarantees.** Not even its rounding depends on the other rows.
    """
    found = np.zeros(len(u), int)
    for k, own in enumerate(np.asarray(centres, np.float64)):
        rows = np.flatnonzero(labels == k)
        # |u - c|^2 less |u|^2, which is the same for all centres.
        products = each_alone(lambda some, own=own: some @ own.T, u[rows])
        found[rows] = (np.square(own).sum(1)[None] - 2 * products).argmin(1)
    return found


# What follows sees no image.


def _start(covariance, count):
    """Public centres [M, d]: Lloyd's algorithm on draws of N(0, covariance)."""
    draws = np.random.default_rng(0).normal(size=(100 * count, len(covariance)))
    draws = draws @ _root(covariance).T
    centres, everyone = draws[:count], np.zeros(len(draws), int)
    for _ in range(10):
        hot = nearest(draws, everyone, centres[None])[:, None] == np.arange(count)[None]
        # And one where each was: none is ever empty.
        centres = (hot.T @ draws + centres) / (hot.sum(0) + 1.0)[:, None]
    return centres


def _class_means(prior, noised, n, std):
    """Class means [K, d] from noised sums of codes / R, R the prior's radius.

    m_k = R sums_k / n_k is the true mean plus noise of variance s_k = (std R / (a n_k))^2. The prior of a true mean is
    that it is some image of the pool's, nearer to the pool's centre: a mixture of normals around the codes g_j, moved
    to NEARER of their distance, of covariance W, that within a class of the prior. With w_j the posterior weights,

        g = sum_j w_j g_j,      mean_k = g + W (W + s_k I)^-1 (m_k - g),      w_j ~ N(m_k; g_j, W + s_k I).
    """
    sums, counts = (np.asarray(x, np.float64) for x in noised)
    mean = n / len(counts)
    counts = np.maximum(_shrunk(counts, mean, std / moments.COUNT, 0.5), LEAST * mean)
    means = sums * prior.radius / counts[:, None]
    variance = np.square(std * prior.radius / counts) / (1.0 - moments.COUNT**2)
    pool = np.asarray(prior.codes[:EXAMPLES], np.float64)
    pool = NEARER * pool + (1.0 - NEARER) * pool.mean(0, keepdims=True)
    values, vectors = np.linalg.eigh(np.asarray(prior.within, np.float64))
    values, turned, pool = np.maximum(values, 1e-9 * values[-1]), means @ vectors, pool @ vectors
    for k, s in enumerate(variance):
        away = np.square((turned[k][None] - pool) / np.sqrt(values + s)[None]).sum(1)
        weight = np.exp(0.5 * (away.min() - away))
        near = weight @ pool / weight.sum()
        turned[k] = near + values / (values + s) * (turned[k] - near)
    return turned @ vectors.T


def _shrunk(counts, mean, std, spread):
    """Noised counts shrunk to their public mean, whose prior is normal with deviation spread * mean; none below 0."""
    gain = 1.0 / (1.0 + (std / (spread * mean)) ** 2)
    return np.maximum(mean + gain * (counts - mean), 1e-3 * mean)


def _moved(centres, noised, radius, trace, n, std):
    """Centres [K, M, d] after a round: posterior means; the prior is the centre before, of variance trace / 2 d."""
    count, several, d = centres.shape
    sums, counts = (np.asarray(x, np.float64) for x in noised)
    mean = n / count / several
    counts = np.maximum(_shrunk(counts, mean, std / moments.COUNT, 0.7), LEAST * mean)
    variance = np.square(std * radius / counts) / (1.0 - moments.COUNT**2)
    gain = (0.5 * trace / d / (0.5 * trace / d + variance))[:, None]
    old = centres.reshape(-1, d)
    return (old + gain * (sums * radius / counts[:, None] - old)).reshape(centres.shape)


def _by_class(noised, radius, trace, n, std):
    """Shifts of the components [K, M, d], weights [K, M] and covariances of the classes [K, d, d] from the last sum.

    A component's mean distance from its centre has noise of variance s = (std radius / (a n_km))^2; its prior is
    normal around 0 with variance P = max(mean of its square - mean of s, 0). The covariance around the shifted
    components of class k is S_k / n_k - sum_m w_km shift shift^T. It is shrunk to the mean D of all classes: what is
    left, E_k, has noise of variance t_k off the diagonal, and a prior variance kappa D_ii D_jj,

        D + E_k kappa D_ii D_jj / (kappa D_ii D_jj + t_k),      kappa = sum (E^2 - t) / sum D_ii D_jj, off the diagonal.
    """
    sums, counts, square = (np.asarray(x, np.float64) for x in noised)
    count, several, d = sums.shape
    a2 = 1.0 - moments.COUNT**2 - moments.CLASS_SQUARE**2
    mean = n / count / several
    shrunk = _shrunk(counts, mean, std / moments.COUNT, 0.7)
    counts = np.maximum(shrunk, LEAST * mean)
    shifts, variance = sums / counts[..., None], np.square(std * radius / counts) / a2
    prior = max(np.mean(np.square(shifts)) - variance.mean(), 1e-4 * trace / d)
    shifts = shifts * (prior / (prior + variance))[..., None]
    members = shrunk.sum(1)
    weights = shrunk / members[:, None]
    own = square / members[:, None, None] - np.einsum("km,kmi,kmj->kij", weights, shifts, shifts)
    mean = np.tensordot(members / members.sum(), own, 1)
    deviation, off = own - mean[None], 1.0 - np.eye(d)
    variance = np.square(std / moments.CLASS_SQUARE * radius**2 / members)[:, None, None] / 2
    size = np.maximum(np.diag(mean), 1e-3 * trace / d)
    scale = (size[:, None] * size[None])[None]
    kappa = (off * (np.square(deviation) - variance).mean(0)).sum() / (off * scale[0]).sum()
    scale = max(kappa, 0.0) * scale
    return shifts, weights, mean[None] + deviation * scale / (scale + variance + 1e-20)


def _root(covariance, least=0.0):
    """[d, d] R with R R^T the covariance, no eigenvalue below `least`."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, least))[None]


def mixture(*arrays: np.ndarray) -> dict[str, jax.Array]:
    """Means, weights and roots in float32, as `fit` returns them."""
    return dict(zip(MIXTURE, (jnp.asarray(x, jnp.float32) for x in arrays), strict=True))
