"""The conclusions from a record, in plain words: the tiles at the top of the report."""

import math
from statistics import NormalDist
from typing import NamedTuple

from fpu.dp.rounding import rounded_up
from fpu.dp.statement import NOMINAL
from fpu.privacy.bounds import ceiling
from fpu.report import records
from fpu.report.words import (
    another,
    lineage,
    model_name,
    plural,
    prior_name,
    released,
    shape_name,
    spent,
    spoken,
)

_ALARM = 1e-4  # probability that a run which keeps its guarantee is said to break it
CLOSE = 0.10  # "as ... as": the interval stays within so much of what real images give
GUESSING = 0.65  # "no attack beats guessing": the interval ends below this AUC
MEANING = (
    "Strong, reasonable, weak: ε up to 1, up to 10, above. As useful, as varied: the interval stays within "
    f"{100 * CLOSE:.0f} points of what real images give. Cannot tell: the interval holds good and bad alike. "
    "[low, high] is the 95 % interval of the released set. Another run at the same settings draws other noise, "
    "and the verdict goes by where that would lie, wherever it is known."
)


class Finding(NamedTuple):
    """One tile of the verdict."""

    mark: str  # "good", "fair", "bad" or "plain"
    about: str
    title: str
    text: str


def headline(record: dict) -> str:
    """The title of the page, as 'DDPM on digits at ε = 1'."""
    name = f"{model_name(record['config'])} on {record['data']['name']}"
    known = record["privacy"].get("proof") != "unknown"
    return f"{name} at ε = {spent(records.eps(record))}" if known else f"{name}, ε unknown"


def findings(record: dict) -> list[Finding]:
    """The whole verdict, in the order it is read."""
    if "diverged" in record:
        title, text = "No images: training diverged", f"The reason: {record['diverged']}."
        return [Finding("bad", "What was made", title, text), guarantee(record)]
    parts = (made, utility, worth, helped, fidelity, guarantee, shared, attack, release)
    return [finding for part in parts if (finding := part(record))]


def screen(record: dict) -> list[str]:
    """What a run says at its end: what taught what, and what a classifier learns from each."""
    rows = {
        "synthetic": "these images",
        "one_shot": "draws of the release",
        "gaussian": "draws of `gaussian`",
        "members": "the members",
    }
    found = {row: records.metric(record, "utility", row, "accuracy") for row in rows}
    shown = [f"{rows[row]} {spoken(m, 100)}" for row, m in found.items() if records.known(m)]
    lines = [lineage(record["config"])]
    if shown:
        lines.append(f"accuracy on real test images, trained on: {'; '.join(shown)}")
    told = [helped(record), shared(record)]
    lines += [f"{one.title}: {one.text}" for one in told if one and one.mark == "bad"]
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines if line]


def brief(record: dict) -> list[str]:
    """Accuracy, fidelity and eps, a line each, for a terminal."""
    lines = []
    for name, section, key, part in (
        ("accuracy", "utility", "accuracy", utility),
        ("coverage", "fidelity", "coverage", fidelity),
        ("privacy", "privacy", "", guarantee),
    ):
        metric = records.metric(record, section, "synthetic", key)
        value = f"{spoken(metric, 100)}{_another(metric, 100)}. " if records.known(metric) else ""
        lines.append(f"{name}: {value}{part(record).title}")
    return lines


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
        text += " The model itself was shown no real image: it learned from draws of one private release."
    if chain := lineage(config):
        text += f" What taught what: {chain}."
    if prior := record.get("prior"):
        text += f" The prior {prior['name']}, version {prior['version']}: {prior['knows']}."
    return Finding("plain", "What was made", title, text)


