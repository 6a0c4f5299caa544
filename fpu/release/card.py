"""What the data holder herself says of a release: a card of eight fields, put into README.md and privacy.yaml.

A card is covered by no guarantee. It can be filled in at any time, and again: what was there before is replaced.
"""

import datetime
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from fpu import InputError, nearest
from fpu.files import safe
from fpu.release import registry

README, REGISTRY, GUARANTEE = "README.md", "privacy.yaml", "privacy.json"
FIELDS = {
    "intended_use": "what the synthetic images are for, and for whom",
    "source": "of the real images: collection, years, devices, consent or ethics vote",
    "licence": "of the synthetic images, as Hugging Face names it: cc-by-4.0, cc0-1.0, other",
    "contact": "whom to ask",
    "curators": "who publishes the images; several with semicolons",
    "region": "where the people in the real images live, or whose law applies",
    "sector": "Technology, Healthcare, Education, Government, Energy or Finance",
    "publication_date": "as 2026-11-26",
}
SECTORS = ("Technology", "Healthcare", "Education", "Government", "Energy", "Finance")
PRIVATE = "differential-privacy"  # a tag of Hugging Face
_LONGEST = 2000  # characters of a field
_MOST_BYTES = 2**18  # of a text of a release
_SECTION = "\n## Stated by the data holder\n\n"
_NOTHING = "Nothing yet: `fpu card --help`.\n"
_HEAD = ("license", "pretty_name", "tags", "task_categories", "configs")


def template() -> str:
    """An empty card."""
    fields = "".join(f"{name}: ''  # {told}\n" for name, told in FIELDS.items())
    return (
        "# What you say of a release. All of it is handed out as it stands, and no guarantee covers it:\n"
        "# name no patient and no result of looking at single images. Leave '' where you say nothing.\n"
        f"{fields}"
    )


def read(path: Path) -> dict[str, str]:
    """The fields of a card that are filled in. InputError, naming file and field, for anything else."""
    with safe.one_line(path, "a card (`fpu card` prints an empty one)"):
        card = _parsed(safe.read_text(path, _MOST_BYTES))
        if not isinstance(card, dict):
            raise ValueError("no fields")
    for name, value in card.items():
        if name not in FIELDS:
            raise InputError(f"{path}: there is no field {name}: {nearest(str(name), FIELDS)}")
        if isinstance(value, datetime.date):
            card[name] = value = value.isoformat()
        if value is not None and not isinstance(value, str):
            raise InputError(f"{path}: {name} must be text; write it in quotes")
        if len(value or "") > _LONGEST or re.search(r"[\x00-\x08\x0b-\x1f\x7f]", value or ""):
            raise InputError(f"{path}: {name} must be at most {_LONGEST:,} printable characters")
    said = {name: card[name].strip() for name in FIELDS if (card.get(name) or "").strip()}
    if said.get("sector", SECTORS[0]) not in SECTORS:
        raise InputError(f"{path}: sector must be one of {', '.join(SECTORS)}")
    if "publication_date" in said:
        try:
            datetime.date.fromisoformat(said["publication_date"])
        except ValueError:
            raise InputError(f"{path}: publication_date must be as 2026-11-26") from None
    return said


def readme(title: str, tags: Sequence[str], body: str) -> str:
    """README.md of a release: a head that Hugging Face reads, the datasheet, an empty section of the data holder.

    The head says which files are the images: without it samples.png would be one of them.
    """
    images = [{"split": "train", "path": "images/train/**"}]
    head = {
        "license": "unknown",
        "pretty_name": title,
        "tags": list(tags),
        "task_categories": ["image-classification"],
        "configs": [{"config_name": "default", "data_files": images}],
    }
    return f"---\n{dumped(head)}---\n\n{body.rstrip()}\n{_SECTION}{_NOTHING}"


def dumped(value: Any) -> str:
    """YAML in the order given; text of several lines as a block, as the registry wants it."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """Of plain values alone."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)


def merge(folder: Path, said: dict[str, str]) -> None:
    """Put what `read` returned into the README.md and, where there is one, the privacy.yaml of a release."""
    head, body = split(folder)
    head["license"] = said.get("licence", "unknown").lower()
    lines = [f"* **{name.replace('_', ' ').capitalize()}**: {said[name]}\n" for name in said]
    section = "".join(lines) or _NOTHING
    texts = {README: f"---\n{dumped(head)}---\n{body.partition(_SECTION)[0]}{_SECTION}{section}"}
    if (folder / REGISTRY).exists():
        texts[REGISTRY] = dumped(_registered(folder, said))
    for name, text in texts.items():
        safe.write_text(folder / name, text)


def _registered(folder: Path, said: dict[str, str]) -> dict:
    """The registry's record of a release, with what a card says."""
    stated = guarantee(folder)
    with safe.one_line(folder / REGISTRY, "a record of a guarantee"):
        before = record(folder)["deployment"]["basic"]
        made = registry.draft(stated, before["name"], before["description"])
    basic, office = (made["deployment"][part] for part in ("basic", "administrative"))
    names = {
        "intended_use": "intended_use",
        "region": "data_product_region",
        "publication_date": "publication_date",
        "sector": "data_product_sector",
    }
    basic |= {names[name]: said[name] for name in names if name in said}
    if "curators" in said:
        curators = [name.strip() for name in said["curators"].split(";") if name.strip()]
        basic["data_curators"] = office["registry_authors"] = curators
    if told := [said[name] for name in ("source", "contact") if name in said]:
        office["sources"] = "\n\n".join([*told, office["sources"]])
    return made


def split(folder: Path) -> tuple[dict, str]:
    """(head, body) of a release's README.md. InputError where it is none."""
    path = folder / README
    with safe.one_line(path, "the README of a release"):
        text, _, body = safe.read_text(path, _MOST_BYTES).partition("\n---\n")
        head = _parsed(text.removeprefix("---\n"))
        if tuple(head) != _HEAD or _SECTION not in body:
            raise ValueError("other fields")
    return head, body


def record(folder: Path) -> dict:
    """privacy.yaml as a dict. InputError where it cannot be read."""
    path = folder / REGISTRY
    with safe.one_line(path, "a record of a guarantee"):
        return _parsed(safe.read_text(path, _MOST_BYTES))


def guarantee(folder: Path) -> dict:
    """privacy.json as a dict. InputError where it cannot be read."""
    with safe.one_line(folder / GUARANTEE, "the guarantee of a release"):
        found = json.loads(safe.read_text(folder / GUARANTEE, _MOST_BYTES))
        if not isinstance(found, dict):
            raise ValueError("it is no object of JSON")
        return found


def _parsed(text: str) -> Any:
    """YAML without code. ValueError of one line where it is none."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())[:120]) from error


def refute(folder: Path, reason: str) -> None:
    """Say in a withdrawn release that its guarantee does not hold, first of all; and file nothing."""
    head, body = split(folder)
    head["tags"] = [tag for tag in head["tags"] if tag != PRIVATE]
    text = f"---\n{dumped(head)}---\n\n**REFUTED: NOT private.** {reason}\n{body}"
    safe.write_text(folder / README, text)
    (folder / REGISTRY).unlink(missing_ok=True)
