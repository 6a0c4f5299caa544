"""One record as one HTML page that needs nothing else; a comparison of many as another. The templates hold the HTML."""

import base64
import json
from collections.abc import Iterator
from functools import cache

import jinja2

from fpu.dp.statement import NOT_COVERED
from fpu.privacy import bounds
from fpu.report import compare, frame, panels, plots, records, rows, svg, verdict, words
from fpu.report.gallery import Comparison
from fpu.report.metrics import DISTANCES, FIDELITY, PAPER_EPSILON, PROTOCOLS, UTILITY
from fpu.report.settings import by

_PROVED = {
    "eps": "ε",
    "delta": "δ",
    "unit": "protects each",
    "relation": "neighbours differ by",
    "noise_multiplier": "noise multiplier",
    "clip_norm": "clip norm",
    "sampling_rate": "sampling rate",
    "steps": "private steps",
    "capacity": "batch capacity",
    "accountant": "accountant",
    "noise_seed_disclosed": "noise seed disclosed",
}
_NEXT = (
    "Choose a model and ε where its interval lies above those of others, then look at that run's own page. These"
    " numbers were measured on real images without noise: a choice made by them is not covered by ε, and this page"
    " is not to be handed out."
)


@cache
def _templates() -> jinja2.Environment:
    """Everything that a template prints is escaped, but for what svg.py draws."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fpu.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"inline": _inline, "count": _count}
    environment.globals |= {"key": svg.key, "known": records.known, "audited": rows.audit}
    environment.globals |= {"words": words}
    return environment


def _inline(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _count(count: int | None, after: str = "") -> str | None:
    return None if count is None else f"{count:,}{after}"


def page(record: dict, samples_png_bytes: bytes | None) -> str:
    """The report of one run as a self-contained HTML page: no script, no other file, no network.

    samples_png_bytes: the picture `samples_png` wrote, with real images: the page is private. None where training
    diverged, and there are no images to show or to judge.
    """
    data, unit = record["data"], verdict.unit(record)
    names, counts = (data.get(key) or [] for key in ("class_names", "members_per_class"))
    return _render(
        "run",
        title=verdict.headline(record),
        record=record,
        sentence=verdict.sentence(record),
        next_step=verdict.next_step(record),
        findings=verdict.findings(record),
        meaning=verdict.MEANING,
        samples=samples_png_bytes,
        **(_judged(record) if samples_png_bytes is not None else {}),
        not_covered=[line.format(unit=unit) for line in NOT_COVERED],
        cost=list(_cost(record["cost"])),
        shape=words.shape_name(data["shape"]),
        per_class=", ".join(f"{k}: {n:,}" for k, n in zip(names, counts, strict=False)),
        settings=list(_flat(record["config"])),
    )


def _render(template: str, **context) -> str:
    return _templates().get_template(f"{template}.html.j2").render(context)


def _judged(record: dict) -> dict:
    privacy, roc = record["privacy"], panels.roc(record)
    return {
        "features": record["fidelity"].get("features") or {},
        "fidelity": rows.compared(record, FIDELITY, "real", ("Synthetic", "Real line")),
        "proved": [(label, _fact(privacy.get(key))) for key, label in _PROVED.items()],
        "attacks": rows.attacks(record),
        "limited": bounds.ceiling(privacy) is not None,
        "roc": plots.png(roc) if roc else None,
        "distances": rows.listed(record, DISTANCES),
        "paper_epsilon": rows.listed(record, PAPER_EPSILON),
        "protocol": PROTOCOLS.get(record["config"].get("evaluation"), ""),
        "utility": rows.compared(record, UTILITY, "members", ("Synthetic", "Floor")),
        "classifiers": rows.classifiers(record),
        "recall": rows.recall(record),
        "crossed": _crossed(record),
    }


def _crossed(record: dict) -> list[rows.Rows]:
    """The tables of what was cross-fitted; none where nothing was."""
    if "cross_fitted" not in record:
        return []
    other = verdict.crossed(record)
    tables = (
        rows.compared(other, UTILITY, "members", ("Synthetic", "Floor")),
        rows.compared(other, FIDELITY, "real", ("Synthetic", "Fresh real images")),
        rows.attacks(other),
    )
    return [table for table in tables if table]


def _fact(fact: object) -> str | None:
    if fact is None or isinstance(fact, bool):
        return {None: None, True: "yes", False: "no"}[fact]
    if isinstance(fact, int | float):
        return words.number(fact, 4)
    return "∞" if fact == "inf" else str(fact).replace("_", " ")


def _cost(cost: dict) -> Iterator[tuple[str, object]]:
    for part, seconds in (cost.get("seconds") or {}).items():
        yield f"{part}, s", words.number(seconds)
    for key, fact in cost.items():
        if key != "seconds":
            yield key, f"{fact:,}" if isinstance(fact, int) else fact


def _flat(config: dict, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings by dotted name, as --set takes them."""
    for key, setting in config.items():
        if isinstance(setting, dict):
            yield from _flat(setting, f"{prefix}{key}.")
        else:
            yield prefix + key, setting if isinstance(setting, str) else json.dumps(setting)


def overview(shown: Comparison) -> str:
    """Tables, pictures, Pareto sets and further sections of a comparison as a self-contained HTML page."""
    on_data = by(shown.runs, lambda run: run["data"]["name"])
    datasets = [
        {
            "id": f"data-{number}",
            "table": table,
            "pictures": [picture for picture in shown.pictures if picture.dataset == name],
            "strips": _strips(on_data[name]),
        }
        for number, (name, table) in enumerate(shown.tables.items(), start=1)
    ]
    places = [(each["id"], each["table"].caption) for each in datasets]
    places += [("pareto", "Pareto sets at matched ε")] * bool(shown.pareto)
    places += [(f"section-{i}", s.title) for i, s in enumerate(shown.sections, start=1)]
    return _render(
        "comparison",
        title="fpu: runs compared",
        heading=f"{words.plural(len(shown.runs), 'run')} compared",
        found=[f"{plots.best_against_eps(on_data[name])}." for name in shown.tables],
        next_step=_NEXT,
        places=places,
        datasets=datasets,
        legend=frame.LEGEND,
        pareto=shown.pareto,
        pareto_note=compare.PARETO_NOTE,
        sections=shown.sections,
    )


def _strips(runs: list[dict]) -> list[dict]:
    """Synthetic images of one data set: a line for each n, model and eps whose record carries some."""
    strips = {}
    for run in runs:
        if "thumbnails" in run:
            place = plots.count(run), compare.name(run), -records.eps(run)
            strips.setdefault(place, run["thumbnails"])
    return [
        {"model": model, "n": f"{n:,}", "eps": words.number(-eps), "png": png}
        for (n, model, eps), png in sorted(strips.items())
    ]
