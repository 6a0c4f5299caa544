"""The one-shot generator: a normal distribution for each class, from DP moments of low frequencies.

`fit` spends one Gaussian release (fpu/dp/moments.py) on at most three noised sums: first where the data lie and how
wide; then, around that centre and on that scale, class means and one shared covariance; and, where the noise is
small enough, the covariance of each class in the few directions in which images of a class vary most.
Small budgets need the centre first: the second sum then has to cover the spread of the data only. The rest is
post-processing: the variance of the noise is known, so every number is shrunk towards its prior (empirical Bayes),
and the draws include the uncertainty of the class means.

Images are seen through their lowest frequencies.KEPT coefficients of the discrete cosine transform, a public basis.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fpu.dp import moments
from fpu.dp.rows import each_alone
from fpu.models import Spec, frequencies
from fpu.priors import release

FIRST, THIRD = 0.1, 0.3  # shares of 1 / sigma^2; the second sum has the rest
# Members a class over sigma: from the first on there is a third sum, from the second on it has 24 directions, not 12.
ROOM, MUCH_ROOM = 100.0, 200.0
STRETCH = 1.3  # radius of the third sum over the root mean square radius expected

# The arrays that `fit` returns: what a release may hold.
PARAMETERS = ("centre", "means", "rest", "top", "class_root")


def fit(spec: Spec, pool, denominator: float, noise_multiplier: float, key) -> dict[str, Any]:
    """Parameters for `sample`, from at most three noised sums.

    Args: as priors.release.fit. How many sums there are depends on sigma, N and the number of classes: all public.

    **Guarantees.** One unit gives one image, and all sums together are one Gaussian release with noise
    multiplier sigma: their shares add up to 1 (see fpu/dp/moments.py). Only the three calls of `moments`
    see images; all their other arguments are public or noised already. A row of theirs depends on one image,
    the public basis and what is noised already (dp.rows.each_alone).
    """
    k_unit, k_first, k_second, k_third = jax.random.split(key, 4)
    images, labels = release.images_of_units(spec, pool, k_unit)
    count, public = spec.n_classes, frequencies.basis(tuple(spec.shape))
    x = jnp.asarray(images.reshape(len(images), -1), jnp.float32) / 255.0 - 0.5
    z = _products(x, public.rows.T)
    room = denominator / count / max(noise_multiplier, 1e-6)
    third = THIRD if room >= ROOM else 0.0
    stds = [noise_multiplier / share**0.5 for share in (FIRST, 1.0 - FIRST - third, THIRD)]

    # A pixel less 1/2 is at most 1/2 and the basis is orthonormal: |z| <= half.
    half = 0.5 * float(np.prod(spec.shape)) ** 0.5
    first = moments.energies(z, half, public.indicator, k_first, stds[0])
    centre, radius = _centre(public, half, *first, denominator, stds[0])
    v = z - centre[None]
    second = moments.moments(v, labels, count, radius, k_second, stds[1])
    width = 24 if room >= MUCH_ROOM else 12
    params, counts, unknown = _means(public, second, radius, denominator, stds[1], width)
    params["centre"] = centre
    if third:
        top = params["top"]
        u = v - params["means"][labels]
        u = _products(u, top / jnp.sum(jnp.square(top), 0, keepdims=True))
        radius = STRETCH * top.shape[1] ** 0.5
        own = moments.class_moments(u, labels, count, radius, k_third, stds[2])
        params |= _by_class(params, own, radius, counts, unknown, stds[2])
    return params


def _products(rows, matrix):
    """rows @ matrix, a row's rounding whatever the others are."""

    def some(chunk):
        return np.asarray(jnp.dot(chunk, matrix, precision="highest"))

    return jnp.asarray(each_alone(some, np.asarray(rows)))


def sample(spec: Spec, params: dict[str, Any], key, labels) -> jax.Array:
    """float32 [n, H, W, C] in [0, 1]: one normal draw for each label, back from frequencies to pixels."""
    k_rest, k_top = jax.random.split(key)
    rest = jax.random.normal(k_rest, (len(labels), params["rest"].shape[1])) @ params["rest"].T
    top = jax.random.normal(k_top, (len(labels), params["top"].shape[1]))
    top = jnp.einsum("nrs,ns->nr", params["class_root"][labels], top) @ params["top"].T
    z = params["centre"][None] + params["means"][labels] + rest + top
    pixels = z @ frequencies.basis(tuple(spec.shape)).rows + 0.5
    return jnp.clip(pixels, 0.0, 1.0).reshape(-1, *spec.shape)


