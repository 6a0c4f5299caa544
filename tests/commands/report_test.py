import csv
import json

import pytest
from absl import flags
from fake_records import record, runs

from experiments import report as repository
from fpu import InputError
from fpu.commands import report


@pytest.fixture
def call(monkeypatch):
    """Runs a command in this process: (words and flags, command) -> None."""
    values = flags.FlagValues()
    for name in ("out", "folder"):
        flags.DEFINE_string(name, None, "", flag_values=values)
    monkeypatch.setattr(flags, "FLAGS", values)
    return lambda *args, command=report: command.main(values(["report", *map(str, args)]))


def test_records_become_a_table_and_a_page(tmp_path, call, capsys):
    (tmp_path / "record.json").write_text(json.dumps(record()))
    page = tmp_path / "out.html"
    call(tmp_path, f"--out={page}")
    printed = capsys.readouterr().out
    assert printed.startswith("**digits")
    assert "| DDPM | 1 | 500 |" in printed
    assert page.read_text().endswith("</html>\n")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.html", "record.json"]


def test_pictures_and_lines_are_written_into_a_folder(tmp_path, call):
    for seed in (0, 1):
        (tmp_path / f"{seed}.record.json").write_text(json.dumps(record(seed=seed)))
    call(tmp_path, f"--folder={tmp_path / 'out'}")
    assert (tmp_path / "out" / "digits.png").read_bytes().startswith(b"\x89PNG")
    lines = list(csv.DictReader((tmp_path / "out" / "runs.csv").read_text().splitlines()))
    found = [(r["model"], r["seed"], r["accuracy"], r["delta"]) for r in lines]
    assert found == [("DDPM", seed, "0.82", "0.0002") for seed in "01"]


def test_a_page_that_cannot_be_written_is_refused_before_the_table(tmp_path, call, capsys):
    (tmp_path / "record.json").write_text(json.dumps(record()))
    page = tmp_path / "record.json" / "x.html"
    with pytest.raises(InputError, match=f"^--out: {page} cannot be written: "):
        call(tmp_path / "record.json", f"--out={page}")
    assert capsys.readouterr().out == ""


def test_the_door_of_the_repository_adds_the_papers_claims(tmp_path, call):
    study = [*runs("gan", "inf", [0.9, 0.8]), *runs("gan", 1.0, [0.5, 0.5])]
    (tmp_path / "study.jsonl").write_text("\n".join(map(json.dumps, study)))
    for command, claims in ((report, False), (repository, True)):
        folder = tmp_path / command.__name__
        call(tmp_path / "study.jsonl", f"--folder={folder}", command=command)
        assert (folder / "claims.md").exists() == claims
    assert "GAN keeps its utility" in (folder / "claims.md").read_text()