def guarantee(record: dict) -> Finding:
    """The formal claim. Tiers up to eps = 1 and 10, for delta <= 1 / (10 n), follow Ponomareva et al. (2023)."""
    privacy, eps = record["privacy"], records.eps(record)
    about, one = "Privacy, proved", unit(record)
    if privacy.get("proof") == "unknown":
        text = "Nothing is known of how these images were made: they may reveal anything that is in the real ones."
        return Finding("bad", "Privacy, not proved", "No guarantee is known", text)
    if privacy.get("proof") == "claimed":
        text = (
            f"Whoever made these images claims (ε = {spent(eps)}, δ = {spent(privacy['delta'])}). What that protects"
            " is not known, and it was not checked here: attacks that fail do not prove it."
        )
        return Finding(
            "plain", "Privacy, not proved", f"Claimed by its maker: ε = {spent(eps)}", text
        )
    if math.isinf(eps):
        text = "ε = ∞: the synthetic images may reveal anything that is in the real ones."
        return Finding("bad", about, "No privacy guarantee", text)
    claim = f"(ε = {spent(eps)}, δ = {spent(privacy['delta'])})"
    if privacy.get("noise_seed_disclosed"):
        text = f"The noise seed was disclosed. Against anyone who knows it, {claim} does not hold."
        return Finding("bad", about, "Guarantee void: for research only", text)
    of = " of images" if one == "group" else ""
    n = (
        record["config"].get("n_public")
        or record["data"].get("n_units")
        or record["data"]["n_members"]
    )
    loose = privacy["delta"] > 1.001 / (10 * n)
    tier, mark = ("Nominal" if eps > NOMINAL else "Weak"), "bad"
    if eps <= 10 and not loose:
        tier, mark = ("Strong", "good") if eps <= 1 else ("Reasonable", "fair")
    text = (
        f"{claim}-differential privacy for each single {one}{of}. For anyone who sees the release, the odds that a"
        f" listed {one} contributed change by a factor of {_factor(eps)} at most, with an allowance of δ."
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
        f"{which} ({name}) tells members from other real images with AUC"
        f" {spoken(auc)}; guessing is 0.5."
    )
    limit = ceiling(record["privacy"])
    if limit and exceeded(record):
        title = "An attack does better than the guarantee allows"
        text += f" The guarantee allows {limit['auc']:.3f}. There is a fault somewhere: release nothing."
        return Finding("bad", about, title, text)
    if _low_of_strongest(auc, len(ranked)) > 0.5:
        return Finding("bad", about, "An attack beats guessing", text)
    if _high(auc) >= GUESSING:
        units = plural(auc.get("n") or 0, f"{unit(record)}")
        text += " The interval holds an attack that fails and one that does not."
        return Finding("plain", about, f"Cannot tell from {units}", text)
    if _low(auc) > 0.5:
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
    low = _low_of_strongest(auc, len(ranked), _ALARM)
    if low <= limit["auc"]:
        return None
    return (
        f"REFUTED: the attack {name} tells members from others with AUC {auc['value']:.3f}, at least {low:.3f}; "
        f"the guarantee, eps = {rounded_up(records.eps(record), 4)}, allows {limit['auc']:.3f}: there is a fault "
        "somewhere. Release nothing of it"
    )


def utility(record: dict) -> Finding:
    """Accuracy of training on the synthetic images against training on the real members."""
    about = "Utility"
    ours, floor = _pair(record, "utility", "members", "accuracy")
    if not records.known(ours, floor):
        return Finding("plain", about, "Usefulness was not measured", _reason(ours, floor))
    text = (
        f"A classifier trained on the synthetic images classifies {spoken(ours, 100)} of the real test images"
        f" correctly{_another(ours, 100)}. Trained on the real members, it classifies {spoken(floor, 100)} correctly."
    )
    rival = records.metric(record, "utility", "private_classifier", "accuracy")
    if records.known(rival) and _low(rival) > _high(ours):
        text += (
            f" A private classifier of the members, at the same ε, classifies {spoken(rival, 100)}"
            " correctly. If this task is all you need, release that one instead."
        )
    doubt = f"Cannot tell from {plural(ours.get('n') or 0, 'test image')}"
    if absent := _untested(record):
        missing = plural(absent, "class has", "classes have")
        return Finding("plain", about, doubt, f"{text} {missing} no test image.")
    balanced = records.metric(record, "utility", "synthetic", "balanced_accuracy")
    guessing = 1 / record["data"]["n_classes"]
    if records.known(balanced) and _low(balanced) <= guessing:
        if _high(balanced) > (guessing + floor["value"]) / 2:
            return Finding(
                "plain", about, doubt, f"{text} The interval holds guessing and far better."
            )
        return Finding("bad", about, "No more useful than guessing", text)
    points = 100 * (floor["value"] - ours["value"])
    if _high(ours) < _low(floor):
        title = f"{points:.0f} points short of the real members"
        return Finding("fair" if points <= 10 else "bad", about, title, text)
    if _low(ours) >= floor["value"] - CLOSE:
        return Finding("good", about, "As useful as the real members", text)
    text += " It may be as useful as they are, or far less."
    return Finding("plain", about, doubt, text)


