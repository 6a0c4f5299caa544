"""The privacy side of a run: static stages that the sampler and the accountant both read."""

import dataclasses
import math

from scipy import stats

from fpu.dp import accounting, tails
from fpu.dp.losses import Steps
from fpu.dp.rounding import rounded_down
from fpu.dp.statement import spoken

LEAST_NOISE = 1e-9  # less would hide nothing, and 1 / sigma^2 must be a number
_TRUNCATED = 1e-3  # share of delta that truncated samples may cost, at the capacity of `capacity`


def capacity(n: int, q: float, steps: int, delta: float) -> int:
    """Slots of a batch, at most n, that are too few in some step with a probability below 1e-3 delta.

    Args:
      n: privacy units; q: sampling rate; steps: samples in all; delta: of the plan.

    **Guarantees.** steps * P(Bin(n - 1, q) >= capacity) <= 1e-3 delta: what truncation costs (see losses.py).
    """
    low, high = max(math.ceil(q * n) - 1, 0), n  # one too few for the mean; enough for everybody
    while high - low > 1:  # scipy's own quantile fails below 1e-16
        middle = (low + high) // 2
        rare = steps * stats.binom.sf(middle - 1, n - 1, q) <= _TRUNCATED * delta
        low, high = (low, middle) if rare else (middle, high)
    return high


def longest_move(slots: int) -> float:
    """How far one unit moves a float32 sum of so many clipped gradients, in clip norms: 1 + 1e-5 + rounding, which is
    slots / 2^22, or 8,192 / 2^22 where slots are fewer.

    A gradient is clipped to 1 + 1e-5. The rest is for the rounding of the sum, which one gradient more may change
    everywhere. A sample is in an order that is random and secret, so two neighbours may be compared in orders that
    differ in two slots: that of the unit, where the other world has its last. Of the batches that were searched for,
    of 48 to 60,000 gradients made to be rounded badly, the worst of at most 8,192 moved by 1 + 4e-4 (33 x 32, eight
    tokens, 168 gradients), a fifth of what is kept for it, and the worst of more by 0.6 of it (tests/dp/
    clipping_test.py, bookkeeping_test.py). This is measured, not proved; in an order of somebody's choice 1.4 was
    reached.
    """
    return 1 + 1e-5 + max(slots, 8192) * 2.0**-22


def _check_noise(noise: float) -> None:
    if noise != 0 and not LEAST_NOISE <= noise < math.inf:
        raise ValueError(
            f"the noise multiplier must be 0 (no privacy) or at least {LEAST_NOISE:g}, finite and not negative, "
            f"as {noise:g} is not"
        )


@dataclasses.dataclass(frozen=True)
class Release:
    """One Gaussian release of a sum whose terms have an l2 norm of at most 1 clip norm.

    Or several adaptively chosen ones of noise multipliers sigma / sqrt(share), shares adding up to 1:
    they have the same trade-off curve (see fpu/dp/moments.py).
    """

    noise_multiplier: float
    words_drawn = tails.RELEASE_WORDS  # of 32 random bits, for each draw

    def __post_init__(self):
        _check_noise(self.noise_multiplier)

    def accounted(self) -> Steps:
        """What the accountant composes."""
        return Steps(1, 1.0, self.noise_multiplier)

    def words(self) -> str:
        """The mechanism in a clause of the privacy statement."""
        return (
            "noised sums of all members, one or several that are each shaped by those before, together with the "
            f"trade-off curve of one Gaussian release with noise multiplier {rounded_down(self.noise_multiplier, 6)}"
        )


@dataclasses.dataclass(frozen=True)
class DPSGD:
    """`steps` noised sums of clipped gradients over Poisson samples.

    n and the denominator q * n are public constants of the plan, never counted from the data. The
    guarantee is between data sets of at most n units.
    `capacity` < n means that larger samples are truncated uniformly, and is accounted for.
    """

    n: int  # privacy units (images, or groups of them)
    sampling_rate: float  # q
    steps: int
    noise_multiplier: float  # sigma; the noise on the sum has standard deviation sigma * C
    capacity: int
    words_drawn = tails.STEP_WORDS

    def __post_init__(self):
        if not 0 < self.sampling_rate <= 1:
            raise ValueError(f"the sampling rate must lie in (0, 1], not {self.sampling_rate:g}")
        if self.n < 1 or self.steps < 1:
            raise ValueError(f"n ({self.n}) and steps ({self.steps}) must be at least 1")
        _check_noise(self.noise_multiplier)
        if not self.denominator <= self.capacity <= self.n:
            raise ValueError(
                f"capacity {self.capacity} must lie between the mean batch {self.denominator:g} and n = "
                f"{self.n}: {capacity(self.n, self.sampling_rate, self.steps, 1e-5)} rarely truncates"
            )

    @property
    def denominator(self) -> float:
        """The expected batch, q * n, by which every noised sum is divided."""
        return self.sampling_rate * self.n

    def accounted(self) -> Steps:
        """What the accountant composes, truncation and rounding included."""
        noise = self.noise_multiplier / longest_move(self.capacity)
        plain = Steps(self.steps, self.sampling_rate, noise)
        if self.capacity == self.n:
            return plain
        crowded = float(stats.binom.sf(self.capacity - 1, self.n - 1, self.sampling_rate))
        return plain._replace(truncation=crowded)

    def words(self) -> str:
        """The mechanism in a clause of the privacy statement."""
        return (
            f"{self.steps:,} steps of DP-SGD, each on a Poisson sample at rate {self.sampling_rate:.6g} of n = "
            f"{self.n:,} (at most {self.capacity:,} kept, truncated uniformly), with noise multiplier "
            f"{rounded_down(self.noise_multiplier, 6)}"
        )


