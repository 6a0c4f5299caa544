"""privacy.yaml: the guarantee in the form that an institution can file, as a draft for the registry of OpenDP.

The schema is that of github.com/opendp/deployments-registry-data at commit 3e9c812 (15 July 2026),
schemas/deployments-schema.yaml. Everything but `basic` and `administrative` follows from privacy.json; what only the
data holder knows is "not stated" until her card says it (card.py).
"""

import re
from typing import Any

from fpu.dp.rounding import rounded_up

NOT_STATED = "not stated"
USE = (
    "For developing and testing programs, and for training where their maker has measured that it works. Not for "
    "diagnosis; no expert has judged them. They may miss rare kinds of images and repeat the biases of the real ones."
)
_NO_DATE = "1900-01-01"  # what the registry's own template has
# Parts that a card fills in, and the fields that it may add.
_HOLDERS = {"basic": ("data_product_sector",), "administrative": ()}


def draft(guarantee: dict, title: str, description: str) -> dict[str, Any]:
    """The record of a private release, of what texts.privacy returned."""
    return {
        "url_slug": re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-"),
        "status": "Draft",
        "tier": 3,
        "deployment": {
            "basic": {
                "name": title,
                "data_curators": [NOT_STATED],
                "intended_use": USE,
                "data_product_type": "Synthetic data",
                "data_product_region": NOT_STATED,
                "description": description,
                "publication_date": _NO_DATE,
            },
            **_guaranteed(guarantee),
            "administrative": {
                "sources": "privacy.json and PRIVACY.md of the release: the same facts.",
                "notes": _listed("Not covered by the guarantee:", guarantee["not_covered"]),
                "registry_authors": [NOT_STATED],
            },
        },
    }


def agrees(record: Any, guarantee: dict) -> bool:
    """Whether a record that was read says what privacy.json does, and holds nothing else but strings."""
    like = draft(guarantee, "", "")
    if not _same_keys(record, like) or not _same_keys(record["deployment"], like["deployment"]):
        return False
    own, other = record["deployment"], like["deployment"]
    for part, more in _HOLDERS.items():
        if not isinstance(own[part], dict):
            return False
        if not set(other[part]) <= set(own[part]) <= {*other[part], *more}:
            return False
        values = [v if isinstance(v, list) else [v] for v in own[part].values()]
        if not all(isinstance(text, str) for texts in values for text in texts):
            return False
    stated = {part: own[part] for part in _HOLDERS}
    said = {"url_slug": record["url_slug"], "deployment": other | stated}
    return isinstance(record["url_slug"], str) and record == like | said


def _same_keys(record: Any, like: dict) -> bool:
    return isinstance(record, dict) and list(record) == list(like)


def _guaranteed(guarantee: dict) -> dict[str, Any]:
    """What follows from the guarantee alone."""
    unit, public = guarantee["unit"], [*guarantee["public"]]
    if prior := guarantee.get("prior"):
        told = "What the public prior {name}, version {version}, knows: {knows}."
        public.append(told.format(**prior))
    return {
        "dp_variant": {
            "variant_name": "Approximate DP",
            "data_domain": "Sets of labelled images of one size and colour, at most the public number n of units.",
            "unprotected_quantities": _listed("Public, and not protected:", public),
        },
        "privacy_loss": {
            "privacy_unit": unit,
            "privacy_unit_details": f"Neighbours ({guarantee['relation']}): what one listed {unit} gives to every "
            f"sum is there, or is absent. {guarantee['row_of_the_file']}",
            "privacy_parameters": {
                "epsilon": float(rounded_up(float(guarantee["eps"]), 5)),
                "delta": float(rounded_up(guarantee["delta"], 3)),
            },
            "privacy_parameters_details": guarantee["statement"],
        },
        "deployment_model": {
            "model_name": "Central",
            "model_name_details": "Whoever ran the program held the images and is trusted with them.",
            "release_type": "One release",
            "release_type_details": "Another run on the same images is another release, and their losses add up.",
            "data_source_type": "Static",
            "access_type": "Non-interactive",
        },
        "accounting": {
            "post_processing": "A generator learns from the noised sums; the images are drawn from it. To draw more "
            "of them costs nothing.",
            "composition": f"All mechanisms of the run are composed at one delta ({guarantee['accountant']}).",
        },
        "implementation": {
            "preprocessing_and_hyperparameter_tuning": "Each image is scaled by itself, by a public rule. Members are "
            "chosen by a hash of their content, or by their order in the file where a setting says so. The program "
            "tunes nothing on these images. Settings that its user chose by looking at other runs on them are not "
            "accounted for.",
            "mechanisms": _listed("", [_mechanism(one) for one in guarantee["mechanisms"]])
            + "\n\nNoise is added by the program fpu (JAX) in floating point; its README lists what that leaves open.",
            "justification": "epsilon and delta were chosen by whoever ran the program.",
        },
    }


def _mechanism(facts: dict) -> str:
    rest = (f"{key.replace('_', ' ')} {facts[key]}" for key in facts if key != "mechanism")
    return f"{facts['mechanism']}: {', '.join(rest)}"


def _listed(head: str, lines: list[str]) -> str:
    return "\n".join([*([head, ""] if head else []), *(f"- {line}" for line in lines)])
