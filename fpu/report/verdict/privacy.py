"""What is proved of a release, what attacks found, and what may be shared."""

import math

from fpu.dp.rounding import rounded_up
from fpu.dp.statement import NOMINAL
from fpu.privacy.bounds import ceiling
from fpu.report import records
from fpu.report.verdict.finding import Finding, high, low, low_of_strongest, unit
from fpu.report.words import plural, spent, spoken

_ALARM = 1e-4  # probability that a run which keeps its guarantee is said to break it
GUESSING = 0.65  # "no attack beats guessing": the interval ends below this AUC


def guarantee(record: dict) -> Finding:
    """The formal claim. Tiers up to eps = 1 and 10, for delta <= 1 / (10 n), follow Ponomareva et al. (2023)."""
    privacy, eps = record["privacy"], records.eps(record)
    about, one = "Privacy, proved", unit(record)
    config, data = record["config"], record["data"]
    if privacy.get("proof") == "unknown":
        text = "Nothing is known of how these images were made: they may reveal anything that is in the real ones."
        return Finding("bad", "Privacy, not proved", "No guarantee is known", text)
    if privacy.get("proof") == "claimed":
        text = (
            f"Whoever made these images claims (ε = {spent(eps)}, δ = {spent(privacy['delta'])}). What that protects"
            " is not known, and it was not checked here: attacks that fail do not prove it."
        )
        title = f"Claimed by its maker: ε = {spent(eps)}"
        return Finding("plain", "Privacy, not proved", title, text)
    if math.isinf(eps):
        text = "ε = ∞: the synthetic images may reveal anything that is in the real ones."
        return Finding("bad", about, "No privacy guarantee", text)
    claim = f"(ε = {spent(eps)}, δ = {spent(privacy['delta'])})"
    if privacy.get("noise_seed_disclosed"):
        text = f"The noise seed was disclosed. Against anyone who knows it, {claim} does not hold."
        return Finding("bad", about, "Guarantee void: for research only", text)
    of = " of images" if one == "group" else ""
    n = config.get("n_public") or data.get("n_units") or data["n_members"]
    loose = privacy["delta"] > 1.001 / (10 * n)
    tier, mark = ("Nominal" if eps > NOMINAL else "Weak"), "bad"
    if eps <= 10 and not loose:
        tier, mark = ("Strong", "good") if eps <= 1 else ("Reasonable", "fair")
    factor = spent(math.exp(eps), 2) if eps < 14 else f"e^{spent(eps)}"
    text = (
        f"{claim}-differential privacy for each single {one}{of}. For anyone who sees the release, the odds that a"
        f" listed {one} contributed change by a factor of {factor} at most, with an allowance of δ."
    )
    if loose:
        text += f" That allowance is above 1/(10 n): of {n:,} some may be given away whole."
    if eps > NOMINAL:
        text += f" Above ε = {NOMINAL:g} a guarantee is nominal: it protects nobody."
    return Finding(mark, about, f"{tier} guarantee: ε = {spent(eps)}", text)


def attack(record: dict) -> Finding:
    """Whether the strongest attack beats guessing, and whether it beats the guarantee."""
    about, ranked = "Privacy, tested", records.attacks(record)
    if not ranked:
        text = "What an attacker could learn was not measured."
        return Finding("plain", about, "No attack was tried", text)
    name, auc = ranked[0]
    which = "The attack" if len(ranked) == 1 else f"The strongest of {len(ranked)} attacks"
    text = (
        f"{which} ({name.replace('_', ' ')}) tells members from other real images with AUC"
        f" {spoken(auc)}; guessing is 0.5."
    )
    limit = ceiling(record["privacy"])
    if limit and exceeded(record):
        title = "An attack does better than the guarantee allows"
        text += f" The guarantee allows {limit['auc']:.3f}. There is a fault somewhere: release nothing."
        return Finding("bad", about, title, text)
    if low_of_strongest(auc, len(ranked)) > 0.5:
        return Finding("bad", about, "An attack beats guessing", text)
    if high(auc) >= GUESSING:
        units = plural(auc.get("n") or 0, unit(record))
        text += " The interval holds an attack that fails and one that does not."
        return Finding("plain", about, f"Cannot tell from {units}", text)
    if low(auc) > 0.5:
        text += (
            " On its own it would be above guessing. As the strongest of several it may be chance."
        )
    text += " An attack that fails proves nothing. Only a guarantee does."
    return Finding("good", about, "No attack beats guessing", text)


def exceeded(record: dict) -> str | None:
    """One line where the strongest attack does better than the guarantee allows, else None.

    Not where non-members were taken from another split of the data: what sets them apart may be their origin.
    """
    ranked, limit = records.attacks(record), ceiling(record["privacy"])
    origin = (record["data"].get("notes") or {}).get("nonmembers", "")
    if not (ranked and limit) or "val:" in origin or "half of test:" in origin:
        return None
    name, auc = ranked[0]
    low = low_of_strongest(auc, len(ranked), _ALARM)
    if low <= limit["auc"]:
        return None
    return (
        f"REFUTED: the attack {name} tells members from others with AUC {auc['value']:.3f}, at least {low:.3f}; "
        f"the guarantee, eps = {rounded_up(records.eps(record), 4)}, allows {limit['auc']:.3f}: there is a fault "
        "somewhere. Release nothing of it"
    )


def protects(record: dict) -> bool:
    """Whether there is a guarantee that is more than nominal, against anyone."""
    disclosed = record["privacy"].get("noise_seed_disclosed")
    return records.eps(record) <= NOMINAL and not disclosed


def release(record: dict) -> Finding:
    """What may be shared."""
    page = (
        "This page shows real images and what was measured on them without noise. Do not share it."
    )
    if not protects(record):
        text = f"Without a guarantee that protects, release/ must be protected like the real images. {page}"
        return Finding("bad", "Sharing", "Share nothing from this run", text)
    if record["privacy"].get("proof") == "claimed":
        text = f"Sharing these images rests on their maker's word alone. {page}"
        return Finding("plain", "Sharing", "Nothing here shows that they may be shared", text)
    text = (
        "It holds the synthetic images, a generator that draws more of them, and the guarantee. It holds no real"
        f" image. {page}"
    )
    return Finding("plain", "Sharing", "Share only the folder release/", text)


def shared(record: dict) -> Finding | None:
    """A warning where members are among the images of the prior, which is then not public, or they are."""
    prior = record.get("prior") or {}
    if not (count := prior.get("members_among_them")):
        return None
    text = (
        f"{plural(count, 'member')} {'is' if count == 1 else 'are'}, pixel for pixel, among the images of the prior"
        f" {prior['name']}. No guarantee protects what is in the prior: release nothing unless its images are public."
    )
    return Finding("bad", "Is the prior public?", "Members are among the prior's images", text)
