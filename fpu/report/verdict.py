"""What a record amounts to, in plain words: the top of the report."""

import math
from statistics import NormalDist
from typing import NamedTuple

from fpu.privacy.bounds import ceiling
from fpu.report import records
from fpu.report.wording import model_name, number, plural, shape_name, spoken


class Finding(NamedTuple):
    """One part of the verdict. `mark` is "good", "fair", "bad" or "plain"."""

    mark: str
    about: str
    title: str
    text: str


def headline(record: dict) -> str:
    """The title of the page: 'DDPM on digits at ε = 1'."""
    eps = number(records.eps(record))
    return f"{model_name(record['config'])} on {record['data']['name']} at ε = {eps}"


def findings(record: dict) -> list[Finding]:
    """The whole verdict, in the order it is read."""
    if "diverged" in record:
        title, text = "No images: training diverged", f"What it said: {record['diverged']}."
        return [Finding("bad", "Made", title, text), guarantee(record)]
    parts = (made, utility, worth, fidelity, guarantee, attack, release)
    return [finding for part in parts if (finding := part(record))]


def made(record: dict) -> Finding:
    """What was made, from how many images."""
    data, config = record["data"], record["config"]
    count = config.get("n_samples")
    title = f"{count:,} synthetic images" if isinstance(count, int) else "Synthetic images"
    units = data.get("n_units")
    groups = f" in {plural(units, 'group')}" if unit(record) == "group" and units else ""
    text = (
        f"{shape_name(data['shape'])}, {plural(data['n_classes'], 'class', 'classes')}, made by"
        f" {model_name(config)} from {plural(data['n_members'], 'real image')}{groups} (the"
        f" members) of {data['name']}."
    )
    if config.get("warmup_share") == 1:
        text += (
            " The model itself was shown no image: it learned from draws of one private release."
        )
    return Finding("plain", "Made", title, text)


def guarantee(record: dict) -> Finding:
    """The formal claim; its tiers, up to 1 and to 10, follow Ponomareva et al. (2023)."""
    privacy, eps = record["privacy"], records.eps(record)
    about, one = (
        "Privacy, proved",
        f"{unit(record)} of images" if unit(record) == "group" else "image",
    )
    if math.isinf(eps):
        text = "ε = ∞: the synthetic images may hold anything that is in the real ones."
        return Finding("bad", about, "No privacy guarantee", text)
    claim = f"(ε = {number(eps)}, δ = {number(privacy['delta'])})"
    if privacy.get("noise_seed_disclosed"):
        text = f"The noise seed is known, and {claim} protects from nobody who knows it."
        return Finding("bad", about, "Guarantee void: for research only", text)
    tier, mark = ("Weak", "bad")
    if eps <= 10:
        tier, mark = ("Strong", "good") if eps <= 1 else ("Reasonable", "fair")
    text = (
        f"{claim}-differential privacy for each single {one}. To anyone who sees the release, the"
        f" odds that a given {one} was used change by a factor of {_factor(eps)} at most, but for a"
        " slack of δ."
    )
    return Finding(mark, about, f"{tier} guarantee: ε = {number(eps)}", text)


def attack(record: dict) -> Finding:
    """Whether the strongest attack beats guessing, and whether it beats the guarantee."""
    about, ranked = "Privacy, tried", records.attacks(record)
    if not ranked:
        text = "What an attacker could learn was not measured."
        return Finding("plain", about, "No attack was tried", text)
    name, auc = ranked[0]
    which = "The attack" if len(ranked) == 1 else f"The strongest of {len(ranked)} attacks"
    text = (
        f"{which} ({name}) tells members from other real images with AUC"
        f" {spoken(auc)}; guessing is 0.5."
    )
    low, limit = _low_of_strongest(auc, len(ranked)), ceiling(record["privacy"])
    if limit and low > limit["auc"]:
        title = "An attack does better than the guarantee allows"
        text += f" The guarantee allows {limit['auc']:.3f}: something is at fault. Release nothing."
        return Finding("bad", about, title, text)
    if low > 0.5:
        return Finding("bad", about, "An attack beats guessing", text)
    if _low(auc) > 0.5:
        text += " Alone it would be above guessing; as the strongest of so many it may be chance."
    text += " A failed attack is no proof; the guarantee is."
    return Finding("good", about, "No attack beats guessing", text)


def utility(record: dict) -> Finding:
    """Accuracy of training on the synthetic images against training on the real members."""
    about = "Utility"
    ours, floor = _pair(record, "utility", "members", "accuracy")
    if not records.known(ours, floor):
        return Finding("plain", about, "Usefulness was not measured", _reason(ours, floor))
    text = (
        "On real test images, a classifier trained on the synthetic ones is right for"
        f" {spoken(ours, 100)}; trained on the real members, for"
        f" {spoken(floor, 100)}."
    )
    rival = records.metric(record, "utility", "private_classifier", "accuracy")
    if records.known(rival) and _low(rival) > _high(ours):
        text += (
            f" A classifier trained by DP-SGD on the members, at the same ε, is right for {spoken(rival, 100)}:"
            " if this task is all, release that one instead."
        )
    balanced = records.metric(record, "utility", "synthetic", "balanced_accuracy")
    if records.known(balanced) and _low(balanced) <= 1 / record["data"]["n_classes"]:
        return Finding("bad", about, "No more useful than guessing", text)
    points = 100 * (floor["value"] - ours["value"])
    if _high(ours) >= _low(floor):
        close = "As useful as" if points < 5 else "Perhaps as useful as"
        return Finding("good", about, f"{close} the real members", f"{text} The intervals meet.")
    title = f"{points:.0f} points short of the real members"
    return Finding("fair" if points <= 10 else "bad", about, title, text)


