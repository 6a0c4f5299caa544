"""The one-shot generator: a normal distribution for each class, from DP moments of low frequencies.

`fit` spends one Gaussian release (fpu/dp/moments.py): first where the data lie and how wide, then, around
that centre and on that scale, class means and one shared covariance, and where the noise leaves
room for it the covariance of each class in the few directions in which images of a class vary most.
Centring first is what makes small budgets work: the second sum then needs room for the spread of the
data only. The rest is post-processing: what is known of the noise shrinks every number towards
its prior (empirical Bayes), and draws include what stays unknown of the class means.

Images are seen through their lowest frequencies.KEPT coefficients of the discrete cosine transform, a public basis.
"""

import jax
import jax.numpy as jnp
import numpy as np

from fpu.dp import moments, sampling
from fpu.models import frequencies

FIRST, THIRD = 0.1, 0.3  # shares of 1 / sigma^2; the second sum has the rest
ROOM, MUCH_ROOM = (
    100.0,
    200.0,
)  # members a class over sigma from where the third sum pays, and 24 directions
STRETCH = 1.3  # radius of the third sum over the root mean square radius expected


def fit(spec, pool, denominator: float, noise_multiplier: float, key):
    """Parameters for `sample`, from at most three noised sums.

    Args:
      spec: of the images; public.
      pool: a training.Pool of the members.
      denominator: the public number of units N.
      noise_multiplier: sigma, a Python float. How many sums there are depends on it, N and the number
        of classes: all public.
      key: secret typed key.

    **Guarantees.** One unit gives one image, and all sums together are one Gaussian release with noise
    multiplier sigma: their shares add up to 1 (see fpu/dp/moments.py). Only the three calls of `moments`
    see images; all they are given beside them is public or noised already.
    """
    k_unit, k_first, k_second, k_third = jax.random.split(key, 4)
    units = jnp.arange(len(pool.sizes))
    rows = sampling.one_of(k_unit, units, pool.units, pool.sizes)
    labels, count = pool.labels[rows], spec.n_classes
    public = frequencies.basis(tuple(spec.shape))
    x = pool.images[rows].reshape(len(rows), -1).astype(jnp.float32) / 255.0 - 0.5
    z = jnp.dot(x, public.rows.T, precision="highest")
    room = denominator / count / max(noise_multiplier, 1e-6)
    third = THIRD if room >= ROOM else 0.0
    stds = [noise_multiplier / share**0.5 for share in (FIRST, 1.0 - FIRST - third, THIRD)]

    # A pixel less 1/2 is at most 1/2 and the basis is orthonormal: |z| <= half.
    half = 0.5 * float(np.prod(spec.shape)) ** 0.5
    first = moments.energies(z, half, public.indicator, k_first, stds[0])
    centre, radius = _centre(public, half, *first, denominator, stds[0])
    v = z - centre[None]
    second = moments.moments(v, labels, count, radius, k_second, stds[1])
    params, rest = _means(
        public, second, radius, denominator, stds[1], 24 if room >= MUCH_ROOM else 12
    )
    params["centre"] = centre
    if third:
        top = params["top"]
        u = (v - params["means"][labels]) @ (top / jnp.sum(jnp.square(top), 0, keepdims=True))
        radius = STRETCH * top.shape[1] ** 0.5
        own = moments.class_moments(u, labels, count, radius, k_third, stds[2])
        params |= _by_class(params, own, radius, rest, stds[2])
    return params


def sample(spec, params, key, labels):
    """float32 [n, H, W, C] in [0, 1]: one normal draw for each label, back from frequencies to pixels."""
    k_rest, k_top = jax.random.split(key)
    rest = jax.random.normal(k_rest, (len(labels), params["rest"].shape[1])) @ params["rest"].T
    top = jax.random.normal(k_top, (len(labels), params["top"].shape[1]))
    top = jnp.einsum("nrs,ns->nr", params["class_root"][labels], top) @ params["top"].T
    z = params["centre"][None] + params["means"][labels] + rest + top
    return jnp.clip(z @ frequencies.basis(tuple(spec.shape)).rows + 0.5, 0.0, 1.0).reshape(
        -1, *spec.shape
    )


# What follows sees no image.


def _centre(public, half, summed, energies, n, std):
    """(centre [d], root mean square radius around it) from the first sum."""
    a = (1.0 - moments.ENERGY**2) ** 0.5
    centre, variance = summed / n, (std / n * half / a) ** 2
    power = jnp.maximum(_by_band(public, jnp.square(centre)) - variance, 0.0)
    centre = centre * power / (power + variance + 1e-12)
    spread = jnp.sum(energies) / n - jnp.sum(jnp.square(centre))
    return centre, half * jnp.sqrt(jnp.clip(spread / half**2, 0.03, 1.0))


