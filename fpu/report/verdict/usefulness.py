"""Whether the images are useful, and whether what made them was worth it."""

from fpu.baselines import OF_PRIOR
from fpu.report import records, schema
from fpu.report.verdict.finding import CLOSE, Finding, beside, high, low, reason
from fpu.report.words import plural, prior_name, released, spoken


def utility(record: dict) -> Finding:
    """Accuracy of training on the synthetic images against training on the real members."""
    about = "Utility"
    ours, floor = records.pair(record, "utility", "members", "accuracy")
    if not records.known(ours, floor):
        return Finding("plain", about, "Usefulness was not measured", reason(ours, floor))
    text = (
        f"A classifier trained on the synthetic images classifies {spoken(ours, 100)} of the real test images"
        f" correctly{beside(ours)}. Trained on the real members, it classifies {spoken(floor, 100)} correctly."
    )
    rival = records.metric(record, "utility", "private_classifier", "accuracy")
    if records.known(rival) and low(rival) > high(ours):
        text += (
            f" A private classifier of the members, at the same ε, classifies {spoken(rival, 100)}"
            " correctly. If this task is all you need, such a classifier is the better release; no command hands one"
            " out, `fpu.utility.private_classifier` trains one in Python."
        )
    doubt = f"Cannot tell from {plural(ours.get('n') or 0, 'test image')}"
    if absent := _untested(record):
        missing = plural(absent, "class has", "classes have")
        return Finding("plain", about, doubt, f"{text} {missing} no test image.")
    balanced = records.metric(record, "utility", "synthetic", "balanced_accuracy")
    guessing = 1 / record["data"]["n_classes"]
    if records.known(balanced) and low(balanced) <= guessing:
        if high(balanced) > (guessing + floor["value"]) / 2:
            text += " The interval holds guessing and far better."
            return Finding("plain", about, doubt, text)
        return Finding("bad", about, "No more useful than guessing", text)
    points = 100 * (floor["value"] - ours["value"])
    if high(ours) < low(floor):
        title = f"{points:.0f} points short of the real members"
        return Finding("fair" if points <= 10 else "bad", about, title, text)
    if low(ours) >= floor["value"] - CLOSE:
        return Finding("good", about, "As useful as the real members", text)
    text += " It may be as useful as they are, or far less."
    return Finding("plain", about, doubt, text)


def _untested(record: dict) -> int:
    """How many classes have no test image: what is said of the others does not hold for them."""
    recall = schema.at(record, "utility", "synthetic", "recall") or {}
    return sum(m["value"] is None for m in recall.values())


def worth(record: dict) -> Finding | None:
    """Whether training paid: against one DP release at the same eps, with the prior and without, and its warm-up."""
    about, prior = "Was it worth training?", prior_name(record["config"])
    ours, simple = records.pair(record, "utility", "one_shot", "accuracy")
    if not records.known(ours, simple):
        return None
    text = (
        f"Images drawn directly from one {released(record['config'])}, at the same ε, give an accuracy of"
        f" {spoken(simple, 100)}{beside(simple)}. This model gives {spoken(ours, 100)}{beside(ours)}."
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
    if simple["value"] >= ours["value"] and low(simple) > high(ours):
        return Finding("bad", about, "The one-shot baseline is better", text + use)
    if simple["value"] >= ours["value"]:
        return Finding("fair", about, "The one-shot baseline is as good", text + use)
    if low(ours) > high(simple):
        return Finding("good", about, "It beats the one-shot baseline", text)
    text += " The intervals overlap."
    return Finding("fair", about, "It is hardly better than the one-shot baseline", text)


def helped(record: dict) -> Finding | None:
    """Whether the prior's draws beat those of `gaussian` at the same eps."""
    about, config = "Did the prior help?", record["config"]
    row = "synthetic" if config["model"] in OF_PRIOR else "one_shot"
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
    if low(ours) > high(plain):
        return Finding("good", about, "The prior helps", text)
    return Finding("fair", about, "The prior hardly helps", f"{text} The intervals overlap.")
