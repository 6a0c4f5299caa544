"""The privacy side of a run: static stages that the sampler and the accountant both read."""

import dataclasses
import math

import dp_accounting as dpa

RELATION = "add_or_remove_one"


@dataclasses.dataclass(frozen=True)
class Release:
    """One Gaussian release of a sum whose terms are clipped to an l2 norm of 1 clip norm."""

    noise_multiplier: float

    def event(self) -> dpa.DpEvent:
        """What the accountant composes."""
        return dpa.GaussianDpEvent(self.noise_multiplier)

    def words(self) -> str:
        """The mechanism in a clause of the privacy statement."""
        return f"one Gaussian release with noise multiplier {self.noise_multiplier:.4g}"


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

    def __post_init__(self):
        if not 0 < self.sampling_rate <= 1:
            raise ValueError(f"the sampling rate must lie in (0, 1], not {self.sampling_rate:g}")
        if self.n < 1 or self.steps < 1:
            raise ValueError(f"n ({self.n}) and steps ({self.steps}) must be at least 1")
        if not self.noise_multiplier >= 0:
            raise ValueError(
                f"the noise multiplier must not be negative, as {self.noise_multiplier:g} is"
            )
        if not self.denominator <= self.capacity <= self.n:
            raise ValueError(
                f"capacity {self.capacity} must lie between the mean batch {self.denominator:g} and n = {self.n}"
            )

    @property
    def denominator(self) -> float:
        """The expected batch, q * n, by which every noised sum is divided."""
        return self.sampling_rate * self.n

    def event(self) -> dpa.DpEvent:
        """What the accountant composes. Truncation is part of the event."""
        if self.capacity < self.n:
            step = dpa.TruncatedSubsampledGaussianDpEvent(
                dataset_size=self.n,
                sampling_probability=self.sampling_rate,
                truncated_batch_size=self.capacity,
                noise_multiplier=self.noise_multiplier,
            )
        else:
            step = dpa.PoissonSampledDpEvent(
                self.sampling_rate, dpa.GaussianDpEvent(self.noise_multiplier)
            )
        return dpa.SelfComposedDpEvent(step, self.steps)

    def words(self) -> str:
        """The mechanism in a clause of the privacy statement."""
        return (
            f"{self.steps:,} steps of DP-SGD, each on a Poisson sample at rate {self.sampling_rate:.6g} of n = "
            f"{self.n:,} (at most {self.capacity:,} kept, truncated uniformly), with noise multiplier "
            f"{self.noise_multiplier:.6g}"
        )


@dataclasses.dataclass(frozen=True)
class Plan:
    """Stages composed by one accountant at one delta.

    **Guarantees.** `events` is derived from the very numbers that `sampling.poisson` and the noise
    use, so the sampler and the accountant cannot disagree. A plan without stages, or with a stage
    without noise, has eps = inf.
    """

    delta: float
    stages: tuple[Release | DPSGD, ...]
    unit: str = "image"
    relation: str = RELATION

    def __post_init__(self):
        if not 0 < self.delta < 1:
            raise ValueError(f"delta must lie in (0, 1), not {self.delta:g}")

    @property
    def private(self) -> bool:
        """Whether any finite eps can hold."""
        return bool(self.stages) and all(stage.noise_multiplier > 0 for stage in self.stages)

    def event(self) -> dpa.DpEvent:
        """The whole run as one event."""
        return dpa.ComposedDpEvent([stage.event() for stage in self.stages])

    def sgd(self) -> DPSGD:
        """The DP-SGD stage; ValueError where a plan has none."""
        for stage in self.stages:
            if isinstance(stage, DPSGD):
                return stage
        raise ValueError("this plan has no DP-SGD stage")

    def statement(self, eps: float, accountant: str, disclosed: bool = False) -> str:
        """The guarantee in words: unit, neighbours, mechanism, (eps, delta), what is not covered.

        `disclosed`: the noise came from a seed that somebody chose, not from the operating system.
        """
        if math.isinf(eps):
            return (
                "No differential privacy: this run adds no noise, or releases real images. "
                "Nothing it made may leave the house as differentially private."
            )
        mechanism = "; then ".join(stage.words() for stage in self.stages)
        spent = math.ceil(eps * 1e4) / 1e4  # never rounded down
        warning = (
            "The noise seed is disclosed: the guarantee does not hold against anyone who knows it. "
            if disclosed
            else ""
        )
        return warning + (
            f"The generator, and every synthetic image drawn from it, is "
            f"({spent:.7g}, {self.delta:.3g})-"
            f"differentially private for one {self.unit}: two data sets are neighbours "
            f"when one {self.unit} is added, removed or "
            f"zeroed out. Mechanism: {mechanism}. Accountant: {accountant} (dp-accounting). "
            "Not covered: choices made by looking at other runs on the same data; the number of training images "
            "and of classes, which are treated as public; several images of one person, unless they were given as "
            "one group; attacks on floating-point noise or on the Threefry generator, which is not cryptographic; "
            "evaluation against real images, which is not private and must not be published as such."
        )