@dataclasses.dataclass(frozen=True)
class Plan:
    """Stages composed by one accountant at one delta.

    **Guarantees.** `accounted` is derived from the very numbers that `sampling.poisson` and the noise
    use, so the sampler and the accountant cannot disagree. A plan without stages, or with a stage
    without noise, has eps = inf.
    """

    delta: float
    stages: tuple[Release | DPSGD, ...]
    unit: str = "image"
    relation: str = "add_or_remove_one"

    def __post_init__(self):
        if not 0 < self.delta < 1:
            raise ValueError(f"delta must lie in (0, 1), not {self.delta:g}")

    @property
    def private(self) -> bool:
        """Whether any finite eps can hold: there is noise, and draws of it reach far enough (see `beyond`)."""
        noised = bool(self.stages) and all(stage.noise_multiplier > 0 for stage in self.stages)
        return noised and self.beyond() <= tails.SHARE * self.delta

    def beyond(self, delta: float = 0.0) -> float:
        """What the ends of the noise cost of delta (tails.py), its own or a larger one."""
        return math.fsum(
            tails.beyond(stage.accounted(), stage.words_drawn, max(delta, self.delta))
            for stage in self.stages
        )

    def accounted(self) -> tuple[Steps, ...]:
        """The whole run, as `accounting.spent` takes it."""
        return tuple(stage.accounted() for stage in self.stages)

    def sgd(self) -> DPSGD:
        """The DP-SGD stage; ValueError where a plan has none."""
        for stage in self.stages:
            if isinstance(stage, DPSGD):
                return stage
        raise ValueError("this plan has no DP-SGD stage")

    def epsilon(self) -> float:
        """eps at this plan's delta. See accounting.epsilon for what it is worth, and what it raises."""
        return accounting.epsilon(self)[0]

    def statement(self, disclosed: bool = False) -> str:
        """The guarantee in words: unit, neighbours, mechanism, (eps, delta), what is not covered.

        `disclosed`: the noise came from a seed that somebody chose, not from the operating system.
        """
        mechanism = "; then ".join(stage.words() for stage in self.stages)
        return spoken(*accounting.epsilon(self), self.delta, self.unit, mechanism, disclosed)


def poisson_plan(
    n: int,
    batch: float,
    steps: int,
    delta: float,
    *,
    eps: float | None = None,
    noise_multiplier: float | None = None,
    unit: str = "example",
) -> Plan:
    """DP-SGD on Poisson samples of `batch` units on average, with noise for `eps` or as much as is given.

    Args:
      n: privacy units in the data: public.
      batch: expected batch, in (0, n]; it need not be whole. The sampling rate is batch / n.
      steps: noised gradients in all.
      delta: below 1 / n; 1 / (10 n) is usual.
      eps: wanted eps, from which the noise multiplier is solved, which may take seconds. This, or noise_multiplier.
      noise_multiplier: standard deviation of the noise on the sum over the clip norm.
      unit: what the statement calls a unit.

    Raises:
      ValueError: no such plan is possible; names the nearest that is.

    **Guarantees.** plan.epsilon() <= eps. A sample of more than `capacity` units is truncated, which is accounted for.
    """
    if n < 1 or steps < 1 or n != int(n) or steps != int(steps):
        raise ValueError(f"n = {n} and steps = {steps} must be whole numbers and at least 1")
    n, steps = int(n), int(steps)
    if not 0 < batch <= n:
        raise ValueError(f"batch = {batch:g} must lie in (0, n]: at most {n}, everybody in a step")
    if not 0 < delta < 1 / n:
        raise ValueError(
            f"delta = {delta:g} must lie between 0 and 1/n = {1 / n:g}: 1/(10 n) = {1 / (10 * n):g} is usual"
        )
    if (eps is None) == (noise_multiplier is None):
        raise ValueError("give eps or noise_multiplier, one of them: the other is solved for")
    rate = batch / n

    def make_plan(noise):
        stage = DPSGD(n, rate, steps, noise, capacity(n, rate, steps, delta))
        return Plan(delta, (stage,), unit)

    return accounting.calibrate(make_plan, eps) if eps is not None else make_plan(noise_multiplier)


def shared(noise: float, share: float, sgd: DPSGD) -> tuple[Release | DPSGD, ...]:
    """Stages of a release with `share` of a budget and DP-SGD with the rest; both need more noise for less.

    A budget is the sum over stages of 1 / sigma^2, with q sqrt(T) / sigma for 1 / sigma of DP-SGD: what its
    Gaussian-DP limit has (arXiv:1911.11607). Share 0 is DP-SGD alone, at sigma = noise; share 1 the release.
    """
    if share == 0:
        return (dataclasses.replace(sgd, noise_multiplier=noise),)
    if share == 1:
        return (Release(noise),)
    scale = sgd.sampling_rate * math.sqrt(sgd.steps / (1 - share))
    rest = dataclasses.replace(sgd, noise_multiplier=noise * scale)
    return Release(noise / math.sqrt(share)), rest


def restored(stages: list[dict], delta: float, unit: str = "image") -> Plan:
    """The plan whose stages these are, each as dataclasses.asdict wrote it. TypeError if one is of no kind."""
    return Plan(delta, tuple((DPSGD if "n" in s else Release)(**s) for s in stages), unit)
