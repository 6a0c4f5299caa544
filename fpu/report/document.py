"""One record as one HTML page that needs nothing else; many records as another."""

import base64
import json
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib import resources

from fpu.report import axes, claims, gallery, pareto, records, verdict
from fpu.report.privacy import privacy
from fpu.report.tables import LEGEND, Table, tables
from fpu.report.tried import tried
from fpu.report.wording import model_name, number, plural, shape_name


def page(record: dict, samples_png_bytes: bytes | None) -> str:
    """The report of one run as a self-contained HTML page: no script, no other file, no network.

    Args:
      record: one record of schema 1; a metric without a value shows its reason.
      samples_png_bytes: the picture `samples_png` wrote, with real images: the page is private. None where
        training diverged, and there are no images to show or to judge.
    """
    title = verdict.headline(record)
    judged = []
    if samples_png_bytes is not None:
        judged = [
            _samples(samples_png_bytes),
            axes.fidelity(record),
            privacy(record) + tried(record),
            axes.utility(record),
        ]
    sections = [
        '<p class="inside">Private: this page shows real images. Keep it inside.</p>',
        f"<h1>{escape(title)}</h1>",
        _verdict(record),
        *judged,
        _uncovered(record),
        _cost(record["cost"]),
        _data(record["data"]),
        _settings(record),
    ]
    return _document(title, sections)


def overview(runs: Sequence[dict]) -> str:
    """Tables, pictures, Pareto sets and claims of many records as a self-contained HTML page."""
    sections = [f"<h1>{plural(len(runs), 'run')} compared</h1>"]
    drawn = gallery.pictures(runs)
    names = sorted({r["data"]["name"] for r in runs})
    for table, name in zip(tables(runs), names, strict=True):
        sections.append(_table(table))
        sections += [
            f'<figure><img class="drawn" alt="{escape(picture.about)}" src="{_inline(picture.png)}"></figure>'
            for picture in drawn
            if picture.dataset == name
        ]
        sections.append(_by_eps([r for r in runs if r["data"]["name"] == name]))
    sections.append(f'<p class="note">{escape(LEGEND)}</p>')
    if sets := pareto.tables(runs):
        sections.append("<h1>Pareto sets at matched ε</h1>")
        sections += [*map(_table, sets), f'<p class="note">{escape(pareto.NOTE)}</p>']
    if tested := claims.claims(runs):
        sections.append(_claims(tested))
    return _document("fpu: runs compared", sections)


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in table.header)
    body = "".join(f"<tr>{''.join(map(_two_lines, row))}</tr>" for row in table.rows)
    return (
        f'<h2>{escape(table.caption)}</h2><div class="scroll"><table class="overview">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        + "".join(f'<p class="note">{escape(note)}</p>' for note in table.notes)
    )


def _claims(tested: Sequence[claims.Claim]) -> str:
    lines = "".join(f"<li>{escape(line)}</li>" for line in claims.summary(tested))
    head = "".join(f"<th>{escape(text)}</th>" for text in claims.HEADER)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in claim[2:])}</tr>" for claim in tested
    )
    return (
        f"<h1>Claims of arXiv:2606.07640</h1><ul>{lines}</ul><table><thead><tr>{head}</tr></thead>"
        f'<tbody>{body}</tbody></table><p class="note">{escape(claims.ABOUT)}</p>'
    )


def _by_eps(runs: Sequence[dict]) -> str:
    """Synthetic images of one data set: a line for each n, model and eps whose record carries some."""
    shown = {}
    for run in runs:
        if "thumbnails" in run:
            where = run["data"]["n_members"], model_name(run["config"]), -records.eps(run)
            shown.setdefault(where, run["thumbnails"])
    lines = "".join(
        f"<tr><th>{escape(name)}</th><td>{n:,}</td><td>{number(-eps)}</td>"
        f'<td><img class="strip" alt="Synthetic images" src="data:image/png;base64,{text}"></td></tr>'
        for (n, name, eps), text in sorted(shown.items())
    )
    if not lines:
        return ""
    head = "".join(f"<th>{text}</th>" for text in ("model", "n", "ε", "the first synthetic images"))
    return f'<table class="strips"><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>'


def _two_lines(text: str) -> str:
    """A cell with what follows the first word, an interval, on a line of its own."""
    first, _, rest = text.partition(" ")
    return f"<td>{escape(first)}<small>{escape(rest)}</small></td>"