def _untested(record: dict) -> int:
    """How many classes have no test image: what is said of the others does not hold for them."""
    recall = (record["utility"].get("synthetic") or {}).get("recall") or {}
    return sum(m["value"] is None for m in recall.values())


def worth(record: dict) -> Finding | None:
    """Whether training paid: against one DP release at the same eps, with the prior and without, and its warm-up."""
    about, prior = "Was it worth training?", prior_name(record["config"])
    ours, simple = _pair(record, "utility", "one_shot", "accuracy")
    if not records.known(ours, simple):
        return None
    text = (
        f"Images drawn directly from one {released(record['config'])}, at the same ε, give an accuracy of"
        f" {spoken(simple, 100)}{_another(simple, 100)}. This model gives {spoken(ours, 100)}{_another(ours, 100)}."
    )
    plain = records.metric(record, "utility", "gaussian", "accuracy")
    best = "prior" if prior else "gaussian"
    if records.known(plain):
        text += f" Draws of `gaussian`, without the prior, give {spoken(plain, 100)}."
        if plain["value"] > simple["value"]:
            simple, best = plain, "gaussian"
    before = records.metric(record, "utility", "warmup", "accuracy")
    if records.known(before):
        text += f" Before DP-SGD, trained on such draws only, the model gave {spoken(before, 100)}."
    if record["config"].get("warmup_share") != 1:
        text += " (That release was made for comparison only. It is not published and not part of this run's ε.)"
    use = (
        f" At this n and ε use --model={best}. (That rests on accuracies on real test images, without noise: they are"
        " not private, and the choice is not covered by ε.)"
    )
    if simple["value"] >= ours["value"] and _low(simple) > _high(ours):
        return Finding("bad", about, "The one-shot baseline is better", text + use)
    if simple["value"] >= ours["value"]:
        return Finding("fair", about, "The one-shot baseline is as good", text + use)
    if _low(ours) > _high(simple):
        return Finding("good", about, "It beats the one-shot baseline", text)
    text += " The intervals overlap."
    return Finding("fair", about, "It is hardly better than the one-shot baseline", text)


def helped(record: dict) -> Finding | None:
    """Whether the prior's draws beat those of `gaussian` at the same eps."""
    about, config = "Did the prior help?", record["config"]
    row = "synthetic" if config["model"] == "prior" else "one_shot"
    ours = records.metric(record, "utility", row, "accuracy")
    plain = records.metric(record, "utility", "gaussian", "accuracy")
    if not records.known(ours, plain):
        return None
    text = (
        f"A classifier trained on draws of the {released(config)} classifies {spoken(ours, 100)} of the real test"
        f" images correctly, on draws of `gaussian`, at the same ε, {spoken(plain, 100)}."
    )
    if ours["value"] < plain["value"]:
        text += " The prior does not fit these images: use --prior=none."
        return Finding("bad", about, "The prior's draws lose to those of gaussian", text)
    if _low(ours) > _high(plain):
        return Finding("good", about, "The prior helps", text)
    return Finding("fair", about, "The prior hardly helps", f"{text} The intervals overlap.")


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


