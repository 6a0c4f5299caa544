"""The claims of arXiv:2606.07640's abstract, each tested on whatever records there are.

The GAN and the DDPM keep fidelity and utility as noise grows; the VAE loses them faster; one axis of evaluation
alone misleads. Each is asked at nominal noise (the paper preset's sigma, whose eps is in the thousands and
beyond) and at real eps (runs calibrated to a budget).
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from scipy.stats import binomtest

from fpu.report import Section, compare
from fpu.report.metrics import AXES
from fpu.report.records import over_runs, point
from fpu.report.settings import by
from fpu.report.words import number, plural

MARGIN = 0.05  # a loss of no more than this is "kept"; of accuracy, AUC or coverage, all in [0, 1]
CHANCE = 0.05  # pairs that chance alone would order oppositely, at most
CLAIMS = (
    "The GAN and the DDPM keep fidelity and utility as noise grows",
    "The VAE loses them faster",
    "One axis alone misleads",
)
NOISES = ("nominal noise", "real ε")
HEADER = ("tested", "where", "effect [95 % interval]", "verdict")
ABOUT = (
    f"Keeps: loses less than {100 * MARGIN:g} points of accuracy (of macro AUC where there is no accuracy) or of "
    "coverage from the least noise to the most. Misleads: of pairs of models that two axes both order clearly, more "
    f"than {100 * CHANCE:g} % are ordered oppositely. Intervals are Student's over runs paired by their members, of "
    "shares exact. Confirmed and refuted: the interval lies on one side of the margin; open: it does not. "
    "Where there is only one pair nothing is tested. Of many tests, expect one in twenty to be clear by chance. A "
    "model that has little at the least noise can lose little."
)


class Claim(NamedTuple):
    """One test of one claim."""

    claim: int  # of CLAIMS
    noise: int  # of NOISES
    tested: str
    where: str
    effect: str
    verdict: str  # confirmed, refuted or open


def claims(runs: Sequence[dict]) -> list[Claim]:
    """Every test that records of two pairs or more allow, claim by claim."""
    tests = []
    for noise, nominal in enumerate((True, False)):
        some = [r for r in runs if compare.nominal(r) == nominal]
        tests += [Claim(claim, noise, *rest) for claim, *rest in (*_losses(some), *_axes(some))]
    return sorted(tests, key=lambda c: (c.claim, c.noise))


def summary(tests: Sequence[Claim]) -> list[str]:
    """A sentence for each claim and kind of noise: how often it was confirmed, refuted, left open."""
    lines = []
    for claim, text in enumerate(CLAIMS):
        parts = []
        for noise, kind in enumerate(NOISES):
            verdicts = [c.verdict for c in tests if (c.claim, c.noise) == (claim, noise)]
            counts = [f"{verdicts.count(v)} {v}" for v in ("confirmed", "refuted", "open")]
            parts.append(f"at {kind} {', '.join(counts)}" if verdicts else f"at {kind} not tested")
        lines.append(f"{text}: {'; '.join(parts)}.")
    return lines


def section(tests: Sequence[Claim]) -> Section:
    """Summary and tests, for the page."""
    rows = [test[2:] for test in tests]
    return Section("Claims of arXiv:2606.07640", summary(tests), HEADER, rows, ABOUT)


def _losses(runs) -> Iterator[tuple]:
    """(claim, tested, where, effect, verdict) of what noise takes from each model, and more from the VAE."""
    for (dataset, n, way, delta), family in _families(runs):
        models = by(family, lambda r: r["config"]["model"])
        for which in ("utility", "fidelity"):
            lost = {name: _lost(models.get(name, []), which) for name in ("gan", "ddpm", "vae")}
            for name in ("gan", "ddpm"):
                weak, strong, losses = lost[name]
                loss = over_runs(losses.values())
                if loss is None or loss["low"] is None:
                    continue
                where = f"{dataset}, n = {n:,}{way}, {weak.noise} to {strong.noise}{delta}"
                tested = f"{name.upper()} keeps its {which}"
                yield 0, tested, where, _effect(loss, "lost"), _verdict(loss, MARGIN, below=True)
                if lost["vae"][:2] != (weak, strong):
                    continue
                vae = lost["vae"][2]
                more = over_runs(
                    point(vae[key]["value"] - losses[key]["value"]) for key in losses if key in vae
                )
                if more is not None and more["low"] is not None:
                    tested = f"VAE loses {which} faster than the {name.upper()}"
                    yield 1, tested, where, _effect(more, "more"), _verdict(more, 0.0, below=False)


def _families(runs) -> Iterator[tuple]:
    """((data set, members, way of training, delta), its runs): losses are between runs of one delta. A run without a
    guarantee has none, and belongs to each."""
    for family, members in by(runs, _family).items():
        deltas = sorted({compare.setting(r).delta for r in members} - {0.0}) or [0.0]
        for delta in deltas:
            words = f", δ = {number(delta)}" if delta else ""
            yield (*family, words), [r for r in members if compare.setting(r).delta in (0.0, delta)]


def _family(run: dict) -> tuple:
    """Data, members and way of training: from scratch, on draws, after a warm-up. Without noise none has a warm-up."""
    words = compare.name(run).partition(" ")[2].partition("(")[0].strip()
    # delta has its own place, see _families
    said = [words, *str(run["config"].get("differs", "")).split(", ")]
    said = [word for word in said if word and not word.startswith("delta=")]
    return run["data"]["name"], run["data"]["n_members"], "".join(f", {word}" for word in said)


def _lost(runs, which: str) -> tuple:
    """(least noise, most noise, {pair: what was lost between}) of one model's runs; (None, None, {}) without two."""
    levels = sorted(by(runs, compare.setting).items(), key=lambda item: item[0].level)
    if len(levels) < 2:
        return None, None, {}
    (weak, before), *_, (strong, after) = levels
    losses = {}
    for run in before:
        loss = compare.difference([run], after, lambda r: compare.axis(r, which))
        if loss is not None:
            losses[compare.subset(run)] = loss
    return weak, strong, losses


def _axes(runs) -> Iterator[tuple]:
    """Whether models that one axis orders clearly are ordered oppositely by another."""
    for axes in combinations(AXES, 2):
        pairs = compare.orders(runs, axes)
        if not pairs:
            continue
        against = [p for p in pairs if p[3] != p[4]]
        low, high = binomtest(len(against), len(pairs)).proportion_ci(method="exact")
        example = ""
        if against:
            where, a, b, first, _ = against[0]
            better, worse = (a, b) if first > 0 else (b, a)
            example = f", as {better} against {worse} ({where.words()})"
        yield (
            2,
            f"{axes[0]} misleads about {axes[1]}",
            plural(len({p[0] for p in pairs}), "setting") + example,
            f"{len(against)} of {plural(len(pairs), 'pair')} [{100 * low:.0f} %, {100 * high:.0f} %]",
            "confirmed" if low > CHANCE else "refuted" if high < CHANCE else "open",
        )


def _effect(mean: dict, word: str) -> str:
    """'12.3 points lost [10.1, 14.5], 3 pairs'."""
    low, high = 100 * mean["low"], 100 * mean["high"]
    return f"{100 * mean['value']:.1f} points {word} [{low:.1f}, {high:.1f}], {mean['n']} pairs"


def _verdict(mean: dict, margin: float, below: bool) -> str:
    if mean["low"] <= margin <= mean["high"]:
        return "open"
    return "confirmed" if (mean["high"] < margin) == below else "refuted"