# What follows sees no image.


def _centre(public, half, summed, energies, n, std):
    """(centre [d], root mean square radius around it) from the first sum.

    summed / n is the mean c plus noise of variance s = (std half / (a n))^2. With a normal prior of c_i whose
    variance P is common to a band and estimated from it,

        P = max(mean over the band of (summed / n)^2 - s, 0),      centre_i = (summed_i / n) P / (P + s),

    and radius^2 = E|z|^2 - |centre|^2 by the energies, kept between 3 % and 100 % of half^2.
    """
    a = (1.0 - moments.ENERGY**2) ** 0.5
    centre, variance = summed / n, (std / n * half / a) ** 2
    power = jnp.maximum(_by_band(public, jnp.square(centre)) - variance, 0.0)
    centre = centre * power / (power + variance + 1e-12)
    spread = jnp.sum(energies) / n - jnp.sum(jnp.square(centre))
    return centre, half * jnp.sqrt(jnp.clip(spread / half**2, 0.03, 1.0))


def _means(public, noised, radius, n, std, width):
    """Class means, and the roots of the covariance of a draw around them, from the second sum.

    The noised class mean is m_k = sums_k / n_k with noise of variance s_k = (std radius / (a n_k))^2. A normal
    prior of the true means, of variance B in a band, gives the posterior mean and variance

        m_k B / (B + s_k),      s_k B / (B + s_k),      B = max(mean over k and the band of m_k^2 - s_k, 0).

    With T the second moment of all images, w_k = n_k / sum n_k and u the mean over k of the posterior variances,
    the covariance within classes is

        W = T - sum_k w_k m_k m_k^T - diag(u)      (m_k the posterior means),

    made positive, its diagonal raised to a tenth of T's. A draw around a posterior mean has covariance W + diag(u).

    Returns: (params, counts [K], u along the `width` widest directions `top`, in units of the variance along them).
    """
    sums, counts, square = noised
    counts = shrunk_counts(counts, n, std)
    a = (1.0 - moments.COUNT**2 - moments.SQUARE**2) ** 0.5
    means = sums / counts[:, None]
    variance = jnp.square(std / a * radius / counts)[:, None]  # s_k, [K, 1]
    noise = (std / moments.SQUARE * radius**2 / n) ** 2
    total = _covariance(public, square / n, noise, radius)

    between = jnp.maximum(_by_band(public, jnp.mean(jnp.square(means) - variance, axis=0)), 0.0)
    between = (between + 1e-9 * radius**2)[None]
    gain = between / (between + variance)
    means = means * gain
    weights = counts / jnp.sum(counts)
    unknown = weights @ (gain * variance)  # u

    within = total - (means.T * weights[None]) @ means - jnp.diag(unknown)
    values, vectors = jnp.linalg.eigh(within)
    within = (vectors * jnp.maximum(values, 0.0)[None]) @ vectors.T
    missing = jnp.maximum(0.1 * jnp.diag(total) - jnp.diag(within), 0.0)
    values, vectors = jnp.linalg.eigh(within + jnp.diag(missing + unknown))
    scaled = vectors * jnp.sqrt(jnp.maximum(values, 0.0))[None]
    params = {
        "means": means,
        "rest": scaled[:, :-width],
        "top": scaled[:, -width:],
        "class_root": jnp.tile(jnp.eye(width), (len(counts), 1, 1)),
    }
    return params, counts, unknown @ jnp.square(vectors[:, -width:]) / values[-width:]


def shrunk_counts(counts: jax.Array, n: float, std: float) -> jax.Array:
    """Noised class counts [K] of moments.COUNT, shrunk to the public mean count n / K.

    The prior of a count is normal around n / K with a standard deviation of half of it; no count is below a quarter.
    """
    mean = n / len(counts)
    prior = (0.5 * mean) ** 2
    gain = prior / (prior + (std / moments.COUNT) ** 2)
    return jnp.maximum(mean + gain * (counts - mean), 0.25 * mean)