def fidelity(record: dict) -> Finding:
    """Copies first, since they improve all other numbers; then looks, then how much of the variety is there."""
    about = "Fidelity"
    ours, real = _pair(record, "fidelity", "real", "near_copies")
    if records.known(ours, real) and _low(ours) > max(_high(real), 0.01):
        text = (
            f"{spoken(ours, 100)} of the synthetic images are near copies of members."
            f" Of held-out real images, {spoken(real, 100)} are."
        )
        return Finding("bad", about, "It repeats its training images", text)
    ours, real = _pair(record, "fidelity", "real", "coverage")
    if not records.known(ours, real):
        count = plural(record["data"].get("n_test") or 0, "test image")
        return Finding("plain", about, f"Cannot tell from {count}", _reason(ours, real))
    text = (
        f"{spoken(ours, 100)} of the real test images have a synthetic image close by{_another(ours, 100)}."
        f" {spoken(real, 100)} of them have a held-out real image close by."
    )
    doubt = f"Cannot tell from {plural(ours.get('n') or 0, 'test image')}"
    if (record["fidelity"].get("features") or {}).get("network") == "random":
        text += " What is close is said by an untrained network, to which even noise may look like the real images."
        return Finding("plain", about, doubt, text)
    inside, usual = _pair(record, "fidelity", "real", "precision")
    if records.known(inside, usual) and _high(inside) < usual["value"] / 2:
        text += f" Of the synthetic images, {spoken(inside, 100)} lie among real ones."
        return Finding("bad", about, "Few look like real images", text)
    if _low(ours) >= real["value"] - CLOSE:
        return Finding("good", about, "As varied as real images", text)
    if _high(ours) >= _low(real):
        return Finding(
            "plain", about, doubt, f"{text} It may be as varied as they are, or far less."
        )
    share = ours["value"] / real["value"]
    title = f"Shows {100 * share:.0f} % of the variety of real images"
    return Finding("fair" if share >= 0.5 else "bad", about, title, text)


def release(record: dict) -> Finding:
    """What may be shared."""
    page = (
        "This page shows real images and what was measured on them without noise. Do not share it."
    )
    if records.eps(record) > NOMINAL or record["privacy"].get("noise_seed_disclosed"):
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


def unit(record: dict) -> str:
    """Whose presence the guarantee hides: 'image' or 'group'."""
    name = record["privacy"].get("unit") or record["data"].get("unit") or "image"
    return "group" if name.startswith("group") else "image"  # a plan says "group of images"


def _factor(eps: float) -> str:
    return spent(math.exp(eps), 2) if eps < 14 else f"e^{spent(eps)}"


def _pair(record: dict, section: str, beside: str, key: str) -> tuple[dict, dict]:
    return (
        records.metric(record, section, "synthetic", key),
        records.metric(record, section, beside, key),
    )


def _another(m: dict, scale: float) -> str:
    """Where another run would lie, in brackets; empty where that is not known."""
    ends = another(m, scale)
    return f" (another run: {ends})" if ends else ""


def _low(m: dict) -> float:
    """Of the interval of another run, where it is known; a verdict is about the settings, not one draw of noise."""
    m = records.wide(m)
    return m["value"] if m.get("low") is None else m["low"]


def _low_of_strongest(m: dict, many: int, error: float = 0.025) -> float:
    """The 95 % interval's low end, widened as for normal errors so that the strongest of many errs no more often.

    Of eight attacks that all guess, one has an interval above 0.5 in every fifth run: Bonferroni.
    """
    wider = NormalDist().inv_cdf(1 - error / many) / NormalDist().inv_cdf(0.975)
    return m["value"] - (m["value"] - _low(m)) * wider


def _high(m: dict) -> float:
    m = records.wide(m)
    return m["value"] if m.get("high") is None else m["high"]


def _reason(*metrics: dict) -> str:
    reasons = (m.get("reason", "not finite") for m in metrics if not records.known(m))
    return f"{next(reasons)}."
