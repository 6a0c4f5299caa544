"""fpu/release/card.py and registry.py: what the data holder says, and the guarantee in the registry's schema."""

import json

import pytest
import tiny_release
import yaml
from refusal import refused

from fpu import InputError
from fpu.commands import card as command
from fpu.release import card, registry, scan

# Of opendp/deployments-registry-data, schemas/deployments-schema.yaml at 3e9c812a924cf01d228f26f6c462c59c391c3f2a:
# {section: its properties}, none of which has others beside; what is required; and the values of enumerations.
SCHEMA = {
    "basic": "name data_curators intended_use data_product_type data_product_region description publication_date "
    "data_product_sector",
    "dp_variant": "variant_name data_domain unprotected_quantities",
    "privacy_loss": "privacy_unit privacy_unit_details privacy_parameters privacy_parameters_details",
    "deployment_model": "model_name model_name_details actors release_type release_type_details data_source_type "
    "data_source_type_details access_type access_type_details",
    "accounting": "post_processing composition",
    "implementation": "preprocessing_and_hyperparameter_tuning mechanisms justification",
    "administrative": "sources notes registry_authors",
}
REQUIRED = {
    "basic": "name data_curators description intended_use data_product_type data_product_region publication_date",
    "administrative": "registry_authors",
}
ENUMERATED = {
    "data_product_type": ("Synthetic data",),
    "data_product_sector": card.SECTORS,
    "variant_name": ("Approximate DP",),
    "model_name": ("Central",),
    "release_type": ("One release",),
    "data_source_type": ("Static",),
    "access_type": ("Non-interactive",),
}
SAID = """\
intended_use: 'To test readers: "x-rays"'
source: |
  Two wards, 2019.
  Ethics vote 17/3.
licence: CC-BY-4.0
curators: Clinic; University
region: Ōsaka
sector: Healthcare
publication_date: 2026-11-26
contact:
"""


@pytest.fixture
def release(tmp_path):
    return tiny_release.write(tmp_path / "release")


def put(release, text):
    path = release.parent / "card.yaml"
    path.write_text(text, encoding="utf-8")
    return command.put(str(release), str(path))


def check_schema(record):
    """What jsonschema says of it, as far as it goes: keys, what is required, types, enumerations, the date."""
    assert list(record) == ["url_slug", "status", "tier", "deployment"]
    assert (record["status"], record["tier"]) == ("Draft", 3)
    assert list(record["deployment"]) == list(SCHEMA)
    for section, fields in record["deployment"].items():
        assert set(REQUIRED.get(section, "").split()) <= set(fields) <= set(SCHEMA[section].split())
        for name, value in fields.items():
            if name == "privacy_parameters":
                assert all(isinstance(number, float) for number in value.values())
            elif name in ("data_curators", "registry_authors"):
                assert value
                assert all(isinstance(one, str) for one in value)
            else:
                assert isinstance(value, str)
                assert value in ENUMERATED.get(name, (value,))


def test_the_record_is_of_the_registrys_schema_and_of_the_guarantee(release):
    record = yaml.safe_load((release / "privacy.yaml").read_text())
    check_schema(record)
    guarantee = json.loads((release / "privacy.json").read_text())
    parameters = record["deployment"]["privacy_loss"]["privacy_parameters"]
    assert guarantee["eps"] <= parameters["epsilon"] <= guarantee["eps"] + 1e-4
    assert parameters["delta"] == 1e-3
    assert record["deployment"]["privacy_loss"]["privacy_unit"] == "image"
    text = json.dumps(record)
    for fact in ("add_or_remove_one", "number n", "noise multiplier 4.0", "gaussian", "composed"):
        assert fact in text


def test_nothing_is_filed_where_nothing_is_guaranteed(tmp_path):
    folder = tiny_release.write(tmp_path / "release", disclosed=True)
    assert not (folder / "privacy.yaml").exists()
    assert "differential-privacy" not in (folder / "README.md").read_text()
    put(folder, SAID)  # a README has a card all the same
    (folder / "privacy.yaml").write_text("{}")
    with pytest.raises(InputError, match="only where something is guaranteed"):
        scan.scan(folder)


def test_a_card_goes_into_both_and_replaces_an_earlier_one(release):
    before = {p.name: p.read_bytes() for p in release.iterdir() if p.is_file()}
    put(release, SAID)
    scan.scan(release)
    head, body = card.split(release)
    assert head["license"] == "cc-by-4.0"
    assert "* **Source**: Two wards, 2019.\nEthics vote 17/3.\n" in body
    assert "Contact" not in body
    record = card.record(release)
    check_schema(record)
    basic = record["deployment"]["basic"]
    assert basic["data_curators"] == ["Clinic", "University"]
    assert (basic["publication_date"], basic["data_product_region"]) == ("2026-11-26", "Ōsaka")
    assert "Ethics vote" in record["deployment"]["administrative"]["sources"]
    put(release, SAID)
    assert (card.split(release), card.record(release)) == ((head, body), record)
    tiny_release.write(release)  # the run, repeated: the release stays as it is
    assert card.record(release) == record
    put(release, card.template())
    assert {p.name: p.read_bytes() for p in release.iterdir() if p.is_file()} == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("use: x", "no field use: did you mean source|no field use: did you mean intended_use"),
        ("[1", "a card"),
        ("'text'", "a card"),
        ("source: [1, 2]", "source must be text"),
        ("contact: 5", "contact must be text; write it in quotes"),
        ("sector: Zoo", "sector must be one of"),
        ("publication_date: soon", "publication_date must be as"),
        (f"source: {'x' * 2001}", "at most 2,000"),
        ('source: "\\0"', "printable"),
    ],
)
def test_a_card_that_is_none_is_refused_and_changes_nothing(release, text, words):
    before = (release / "README.md").read_bytes(), (release / "privacy.yaml").read_bytes()
    with refused("card.yaml", match=words):
        put(release, text)
    assert ((release / "README.md").read_bytes(), (release / "privacy.yaml").read_bytes()) == before


def test_the_template_names_every_field():
    assert yaml.safe_load(card.template()) == dict.fromkeys(card.FIELDS, "")
    assert registry.NOT_STATED not in card.template()


@pytest.mark.parametrize("text", ["[", json.dumps(["private", "unit"]), '"' + " " * 2**18 + '"'])
def test_a_guarantee_that_is_none_is_one_line(release, text):
    (release / "privacy.json").write_text(text)
    with refused("privacy.json"):
        scan.scan_card(release)
