import csv
import json
import subprocess
import sys

from fake_records import record


def report(*args):
    command = [sys.executable, "-m", "fpu.commands.report", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_records_become_a_table_and_a_page(tmp_path):
    (tmp_path / "record.json").write_text(json.dumps(record()))
    page = tmp_path / "out.html"
    done = report(tmp_path, f"--out={page}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("**digits")
    assert "| DDPM | 1 | 500 |" in done.stdout
    assert page.read_text().endswith("</html>\n")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.html", "record.json"]


def test_curves_and_lines_are_written_into_a_folder(tmp_path):
    for seed in (0, 1):
        (tmp_path / f"{seed}.record.json").write_text(json.dumps(record(seed=seed)))
    done = report(tmp_path, f"--folder={tmp_path / 'out'}")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "digits.png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "out" / "runs.csv").read_text()
    lines = list(csv.DictReader(text.splitlines()))
    assert [(r["model"], r["seed"], r["accuracy"], r["delta"]) for r in lines] == [
        ("DDPM", "0", "0.82", "0.0002"),
        ("DDPM", "1", "0.82", "0.0002"),
    ]


def test_a_page_that_cannot_be_written_is_refused_before_the_table(tmp_path):
    (tmp_path / "record.json").write_text(json.dumps(record()))
    page = tmp_path / "record.json" / "x.html"
    done = report(tmp_path, f"--out={page}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: --out: {page} cannot be written: ")
    assert done.stderr.count("\n") == 1
