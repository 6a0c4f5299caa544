"""Random strokes of a pen: public pictures that no font holds.

A programme is a path of up to 40 unit steps. Its curvature is constant over pieces, there are corners, the pen may be
lifted once or twice and set down near what is drawn. Drawn with a round nib, the longer side scaled to the box.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from fpu.dp.rows import each_alone

_STEPS = 40
_LEAST = 10  # steps of the shortest path
_CHUNK = 500


def draw(rng: np.random.Generator, n: int, side: int) -> np.ndarray:
    """float32 [n, side, side] in [0, 1]: n programmes, the longer side (side - 8) pixels, in the middle."""
    points, drawn = _paths(rng, n)
    points = _fitted(points, drawn, side - 8) + side / 2
    # Half its width, in pixels.
    nib = np.clip(rng.lognormal(np.log(2.2), 0.3, n), 1.2, 4.0).astype(np.float32)
    # A segment is drawn where both of its ends are: the last point of a piece has none.
    points, segments = points.astype(np.float32), drawn.astype(np.float32)

    def some(rows):
        return np.asarray(_ink(side, points[rows], segments[rows], nib[rows]))

    return each_alone(some, np.arange(n), min(_CHUNK, n))


def _paths(rng, n):
    """Points [n, 40, 2] (row, column) and whether the segment from each to the next is drawn [n, 40]."""
    new = rng.random((n, _STEPS)) < 0.09  # a new piece of constant curvature begins
    straight = rng.random((n, _STEPS)) < 0.3
    wanted = np.where(straight, 0.0, rng.normal(0, 0.22, (n, _STEPS)))
    piece = np.maximum.accumulate(np.where(new, np.arange(_STEPS), 0), axis=1)
    curvature = np.take_along_axis(wanted, piece, axis=1)
    corner = np.where(rng.random((n, _STEPS)) < 0.04, rng.normal(0, 1.6, (n, _STEPS)), 0.0)
    angle = rng.uniform(0, 2 * np.pi, (n, 1)) + np.cumsum(curvature + corner, axis=1)
    points = np.cumsum(np.stack([np.sin(angle), np.cos(angle)], -1), axis=1)
    length = rng.integers(_LEAST, _STEPS + 1, n)
    drawn = np.arange(_STEPS)[None] < length[:, None] - 1
    for lifts in (1, 2):
        points, drawn = _lifted(rng, points, drawn, rng.integers(0, 3, n) >= lifts)
    return points, drawn


def _lifted(rng, points, drawn, which):
    """Of programmes `which`, all after a random step is moved to begin near a random earlier point."""
    n, every = len(points), np.arange(len(points))
    at = rng.integers(8, _STEPS - 8, n)
    earlier = (rng.random(n) * at).astype(int)
    move = points[every, earlier] + rng.normal(0, 3.0, (n, 2)) - points[every, at]
    after = (np.arange(_STEPS)[None] >= at[:, None]) & which[:, None]
    drawn = drawn.copy()
    drawn[every[which], at[which] - 1] = False
    return points + after[..., None] * move[:, None], drawn


def _fitted(points, drawn, box):
    """The drawn part moved to the middle, its longer side scaled to `box` pixels less the pen's width."""
    seen = drawn | np.roll(drawn, 1, axis=1)  # both ends of each drawn segment
    low = np.where(seen[..., None], points, np.inf).min(1)
    high = np.where(seen[..., None], points, -np.inf).max(1)
    scale = (box - 4) / np.maximum((high - low).max(1), 4.0)
    return (points - (low + high)[:, None] / 2) * scale[:, None, None]


@functools.partial(jax.jit, static_argnums=0)
def _ink(side, points, segments, nib):
    """[n, side, side]: 1 within the nib of a segment, 0 outside, a pixel's slope between."""
    axis = jnp.arange(side) + 0.5
    rows, columns = axis[:, None], axis[None]

    def distance(best, segment):
        start, end, on = segment
        along = end - start
        down, right = rows - start[0], columns - start[1]
        # the nearest point of a segment: the foot of the perpendicular, or the nearer end
        foot = (down * along[0] + right * along[1]) / (along[0] ** 2 + along[1] ** 2 + 1e-6)
        foot = jnp.clip(foot, 0.0, 1.0)
        away = jnp.square(down - foot * along[0]) + jnp.square(right - foot * along[1])
        return jnp.minimum(best, jnp.where(on > 0, away, jnp.inf)), None

    def one(points, segments, nib):
        none = jnp.full((side, side), jnp.inf)
        ends = (points[:-1], points[1:], segments[:-1])
        squared, _ = jax.lax.scan(distance, none, ends)
        return jnp.clip(nib + 0.5 - jnp.sqrt(squared), 0.0, 1.0)

    return jax.vmap(one)(points, segments, nib)
