"""What is lost because every draw of noise ends somewhere: how far draws reach, and what an outcome beyond them tells.

A normal draw from w random words of 32 bits ends where the tail holds 2^-(32 w + 1): beyond `reach`(w) there is none.
An outcome that one data set can give, and its neighbour cannot, tells them apart whatever eps is. `beyond` bounds how
probable that is, and a plan pays for it out of its delta.

**Lemma.** Let M have normal noise, conditioned on |draw| <= R in all d coordinates of T steps, which has probability
1 - p, p <= 2 T d Phi(-R). If M with whole normals is (eps, delta)-DP, then M is (eps, delta / (1 - p) + m)-DP, m a
bound on the probability of outcomes that the neighbour cannot give. **Why.** Given who else is drawn, let S be what
both neighbours can give. On S every density is that of the whole normals, or less, over the same 1 - p, and the
neighbour's is no less; so p is multiplied by delta alone, not by e^eps. M leaves S with probability at most m.

In a step the sums differ by a vector v of length mu = 1 / sigma. Coordinate i leaves S with probability

    Phi(v_i - R) - Phi(-R) <= [Phi(v_i - R) + Phi(-v_i - R) - 2 Phi(-R)] + phi(R) v_i.

The bracket is convex in v_i^2 up to v_i = R - 1, so its sum is largest where one coordinate moves alone, and
sum_i v_i <= mu sqrt(d). So m <= T (Phi(mu - R) + phi(R) mu sqrt(d)).
"""

import math

from scipy import special, stats

from fpu.dp.losses import Steps

STEP_WORDS = 3  # of a draw in a step of DP-SGD, float32: R = 11.30
RELEASE_WORDS = 16  # of a draw in a one-shot release, float64: R = 26.5
SHARE = 1e-3  # of delta that all this may cost
MOST_COORDINATES = 2.0**32  # of a sum


def reach(words: int) -> float:
    """R, by 1e-5 less than the largest draw from so many words (float32 may round it)."""
    return -float(special.ndtri(2.0 ** -(32 * words + 1))) * (1 - 1e-5)


def beyond(part: Steps, words: int, delta: float) -> float:
    """What draws of so many words cost of delta in these steps: a probability; 1 where there is no bound.

    **Guarantees.** At least m + 2 p delta of the lemma above, for one unit added, removed or zeroed out and sums of at
    most MOST_COORDINATES. A truncated sample may move a sum twice as far (see losses.py).
    """
    end = reach(words)
    cut = 4 * delta * MOST_COORDINATES * float(special.ndtr(-end))
    left = (1 - part.truncation) * _left(1 / part.noise, end)
    if part.truncation:
        left += part.truncation * _left(2 / part.noise, end)
    return min(part.count * (left + cut), 1.0)


def _left(mu: float, end: float) -> float:
    """The bound on m of one step whose sum moves by mu."""
    if mu > end - 1:
        return 1.0
    spread = float(stats.norm.pdf(end)) * mu * math.sqrt(MOST_COORDINATES)
    return float(special.ndtr(mu - end)) + spread
