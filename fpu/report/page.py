"""One record as one HTML page that needs nothing else; a comparison of many as another. The templates hold the HTML."""

import base64
import json
from functools import cache

import jinja2

from fpu.dp.statement import NOT_COVERED
from fpu.privacy import bounds
from fpu.report import compare, frame, panels, plots, records, rows, svg, verdict
from fpu.report.gallery import Comparison
from fpu.report.metrics import FIDELITY, UTILITY
from fpu.report.words import model_name, number, plural, shape_name

_PRIVACY = {
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
_OF_THIS_PAGE = (
    "This page: its pictures and numbers come from real images without noise.",
    "Attacks that were not tried. An attack that fails proves nothing.",
    "Fitness for clinical use: no expert has judged these images, and no classifier replaces one.",
)


@cache
def _templates() -> jinja2.Environment:
    """Everything that a template prints is escaped, but for svg.bar and svg.key."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fpu.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["inline"] = _inline
    environment.globals["key"] = svg.key
    return environment


def _inline(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def page(record: dict, samples_png_bytes: bytes | None) -> str:
    """The report of one run as a self-contained HTML page: no script, no other file, no network.

    Args:
      record: one record of schema 1; a metric without a value shows its reason.
      samples_png_bytes: the picture `samples_png` wrote, with real images: the page is private. None where
        training diverged, and there are no images to show or to judge.
    """
    unit = verdict.unit(record)
    return (
        _templates()
        .get_template("run.html.j2")
        .render(
            title=verdict.headline(record),
            findings=verdict.findings(record),
            samples=samples_png_bytes,
            **(_judged(record) if samples_png_bytes is not None else {}),
            not_covered=[line.format(unit=unit) for line in NOT_COVERED] + list(_OF_THIS_PAGE),
            cost=_cost(record["cost"]),
            data=_data(record["data"]),
            data_wide=_wide(record["data"]),
            settings=_flat(record["config"]),
            versions=record["versions"],
        )
    )


def _judged(record: dict) -> dict:
    """What the template needs of fidelity, privacy and utility."""
    privacy, roc = record["privacy"], panels.roc(record)
    return {
        "network": _network(record),
        "fidelity": rows.compared(record, FIDELITY, "real", ("Synthetic", "Real line")),
        "privacy": {label: _fact(privacy.get(key)) for key, label in _PRIVACY.items()},
        "statement": privacy.get("statement", ""),
        "attacks": rows.attacks(record),
        "limited": bounds.ceiling(privacy) is not None,
        "roc": roc and plots.png(roc),
        "audit": _audit(privacy.get("audit")),
        "distances": rows.distances(record),
        "paper_epsilon": rows.paper_epsilon(record),
        "n_members": f"{record['data']['n_members']:,}",
        "utility": rows.compared(record, UTILITY, "members", ("Synthetic", "Floor")),
        "classifiers": rows.classifiers(record),
        "recall": rows.recall(record),
    }


def _network(record: dict) -> str:
    """Which network's features fidelity is measured in."""
    features = record["fidelity"].get("features") or {}
    if features.get("network") == "random":
        return (
            "Features come from an untrained network, because too few images are left to train one."
        )
    if features.get("n_reference"):
        return f"Features come from a small network trained on {features['n_reference']:,} other images."
    return ""


def _fact(fact: object) -> str | None:
    if fact is None:
        return None
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    if isinstance(fact, int | float):
        return number(fact, 4)
    if fact == "inf":
        return number("inf")
    return str(fact).replace("_", " ")


def _audit(audit: dict | None) -> dict | None:
    """Title, sentence and table of an audit; without a table the reason why there is none."""
    if not audit:
        return None
    if "scores" not in audit:
        return {"title": "Audit", "text": audit.get("reason", ""), "rows": None}
    kind = audit["kind"].replace("_", " ")
    count = audit.get("canaries") or audit.get("runs")
    counted = "canaries" if "canaries" in audit else "runs in each world"
    result = "The claim is refuted: release nothing." if audit["refuted"] else "The claim stands."
    text = (
        f"{result} A low bound proves nothing. The last two columns say how high a bound an audit of this size could"
        " have found."
    )
    return {"title": f"Audit: {kind}, {count:,} {counted}", "text": text, "rows": rows.audit(audit)}


def _cost(cost: dict) -> dict:
    seconds = {f"{name}, s": number(s) for name, s in (cost.get("seconds") or {}).items()}
    others = {key: fact for key, fact in cost.items() if key != "seconds"}
    return seconds | {
        key: f"{fact:,}" if isinstance(fact, int) else fact for key, fact in others.items()
    }


def _data(data: dict) -> dict:
    return {
        "name": data["name"],
        "images": shape_name(data["shape"]),
        "members, trained on": f"{data['n_members']:,}",
        "privacy units": _count(data, "n_units", f" ({data.get('unit', 'image')}s)"),
        "non-members, for attacks": _count(data, "n_nonmembers"),
        "reference, for feature networks": _count(data, "n_reference"),
        "test": _count(data, "n_test"),
        "subset": f"{data['subset']}, seed {data.get('seed')}" if data.get("subset") else None,
    }


def _wide(data: dict) -> dict:
    """Facts that take a line each."""
    names, counts = data.get("class_names") or [], data.get("members_per_class") or []
    per_class = ", ".join(f"{n}: {c:,}" for n, c in zip(names, counts, strict=False))
    return {
        "source": data.get("source"),
        "members by class": per_class or None,
        "SHA-256 of the members": data.get("sha256_members"),
        **(data.get("notes") or {}),
    }


def _count(data: dict, key: str, after: str = "") -> str | None:
    return f"{data[key]:,}{after}" if data.get(key) is not None else None


def _flat(config: dict, prefix: str = "") -> dict[str, str]:
    """Nested settings by dotted name, as --set takes them."""
    flat: dict[str, str] = {}
    for key, setting in config.items():
        if isinstance(setting, dict):
            flat |= _flat(setting, f"{prefix}{key}.")
        else:
            flat[prefix + key] = setting if isinstance(setting, str) else json.dumps(setting)
    return flat


def overview(comparison: Comparison) -> str:
    """Tables, pictures, Pareto sets and further sections of a comparison as a self-contained HTML page."""
    datasets = [
        {
            "table": table,
            "pictures": [picture for picture in comparison.pictures if picture.dataset == name],
            "strips": _strips([r for r in comparison.runs if r["data"]["name"] == name]),
        }
        for name, table in comparison.tables.items()
    ]
    return (
        _templates()
        .get_template("comparison.html.j2")
        .render(
            title="fpu: runs compared",
            heading=f"{plural(len(comparison.runs), 'run')} compared",
            datasets=datasets,
            legend=frame.LEGEND,
            pareto=comparison.pareto,
            pareto_note=compare.PARETO_NOTE,
            sections=comparison.sections,
        )
    )


def _strips(runs: list[dict]) -> list[dict]:
    """Synthetic images of one data set: a line for each n, model and eps whose record carries some."""
    shown = {}
    for run in runs:
        if "thumbnails" in run:
            place = run["data"]["n_members"], model_name(run["config"]), -records.eps(run)
            shown.setdefault(place, run["thumbnails"])
    return [
        {"model": model, "n": f"{n:,}", "eps": number(-eps), "png": png}
        for (n, model, eps), png in sorted(shown.items())
    ]
