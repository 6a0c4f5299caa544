"""The first two sentences of a report: what was found, for a reader who is no statistician, and what to do next."""

import math

from fpu.report import records
from fpu.report.verdict.finding import Finding, crossed, unit
from fpu.report.verdict.likeness import fidelity
from fpu.report.verdict.privacy import exceeded, guarantee, protects, shared
from fpu.report.verdict.usefulness import utility, worth
from fpu.report.words import plural, spent


def sentence(record: dict) -> str:
    """What was found: how private the images are, and what a program learns from them."""
    if "diverged" in record:
        return "Training failed: there are no synthetic images."
    record = crossed(record)
    if exceeded(record):
        return "These images give away more about single members than was promised: something is broken."
    return f"{_made(record)} {_private(record)}, and {_useful(record)}."


def next_step(record: dict) -> str:
    """What the reader should do now. The first reason to stop comes first."""
    if "diverged" in record:
        return "Run it again with a smaller learning rate, as the reason below says."
    if exceeded(crossed(record)):
        return "Release nothing of it, and look for the fault: the attack below names itself."
    if shared(record):
        return "Release nothing before it is certain that the prior's images are public."
    if record["privacy"].get("proof") in ("unknown", "claimed"):
        return "Ask whoever made these images for a proof of their guarantee before they are handed on."
    if not protects(record):
        return (
            "Keep these images where the real ones are kept. To hand images out, run again with a budget such as"
            " --eps=1."
        )
    share = (
        "Hand out the folder release/ and nothing else of this run; this page shows real images."
    )
    if guarantee(record).mark == "bad":
        share = f"Ask whoever answers for these data whether so weak a guarantee is enough. If so: {share}"
    return f"{_better(record)}{_look(fidelity(crossed(record)))} {share}"


def _made(record: dict) -> str:
    data, count = record["data"], record["config"].get("n_samples")
    images = f"{count:,} synthetic images" if isinstance(count, int) else "The synthetic images"
    return f"{images}, made from {plural(data['n_members'], 'real one')} of {data['name']},"


def _private(record: dict) -> str:
    """The guarantee as the end of a sentence that began with the images."""
    proof, eps, one = record["privacy"].get("proof"), records.eps(record), unit(record)
    if proof == "unknown":
        return "come without any known guarantee of privacy"
    if proof == "claimed":
        return (
            f"come with their maker's word for their privacy (ε = {spent(eps)}), not with a proof"
        )
    if not protects(record):
        return "may show the real ones: nothing protects them"
    grade = guarantee(record).title.partition(" ")[0].lower()
    whose = "any one person's images were" if one == "group" else "any one real image was"
    hide = "hide, though weakly," if grade == "weak" else "hide"
    return f"{hide} whether {whose} among them (a {grade} guarantee, ε = {spent(eps)})"


def _useful(record: dict) -> str:
    """What a program learns from them, beside the real members; by the mean over classes of their AUC."""
    ours, floor = records.pair(record, "utility", "members", "accuracy")
    if not records.known(ours, floor):
        return "whether they are useful was not measured"
    if utility(record).title.startswith("Cannot tell"):
        return "whether a program can learn from them cannot be told from so few test images"
    return (
        f"a program that learned from them alone is right about {_in_100(ours)} of 100 real images, one that learned"
        f" from the real ones about {_in_100(floor)}"
    )


def _in_100(m: dict) -> str:
    return f"{math.floor(100 * m['value'] + 0.5)}"


def _better(record: dict) -> str:
    """Where something else is better than these images: that first."""
    useful, paid = utility(crossed(record)), worth(record)
    if paid and paid.mark == "bad":
        return "Run again with the model that the tile on training names: it does better here. "
    if useful.mark == "bad":
        return (
            "Do not train on these images: try programs on them only, or use more real images or a larger ε"
            " (--dry_run says what that costs). "
        )
    if useful.title.startswith("Cannot tell"):
        return "Before anything is trained on them, test with more real images (a test part in the data set). "
    return ""


def _look(looks: Finding) -> str:
    if looks.title == "It repeats its training images":
        return "Ask first why the images repeat real ones."
    lacking = (
        "They lack much of the variety of real ones. " if looks.title.startswith("Shows") else ""
    )
    return f"{lacking}Let somebody who knows such images look at them first."