def _means(public, noised, radius, n, std, width):
    """Class means, and the roots of the covariance of a draw around them, from the second sum.

    Returns: (params, (counts [K], variance expected of a class mean's error along `top`, in units of the
    spread along it [width])).
    """
    sums, counts, square = noised
    counts = shrunk_counts(counts, n, std)
    a = (1.0 - moments.COUNT**2 - moments.SQUARE**2) ** 0.5
    means = sums / counts[:, None]
    variance = jnp.square(std / a * radius / counts)[:, None]  # of the noise, [K, 1]
    noise = (std / moments.SQUARE * radius**2 / n) ** 2
    total = _covariance(public, square / n, noise, radius)

    # Normal prior of the means, one variance a band; `left` is the mean over classes of what stays unknown.
    between = jnp.maximum(_by_band(public, jnp.mean(jnp.square(means) - variance, axis=0)), 0.0)
    between = (between + 1e-9 * radius**2)[None]
    gain = between / (between + variance)
    means = means * gain
    weights = counts / jnp.sum(counts)
    left = weights @ (gain * variance)

    within = total - (means.T * weights[None]) @ means - jnp.diag(left)
    values, vectors = jnp.linalg.eigh(within)
    within = (vectors * jnp.maximum(values, 0.0)[None]) @ vectors.T
    least = jnp.maximum(0.1 * jnp.diag(total) - jnp.diag(within), 0.0)
    values, vectors = jnp.linalg.eigh(within + jnp.diag(least + left))
    scaled = vectors * jnp.sqrt(jnp.maximum(values, 0.0))[None]
    params = {
        "means": means,
        "rest": scaled[:, :-width],
        "top": scaled[:, -width:],
        "class_root": jnp.tile(jnp.eye(width), (len(counts), 1, 1)),
    }
    return params, (counts, left @ jnp.square(vectors[:, -width:]) / values[-width:])


def shrunk_counts(counts, n, std):
    """Noised class counts [K] of moments.COUNT, shrunk to the public mean count n / K, give or take half of it."""
    mean = n / len(counts)
    prior = (0.5 * mean) ** 2
    trust = prior / (prior + (std / moments.COUNT) ** 2)
    return jnp.maximum(mean + trust * (counts - mean), 0.25 * mean)


def _covariance(public, moment, variance, radius):
    """A noised second moment made positive: its diagonal shrunk to its band's mean, the rest to 0.

    `variance` is that of the noise on the diagonal; off it, it is half as large. Entry (i, j) has prior
    variance kappa D_i D_j, with kappa the mean squared correlation that the noised matrix shows.
    """
    d = len(moment)
    diagonal = jnp.diag(moment)
    band = jnp.maximum(_by_band(public, diagonal), 1e-6 * radius**2 / d)
    own = jnp.maximum(_by_band(public, jnp.square(diagonal - band)) - variance, 0.0)
    diagonal = band + (diagonal - band) * own / (own + variance + 1e-20)
    diagonal = jnp.maximum(diagonal, 0.1 * band)
    scale = diagonal[:, None] * diagonal[None]
    off = 1.0 - jnp.eye(d)
    excess = jnp.sum(off * (jnp.square(moment) - variance / 2)) / jnp.sum(off * scale)
    prior = jnp.maximum(excess, 0.0) * scale
    mixed = off * moment * prior / (prior + variance / 2 + 1e-20) + jnp.diag(diagonal)
    values, vectors = jnp.linalg.eigh(mixed)
    mixed = (vectors * jnp.maximum(values, 1e-7 * radius**2)[None]) @ vectors.T
    back = jnp.sqrt(diagonal / jnp.maximum(jnp.diag(mixed), 1e-12))
    return mixed * back[:, None] * back[None]


def _by_class(params, noised, radius, rest, std):
    """Class means refined and class covariances, along `top`, from the third sum."""
    counts, expected = rest
    first, second = noised
    r = second.shape[1]
    a = (1.0 - moments.CLASS_SQUARE**2) ** 0.5
    shift = first / counts[:, None]
    variance = jnp.square(std / a * radius / counts)[:, None]
    shift = shift * expected[None] / (expected[None] + variance + 1e-20)
    # Deviations of the class moments from the shared one (here the identity), shrunk to 0.
    deviation = second / counts[:, None, None] - jnp.eye(r)[None]
    variance = jnp.square(std / moments.CLASS_SQUARE * radius**2 / counts)[:, None, None]
    off = 1.0 - jnp.eye(r)

    def shrink(part, size, variance):
        found = jnp.sum(part[None] * jnp.square(deviation)) / (size * len(counts))
        prior = jnp.maximum(found - jnp.mean(variance), 0.0)
        return part[None] * deviation * prior / (prior + variance + 1e-20)

    deviation = shrink(off, r * (r - 1), variance / 2) + shrink(jnp.eye(r), r, variance)
    moment = jnp.eye(r)[None] + deviation - shift[:, :, None] * shift[:, None, :]
    values, vectors = jnp.linalg.eigh(moment)
    root = vectors * jnp.sqrt(jnp.maximum(values, 0.05))[:, None, :]
    return {"means": params["means"] + shift @ params["top"].T, "class_root": root}


def _by_band(public, values):
    """[d] with each number replaced by the mean of its band."""
    return (values @ public.indicator / public.indicator.sum(0))[public.band]
