"""What to expect before anything of a budget is spent: from public numbers and the curves measured on other data."""

import math
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from fpu import InputError, priors
from fpu.dp import accounting
from fpu.dp.plan import DPSGD, Plan, Release
from fpu.models import MODELS, Spec
from fpu.privacy import bounds
from fpu.report import measured, words

FEW = 100.0  # members of a class over the noise: where fewer, draws of a prior taught more (measured.csv)
_ALARMS = 0.05  # of a test for one member that is none
_SHOWN = 28  # columns of a cell


class Facts(NamedTuple):
    """All that is known before a run, and public."""

    n: int  # privacy units
    classes: int
    side: int  # pixels
    channels: int = 1
    dataset: str = "FOLDER_OR_FILE"  # as --dataset names it
    unit: str = "image"


def hopeless(plan: Plan, n: int, n_classes: int) -> str | None:
    """One line where the members of a class, all together, hardly change what comes out; None where they may.

    Stages are about mu-GDP with mu^2 = sum of 1 / sigma^2 (releases) and q^2 T (e^(1 / sigma^2) - 1) (DP-SGD;
    arXiv:1911.11607, in the limit of many steps). Removing all m members of a class is then m mu-GDP
    (arXiv:1905.02383, theorem 2.14), so no yes-or-no question about the outcome changes its probability by more than
    2 Phi(m mu / 2) - 1. Below one half, a generator that never saw the class would often look the same.
    n counts privacy units; n / n_classes are those of a class of average size. All of it is public.
    """
    if not plan.private:
        return None
    squares = 0.0
    for stage in plan.stages:
        one = min(700.0, stage.noise_multiplier**-2)  # e^700 is near the largest float
        if isinstance(stage, DPSGD):
            squares += stage.sampling_rate**2 * stage.steps * math.expm1(one)
        else:
            squares += one
    m = n / n_classes
    most = math.erf(m * math.sqrt(squares) / 2 / math.sqrt(2))
    if most >= 0.5:
        return None
    return (
        f"nothing can be learned at this budget: all {m:,.0f} members of a class together change the probability of "
        f"no outcome by more than {100 * most:.2g} percentage points, so what is drawn will be noise; give a larger "
        "--eps, more members, or leave --delta out"
    )


def lines(facts: Facts, epsilons: Sequence[float], delta: float | None = None) -> list[str]:
    """One screen: a block for each eps, what runs cost in time, what to run. InputError where no noise reaches an eps.

    delta: 1 / (10 n) where it is None.
    """
    delta = delta or 1 / (10 * facts.n)
    size = f"{facts.side}x{facts.side} {'grey' if facts.channels == 1 else 'RGB'}"
    plans = {eps: solved(eps, delta) for eps in epsilons}
    blocks = [line for eps, plan in plans.items() for line in ("", *_block(facts, eps, plan))]
    return [
        f"{facts.n:,} {facts.unit}s of {facts.classes} classes, {size}; delta = {words.spent(delta)}. Nothing of them "
        "was looked at for what follows.",
        *_wrapped(
            "Measured on other data, where a class had about as many members over the noise: what a small net that "
            "knows synthetic images alone says of real ones (percent right; AUC: 50 is guessing), and in brackets how "
            "many in 100 real images have a synthetic one near. ±: 95 % interval over runs. Yours may be easier or "
            "harder."
        ),
        *blocks,
        "",
        *_minutes(facts.side),
        *_next(facts, plans),
    ]


def _block(facts: Facts, eps: float, plan: Plan) -> list[str]:
    signal = _signal(facts, plan)
    odds = math.exp(eps) / (1 + math.exp(eps)) if eps < 30 else 1.0
    found = bounds.highest_tpr(_ALARMS, eps, plan.delta)
    text = _wrapped(
        f"eps = {words.number(eps)}: whoever holds it for 50 % that one {facts.unit} contributed can be moved to "
        f"{_percent(odds)} at most. A test for one {facts.unit} finds it in {_percent(found)} of cases at most, at "
        f"{_percent(_ALARMS)} false alarms. Members of a class over the noise: {words.number(signal)}."
    )
    if nothing := hopeless(plan, facts.n, facts.classes):
        return [*text, *_wrapped(nothing, "  ")]
    names = dict.fromkeys(row.dataset for row in measured.rows())
    table = [line for line in (_measured(name, signal) for name in names) if line]
    if not table:
        return [*text, "  Nothing was measured near this."]
    head = f"{'':22}{'with a public prior':{_SHOWN}}{'without':{_SHOWN}}private  real members"
    return [*text, *(f"  {line}" for line in (head, *table))]


