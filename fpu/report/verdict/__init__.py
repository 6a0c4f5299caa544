"""The conclusions from a record, in plain words: the sentence and the tiles at the top of the report."""

from fpu.report import records
from fpu.report.verdict.finding import CLOSE, Finding, beside, crossed, unit
from fpu.report.verdict.lead import next_step, sentence
from fpu.report.verdict.likeness import fidelity
from fpu.report.verdict.privacy import attack, exceeded, guarantee, release, shared
from fpu.report.verdict.usefulness import helped, utility, worth
from fpu.report.words import lineage, model_name, plural, shape_name, spent, spoken

MEANING = (
    "Strong, reasonable, weak: ε up to 1, up to 10, above. As useful, as varied: the interval stays within "
    f"{100 * CLOSE:.0f} points of what real images give. Cannot tell: the interval holds good and bad alike. "
    "[low, high] is the 95 % interval of the released set. Another run at the same settings draws other noise, "
    "and the verdict goes by where that would lie, wherever it is known."
)

_NO_STAGE = (
    "There is no stage of DP-SGD: here none has a measured gain in accuracy (experiments/README.md, 'Stage';"
    " --warmup_share=0.3 adds one)."
)


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
    other = crossed(record)
    useful, like, tested = (_held(part(other), record) for part in (utility, fidelity, attack))
    first = made(record), useful, worth(record), helped(record), like
    parts = *first, guarantee(record), shared(record), tested, release(record)
    return [finding for finding in parts if finding]


def _held(finding: Finding, record: dict) -> Finding:
    """A tile that says so where its numbers are cross-fitted."""
    if not (other := record.get("cross_fitted")):
        return finding
    said = (
        f" Cross-fitted: that is true of {other['folds']} generators like this one, each tested on the members that"
        " it never saw; not of this very set, on which too few images were left to test."
    )
    return finding._replace(about=f"{finding.about}, cross-fitted", text=finding.text + said)


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
    lines, record = [], crossed(record)
    cross = " (cross-fitted)" if "cross_fitted" in record else ""
    judged = ("utility", "accuracy", utility), ("fidelity", "coverage", fidelity)
    for section, key, part in judged:
        m = records.metric(record, section, "synthetic", key)
        value = f"{spoken(m, 100)}{beside(m)}{cross}. " if records.known(m) else ""
        lines.append(f"{key}: {value}{part(record).title}")
    return [*lines, f"privacy: {guarantee(record).title}"]


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
    if config.get("warmup_share") == 1:
        text += f" {_NO_STAGE}"
    if prior := record.get("prior"):
        text += f" The prior {prior['name']}, version {prior['version']}: {prior['knows']}."
    return Finding("plain", "What was made", title, text)