def _document(title: str, sections: Sequence[str]) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>\n<style>\n{_style()}</style></head>\n<body>\n"
        + "\n".join(sections)
        + "\n</body></html>\n"
    )


@cache
def _style() -> str:
    return resources.files("fpu.report").joinpath("style.css").read_text(encoding="utf-8")


def _verdict(record: dict) -> str:
    items = (
        f'<li class="{f.mark}"><small>{f.about}</small><b>{escape(f.title)}</b>'
        f"<span>{escape(f.text)}</span></li>"
        for f in verdict.findings(record)
    )
    return f'<ul class="verdict">{"".join(items)}</ul>'


def _samples(png: bytes) -> str:
    return (
        '<h2>What they look like</h2><figure><div class="scroll">'
        '<img alt="Real images beside synthetic ones, a row per class"'
        f' src="{_inline(png)}"></div>'
        '<figcaption class="note">The first images of each class, not chosen ones.</figcaption>'
        "</figure>"
    )


def _inline(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _uncovered(record: dict) -> str:
    person = (
        "Anyone whose images are spread over several groups: one group at a time is hidden."
        if verdict.unit(record) == "group"
        else "A person with several images among the members: one image at a time is hidden."
    )
    points = [
        person,
        "Other runs on these images, and settings chosen by reports like this one: each run spends"
        " an ε of its own, and they add up.",
        "This page: its pictures and figures come from real images without noise.",
        "What is taken as public: image size, class names, the labels asked for, the number of"
        " images and every setting below.",
        "What is true of such images in general, whoever took part: to convey that is the purpose.",
        "Attacks not tried: one that fails proves nothing.",
        "Faults below the mathematics: floating-point arithmetic, a random generator not made for"
        " cryptography, the computer it ran on.",
        "Fitness for the clinic: no expert has judged these images; no classifier replaces one.",
    ]
    return "<h2>What is not covered</h2><ul>" + "".join(f"<li>{p}</li>" for p in points) + "</ul>"


def _facts(facts: dict[str, object], style: str = "") -> str:
    items = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(str(fact))}</dd></div>"
        for name, fact in facts.items()
        if fact is not None
    )
    return f'<dl class="{style}">{"".join(items)}</dl>'


def _cost(cost: dict) -> str:
    spent = {f"{name}, s": number(s) for name, s in (cost.get("seconds") or {}).items()}
    rest = {
        key: f"{cost[key]:,}" if isinstance(cost[key], int) else cost[key]
        for key in cost
        if key != "seconds"
    }
    return "<h2>Cost</h2>" + _facts({**spent, **rest})


def _data(data: dict) -> str:
    names, counts = data.get("class_names") or [], data.get("members_per_class") or []
    per_class = ", ".join(f"{n}: {c:,}" for n, c in zip(names, counts, strict=False))
    facts = {
        "name": data["name"],
        "images": shape_name(data["shape"]),
        "members, trained on": f"{data['n_members']:,}",
        "privacy units": _count(data, "n_units", f" ({data.get('unit', 'image')}s)"),
        "non-members, for attacks": _count(data, "n_nonmembers"),
        "reference, for feature networks": _count(data, "n_reference"),
        "test": _count(data, "n_test"),
        "subset": f"{data['subset']}, seed {data.get('seed')}" if data.get("subset") else None,
    }
    wide = {
        "source": data.get("source"),
        "members by class": per_class or None,
        "SHA-256 of the members": data.get("sha256_members"),
        **(data.get("notes") or {}),
    }
    return "<h2>Data</h2>" + _facts(facts) + _facts(wide, "wide")


def _count(data: dict, key: str, after: str = "") -> str | None:
    return f"{data[key]:,}{after}" if data.get(key) is not None else None


def _settings(record: dict) -> str:
    versions = _facts(record["versions"], "settings")
    return (
        f"<h2>Settings</h2>{_facts(_flat(record['config']), 'settings')}<h2>Versions</h2>{versions}"
    )


def _flat(config: dict, prefix: str = "") -> dict[str, str]:
    """Nested settings by dotted name, as --set takes them."""
    flat: dict[str, str] = {}
    for key, held in config.items():
        if isinstance(held, dict):
            flat |= _flat(held, f"{prefix}{key}.")
        else:
            flat[prefix + key] = held if isinstance(held, str) else json.dumps(held)
    return flat
