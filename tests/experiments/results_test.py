"""The committed results: every study reads, every table in the documents follows from the records, and collect."""

import functools
import importlib
import json
import pathlib
import re

import fake_records
import numpy as np
import pytest

from experiments import collect, curves
from fpu import InputError, intervals
from fpu.report import measured, records
from fpu.report.settings import JUDGED

ROOT = pathlib.Path(__file__).parents[2] / "experiments"
STUDIES = sorted((ROOT / "results").glob("*.jsonl"))
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
FRONT = (ROOT.parent / "README.md").read_text(encoding="utf-8")
MODELS = ("vae", "gan", "ddpm")
GENERATORS = ("prior", "vae", "gan", "ddpm", "gaussian", "merf", "merf_prior", "pe")


@functools.cache
def study(name):
    """The records of a study."""
    return records.read([ROOT / "results" / f"{name}.jsonl"])


def table(head, text=TEXT):
    """The cells of each row of the table in `text` that begins with `head`."""
    (lines,) = (part.splitlines()[2:] for part in text.split("\n\n") if part.startswith(head))
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines]


def number(text):
    return float(text.replace(",", "").replace("∞", "inf"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_is_valid_sorted_and_has_no_record_twice(path):
    assert collect.merged(study(path.stem)) == path.read_text(encoding="utf-8").splitlines()


# Not of grid, which was measured before operations were counted.
TABLES = {path.stem for path in (ROOT / "results" / "bench").glob("*.md")}
TABLES -= {"grid"}


@pytest.mark.parametrize("suite", sorted(TABLES))
def test_a_committed_table_is_what_its_suite_makes_of_the_committed_numbers(suite):
    path = ROOT / "results" / "bench" / f"{suite}.json"
    result = json.loads(path.read_text(encoding="utf-8"))
    module = importlib.import_module(f"experiments.suites.{suite.partition('-')[0]}")
    table = f"`{result['command']}`\n\n{module.table(result)}\n"
    assert path.with_suffix(".md").read_text(encoding="utf-8") == table


def test_the_table_of_the_package_follows_from_the_records():
    runs = [run for path in STUDIES for run in study(path.stem)]
    assert curves.table(runs) == measured.PATH.read_text(encoding="utf-8")


def test_the_table_of_generators_in_the_readme_follows_from_the_records():
    runs = [r for r in quick() if not alone(r)]
    rows = table("| images | n | ε | prior |")
    assert len(rows) == len(settings(runs))
    for dataset, n, eps, *cells in rows:
        assert generated(runs, dataset, number(n), number(eps)) == cells


def test_the_table_of_models_without_a_prior_in_the_readme_follows_from_the_records():
    runs = [r for r in quick() if alone(r)]
    rows = table("| images | n | ε | taught by |")
    assert len(rows) == len({(*setting, taught_by(r)) for r in runs for setting in settings([r])})
    for dataset, n, eps, teacher, *cells in rows:
        same = chosen(runs, dataset, number(n), number(eps))
        assert of_models([r for r in same if taught_by(r) == teacher]) == cells


def test_the_numbers_on_the_front_page_are_those_of_the_tables():
    """'91, `merf_prior` 95' under a generator is its own number and that of another; '89 ± 7' is rounded."""
    runs, names = [r for r in quick() if not alone(r)], [*GENERATORS, "kid", "coverage"]
    names += ["private classifier", "members"]
    columns = ("prior", "vae", "gaussian", "private classifier", "members")
    for images, eps, *cells in table("| images | eps |", FRONT):
        dataset, n = re.fullmatch(r"(\w+)(?: in part)?, n = ([\d,]+)", images).groups()
        dataset = {"octmnist": "octmnist_part"}.get(dataset.lower(), dataset.lower())
        values = generated(runs, dataset, number(n), number(eps))
        said = dict(zip(names, map(rounded, values), strict=True))
        for column, cell in zip(columns, cells, strict=True):
            found = re.findall(r"(?:(VAE|GAN|DDPM|`\w+`) )?(\d+(?: ± \d+)?)", cell)
            assert found or not cell
            for name, value in found:
                assert said[name.strip("`").lower() or column] == value, (images, column)


LOSSES = "| images | n | ε | pairs | VAE |"


def test_the_table_of_what_models_lose_to_their_draws_follows_from_the_records():
    """Of each setting of three pairs or more: images of a model against the draws that taught it."""
    runs = [r for r in quick() if not alone(r)]
    shown = table(LOSSES)
    for name, n, eps, *cells in shown:
        assert cells == losses(runs, name, number(n), number(eps))
    enough = [
        s for s in sorted(settings(runs)) if len(chosen(of("vae", runs), *s[:2], float(s[2]))) > 2
    ]
    assert sorted((name, number(n), eps) for name, n, eps, *_ in shown) == enough


def test_what_is_said_of_the_losses_and_of_kid_is_in_their_table():
    def cells(*names):
        return [row for row in table(LOSSES) if (row[0], row[1]) in names]

    def losses_of(*names):
        lost = [float(cell.split("±")[0]) for row in cells(*names) for cell in row[4:7]]
        return f"{min(lost):.1f} to {max(lost):.1f}"

    text = " ".join(TEXT.split())
    near = losses_of(("mnist", "1,000"), ("pneumoniamnist", "4,708"))
    digits = losses_of(("digits", "500"))
    assert f"each family loses {near} points, on digits {digits}" in text
    said = re.search(
        r"on digits it is at most (\S+) higher, on OCT (\S+), on MNIST (\S+), on all", text
    )
    for name, most in zip(("digits", "octmnist_part", "mnist"), said.groups(), strict=True):
        for row in (row for row in table(LOSSES) if row[0] == name):
            assert max(map(float, row[7:10])) <= float(row[10]) + float(most) + 1e-9
    runs = [r for r in quick() if r["data"]["name"] == "octmnist_part" and not alone(r)]
    lost = [np.array([-gain(r) for r in of(model, runs)]) for model in MODELS]
    assert {len(each) for each in lost} == {11}
    vae, gan, ddpm = (
        f"{each.mean():.1f} ± {each.std(ddof=1) / len(each) ** 0.5:.1f}".replace("± 0", "± ")
        for each in lost
    )
    assert f"of OCT a VAE loses {vae}, a GAN {gan} and a DDPM {ddpm} (± a standard error" in text


def losses(runs, dataset, n, eps):
    """The cells of one row: pairs, points lost by each model, and KID of each and of draws."""
    runs = chosen(runs, dataset, n, eps)
    gains = [[gain(r) for r in of(m, runs)] for m in MODELS]
    looks = [mean(of(m, runs), "fidelity", "synthetic", "kid") for m in (*MODELS, "prior")]
    (pairs,) = {len(each) for each in gains}
    return [str(pairs), *(spread([-x for x in each]) for each in gains), *looks]


def of(model, runs):
    return [r for r in runs if r["config"]["model"] == model]


def gain(run):
    """Points that a model's images teach more than the draws that taught it."""
    taught, draws = (
        records.metric(run, "utility", row, judged_by(run))["value"]
        for row in ("synthetic", "one_shot")
    )
    return 100 * (taught - draws)


def rounded(cell):
    """'89.1±6.9' as '89 ± 7'."""
    return " ± ".join(f"{float(part):.0f}" for part in cell.split("±")) if cell != "–" else cell


def quick():
    return [r for r in study("tables") if r["config"]["evaluation"] == "quick"]


def alone(run):
    """Whether a model learned without a public prior."""
    return run["config"]["model"] in MODELS and run["config"]["prior"] == "none"


def taught_by(run):
    """The real images, with or without privacy, or draws of a release that has no prior."""
    if records.eps(run) == float("inf"):
        return "images"
    return "images, by DP-SGD" if run["config"]["warmup_share"] == 0 else "draws of `gaussian`"


def settings(runs):
    """{(data set, members, eps)}"""
    return {(r["data"]["name"], r["data"]["n_members"], f"{records.eps(r):.2g}") for r in runs}


def of_models(runs):
    return [accuracy(of(m, runs), "synthetic") for m in MODELS]


def test_the_table_of_larger_sets_in_the_readme_follows_from_the_records():
    runs = [r for r in study("tables") if r["config"]["evaluation"] == "full"]
    rows = table("| images | n | ε | synthetic images |")
    for dataset, n, eps, n_samples, *cells in rows:
        same = chosen(runs, dataset + JUDGED["full"], number(n), number(eps))
        same = [r for r in same if r["config"]["n_samples"] == number(n_samples)]
        found = [accuracy(same, row) for row in ("synthetic", "private_classifier", "members")]
        assert found == cells


def chosen(runs, dataset, n, eps):
    """The runs of a row."""
    runs = [r for r in runs if (r["data"]["name"], r["data"]["n_members"]) == (dataset, n)]
    return [r for r in runs if records.eps(r) == pytest.approx(eps, rel=0.01)]


def generated(runs, dataset, n, eps):
    """The cells of one row: each generator, how its draws look, and the classifiers of the members."""
    runs = chosen(runs, dataset, n, eps)
    by_model = {name: of(name, runs) for name in GENERATORS}
    looks = [mean(by_model["prior"], "fidelity", "synthetic", name) for name in ("kid", "coverage")]
    one_each = list({r["config"]["seed"]: r for r in runs}.values())
    cells = [accuracy(by_model[name], "synthetic") for name in GENERATORS]
    if not by_model["gaussian"]:  # a run with a prior has one beside it, on the same members
        cells[GENERATORS.index("gaussian")] = accuracy(by_model["prior"], "gaussian")
    rows = "private_classifier", "members"
    return [*cells, *looks, *(accuracy(one_each, row) for row in rows)]


def mean(runs, *place):
    values = [records.metric(r, *place)["value"] for r in runs]
    return f"{sum(values) / len(values):.2f}" if values else "–"


def accuracy(runs, row):
    """Percent: mean ± half of the t interval; one run alone."""
    metrics = [records.metric(r, "utility", row, judged_by(r)) for r in runs]
    values = [100 * m["value"] for m in metrics if m["value"] is not None]
    return spread(values) if values else "–"


def judged_by(run):
    """Macro AUC of the two medical data sets, accuracy of others."""
    name = run["data"]["name"].removesuffix(JUDGED["full"])
    return "auc" if name in ("pneumoniamnist", "octmnist_part") else "accuracy"


def spread(values):
    if len(values) < 2:
        return f"{values[0]:.1f}"
    interval = intervals.t_interval(values)
    return f"{interval['value']:.1f}±{(interval['high'] - interval['low']) / 2:.1f}"


def write(path, *runs):
    """A folder of records, as a sweep leaves it."""
    path.mkdir()
    for i, run in enumerate(runs):
        (path / f"{i}.record.json").write_text(json.dumps(run))
    return str(path)


def test_records_are_added_to_a_study_once_and_in_order(tmp_path, capsys):
    once = fake_records.record(eps=1.0)
    later, first, second = fake_records.record(eps=10.0), once, fake_records.record(eps=1.0, seed=1)
    study, folder = tmp_path / "study.jsonl", write(tmp_path / "a", later, first)
    collect.main(["", folder, str(study)])
    assert "2 records, 2 of them new" in capsys.readouterr().out
    collect.main(["", folder, write(tmp_path / "b", second), str(study)])
    assert "3 records, 1 of them new" in capsys.readouterr().out
    assert [json.loads(line) for line in study.read_text().splitlines()] == [first, second, later]
    other = fake_records.record(eps=1.0, steps=300)  # read together, both are said to differ
    collect.main(["", folder, write(tmp_path / "c", other), str(study)])
    kept = study.read_text()
    assert "differs" not in kept
    collect.main(["", folder, str(study)])
    assert study.read_text() == kept


def test_no_folder_of_the_data_is_kept(tmp_path):
    runs = [fake_records.record(eps=1.0, seed=seed) for seed in range(2)]
    runs[0]["config"] |= {"dataset": "/home/me/scans/", "prior": "images:gs://public/a.npz"}
    runs[1]["config"] |= {"dataset": r"C:\me\oct.npz", "prior": "glyphs"}
    study = tmp_path / "study.jsonl"
    collect.main(["", write(tmp_path / "a", *runs), str(study)])
    kept = [json.loads(line)["config"] for line in study.read_text().splitlines()]
    assert [run["dataset"] for run in kept] == ["scans/", "C:oct.npz"]
    assert [run["prior"] for run in kept] == ["images:gs:a.npz", "glyphs"]


def test_what_is_no_record_or_no_study_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"FOLDER... STUDY.jsonl"):
        collect.main(["", str(tmp_path)])
    folder = write(tmp_path / "a", {"schema": 1})
    with pytest.raises(InputError, match=r"0\.record\.json: damaged"):
        collect.main(["", folder, str(tmp_path / "study.jsonl")])
    assert not (tmp_path / "study.jsonl").exists()