def _covariance(public, moment, variance, radius):
    """A noised second moment M made positive; `variance` s is that of the noise on its diagonal, s / 2 off it.

    The diagonal is shrunk to the mean b of its band, with prior variance P = max(mean of (M_ii - b)^2 - s, 0):

        D_i = b + (M_ii - b) P / (P + s).

    Off the diagonal the prior of M_ij is 0 with variance kappa D_i D_j, where kappa is the mean squared correlation
    that M shows beyond its noise:

        M_ij kappa D_i D_j / (kappa D_i D_j + s / 2),      kappa = sum (M_ij^2 - s / 2) / sum D_i D_j.

    Negative eigenvalues are raised to almost 0, and rows and columns scaled to bring back the diagonal D.
    """
    d = len(moment)
    diagonal = jnp.diag(moment)
    band = jnp.maximum(_by_band(public, diagonal), 1e-6 * radius**2 / d)
    own = jnp.maximum(_by_band(public, jnp.square(diagonal - band)) - variance, 0.0)
    diagonal = band + (diagonal - band) * own / (own + variance + 1e-20)
    diagonal = jnp.maximum(diagonal, 0.1 * band)
    scale = diagonal[:, None] * diagonal[None]
    off = 1.0 - jnp.eye(d)
    kappa = jnp.sum(off * (jnp.square(moment) - variance / 2)) / jnp.sum(off * scale)
    prior = jnp.maximum(kappa, 0.0) * scale
    mixed = off * moment * prior / (prior + variance / 2 + 1e-20) + jnp.diag(diagonal)
    values, vectors = jnp.linalg.eigh(mixed)
    mixed = (vectors * jnp.maximum(values, 1e-7 * radius**2)[None]) @ vectors.T
    back = jnp.sqrt(diagonal / jnp.maximum(jnp.diag(mixed), 1e-12))
    return mixed * back[:, None] * back[None]


def _by_class(params, noised, radius, counts, unknown, std):
    """Class means refined and class covariances, along `top`, from the third sum.

    Along `top`, in units of the spread there, the shared covariance is the identity, and the error of the mean of
    class k is normal with variance `unknown`. Its noised estimate has variance s_k = (std radius / (a n_k))^2:

        shift_k = (first_k / n_k) unknown / (unknown + s_k).

    The deviation E_k = second_k / n_k - 1 of the class's second moment has noise of known variance t_k. With prior
    variance P = max(mean of E^2 - mean of t, 0), on the diagonal and off it on its own,

        covariance_k = 1 + E_k P / (P + t_k) - shift_k shift_k^T,      no eigenvalue below .05.
    """
    first, second = noised
    r = second.shape[1]
    a = (1.0 - moments.CLASS_SQUARE**2) ** 0.5
    shift = first / counts[:, None]
    variance = jnp.square(std / a * radius / counts)[:, None]
    shift = shift * unknown[None] / (unknown[None] + variance + 1e-20)
    deviation = second / counts[:, None, None] - jnp.eye(r)[None]
    variance = jnp.square(std / moments.CLASS_SQUARE * radius**2 / counts)[:, None, None]
    off = 1.0 - jnp.eye(r)

    def shrink(part, size, variance):
        observed = jnp.sum(part[None] * jnp.square(deviation)) / (size * len(counts))
        prior = jnp.maximum(observed - jnp.mean(variance), 0.0)
        return part[None] * deviation * prior / (prior + variance + 1e-20)

    deviation = shrink(off, r * (r - 1), variance / 2) + shrink(jnp.eye(r), r, variance)
    moment = jnp.eye(r)[None] + deviation - shift[:, :, None] * shift[:, None, :]
    values, vectors = jnp.linalg.eigh(moment)
    root = vectors * jnp.sqrt(jnp.maximum(values, 0.05))[:, None, :]
    return {"means": params["means"] + shift @ params["top"].T, "class_root": root}


def _by_band(public, values):
    """[d] with each number replaced by the mean of its band."""
    return (values @ public.indicator / public.indicator.sum(0))[public.band]