def _measured(dataset: str, signal: float) -> str | None:
    """A line of the table: the best with a prior and without, and what to compare it to; None where none is near."""
    both = [measured.nearest(dataset, signal, prior) for prior in (True, False)]
    near = [row for rows in both for row in rows]
    if not near:
        return None
    score = "accuracy" if near[0].score == "accuracy" else "AUC"
    cells = "".join(f"{_cell(rows[0]) if rows else 'not measured':{_SHOWN}}" for rows in both)
    rival = next((row.rival for row in near if row.rival is not None), None)
    return f"{f'{dataset}, {score}':22}{cells}{_whole(rival):>7}  {_whole(near[0].members):>6}"


def _cell(row: measured.Row) -> str:
    half = "" if row.half is None else f"±{row.half:.0f}"
    model = words.model_name({"model": row.model})
    return f"{row.value:.0f}{half} {model} ({_whole(row.coverage)}), n={row.n}"


def _whole(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def _minutes(side: int) -> list[str]:
    """What runs took where these were measured."""
    sides = sorted({row.side for row in measured.rows()})
    near = min(sides, key=lambda other: abs(math.log(other / side)))
    took: dict[str, list[float]] = {}
    for row in measured.rows():
        if row.side == near and row.seconds is not None:
            kind = "VAE, GAN, DDPM" if row.model in MODELS else "others"
            took.setdefault(kind, []).append(row.seconds / 60)
    told = "; ".join(
        f"{kind} {words.number(min(each), 2)} to {words.number(max(each), 2)}"
        for kind, each in sorted(took.items())
    )
    return _wrapped(
        f"Minutes on two CPU cores at {near}x{near}{' (yours take longer)' if side > max(sides) else ''}: {told}. "
        "fpu run --dry_run times a run on this machine."
    )


def _next(facts: Facts, plans: dict[float, Plan]) -> list[str]:
    """Which model and prior at the smallest eps that may work, what its images look like, and the command."""
    hopes = [e for e, p in plans.items() if not hopeless(p, facts.n, facts.classes)]
    if not hopes:
        return ["No budget named here is enough: more images, fewer classes, or a larger --eps."]
    eps = hopes[0]
    shape = (facts.side, facts.side, facts.channels)
    chosen = priors.auto(facts.dataset, Spec(shape, facts.classes))
    if _signal(facts, plans[eps]) < FEW and facts.channels == 1:
        model = "prior" + (" --prior=scans" if chosen == "none" else "")
        told = (
            f"At eps = {words.number(eps)} use draws of a public prior: sharp, but they are the prior's images "
            "(letters, sections) that are nearest to each class. --prior=scans for X-rays and sections, glyphs for "
            "strokes, images:WHAT for public images of your kind."
        )
    else:
        model = "gaussian"
        told = (
            f"At eps = {words.number(eps)} use draws of one release of class means (gaussian): they look like averages "
            "under grain. merf is sharper where images are strokes on black."
        )
    return [
        *_wrapped(
            f"{told} If one task is all you need, a private classifier is often better (its column; it makes no "
            "images)."
        ),
        f"  fpu run --model={model} --eps={eps:g} --dataset={facts.dataset} --n_per_class=0",
    ]


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, 100, initial_indent=indent, subsequent_indent=indent)


def solved(eps: float, delta: float) -> Plan:
    """The plan of one release at eps. InputError where there is none."""
    try:
        return accounting.calibrate(lambda noise: Plan(delta, (Release(noise),)), eps)
    except ValueError as error:
        raise InputError(f"--eps={eps:g}: {error}") from error


def _signal(facts: Facts, plan: Plan) -> float:
    return facts.n / facts.classes / plan.stages[0].noise_multiplier


def _percent(share: float) -> str:
    """Rounded up, but never to 100 % what is below it."""
    return f"{100 * share:.0f} %" if share < 0.99 else f"{math.floor(1e4 * share) / 100:g} %"