def worth(record: dict) -> Finding | None:
    """Whether training earned its keep: against one DP release at the same eps, and against its warm-up."""
    about = "Was it worth training?"
    ours, simple = _pair(record, "utility", "one_shot", "accuracy")
    if not records.known(ours, simple):
        return None
    text = (
        "One release of class means and covariances at the same ε, drawn from as it is, gives"
        f" {spoken(simple, 100)} where this model gives {spoken(ours, 100)}."
    )
    before = records.metric(record, "utility", "warmup", "accuracy")
    if records.known(before):
        text += f" Before DP-SGD, having seen draws only, the model gave {spoken(before, 100)}."
    if record["config"].get("warmup_share") != 1:
        text += " (That release was made to compare with; it is not handed out, and not part of this run's ε.)"
    use = " At this n and ε use --model=gaussian."
    if simple["value"] >= ours["value"] and _low(simple) > _high(ours):
        return Finding("bad", about, "The one-shot baseline is better", text + use)
    if simple["value"] >= ours["value"]:
        return Finding("fair", about, "The one-shot baseline is as good", text + use)
    if _low(ours) > _high(simple):
        return Finding("good", about, "It beats the one-shot baseline", text)
    text += " The intervals meet."
    return Finding("fair", about, "It is hardly better than the one-shot baseline", text)


def fidelity(record: dict) -> Finding:
    """Copies first, since they flatter all other figures; then how much of the variety is there."""
    about = "Fidelity"
    ours, real = _pair(record, "fidelity", "real", "near_copies")
    if records.known(ours, real) and _low(ours) > max(_high(real), 0.01):
        text = (
            f"{spoken(ours, 100)} of the synthetic images are near copies of"
            f" members; of held-out real images, {spoken(real, 100)} are."
        )
        return Finding("bad", about, "It repeats its training images", text)
    ours, real = _pair(record, "fidelity", "real", "coverage")
    if not records.known(ours, real):
        return Finding("plain", about, "Fidelity was not measured", _reason(ours, real))
    text = (
        f"{spoken(ours, 100)} of the real test images have a synthetic one"
        f" close by; with held-out real images, {spoken(real, 100)}."
    )
    if _high(ours) >= _low(real):
        return Finding("good", about, "As varied as real images", f"{text} The intervals meet.")
    share = ours["value"] / real["value"]
    title = f"Shows {100 * share:.0f} % of the variety of real images"
    return Finding("fair" if share >= 0.5 else "bad", about, title, text)


def release(record: dict) -> Finding:
    """What may leave the house."""
    stays = (
        "This page shows real images and what was measured on them without noise: it stays inside."
    )
    if math.isinf(records.eps(record)) or record["privacy"].get("noise_seed_disclosed"):
        text = f"Without a guarantee, release/ is to be guarded like the real images. {stays}"
        return Finding("bad", "Release", "Nothing may leave the house", text)
    text = f"It holds the synthetic images, what draws more of them, and the guarantee; no real image. {stays}"
    return Finding("plain", "Release", "Only release/ may leave the house", text)


def unit(record: dict) -> str:
    """Whose presence the guarantee hides: 'image' or 'group'."""
    return record["privacy"].get("unit") or record["data"].get("unit") or "image"


def _factor(eps: float) -> str:
    return number(math.exp(eps), 2) if eps < 14 else f"e^{number(eps)}"


def _pair(record: dict, section: str, beside: str, key: str) -> tuple[dict, dict]:
    return (
        records.metric(record, section, "synthetic", key),
        records.metric(record, section, beside, key),
    )


def _low(m: dict) -> float:
    return m["value"] if m.get("low") is None else m["low"]


def _low_of_strongest(m: dict, many: int) -> float:
    """The 95 % interval's low end, widened as for normal errors so that the strongest of many is held to 95 % too.

    Of eight attacks that all guess, one has an interval above 0.5 in every fifth run: Bonferroni.
    """
    wider = NormalDist().inv_cdf(1 - 0.025 / many) / NormalDist().inv_cdf(0.975)
    return m["value"] - (m["value"] - _low(m)) * wider


def _high(m: dict) -> float:
    return m["value"] if m.get("high") is None else m["high"]


def _reason(*metrics: dict) -> str:
    reasons = (m.get("reason", "not finite") for m in metrics if not records.known(m))
    return f"{next(reasons)}."
