"""experiments/notebook.ipynb: its cells run in order, and what it shows is there."""

import ast
import json
import pathlib

import fake_records
from PIL import Image

from fpu import evaluation

NOTEBOOK = pathlib.Path(__file__).parents[2] / "experiments" / "notebook.ipynb"
SHORTER = {'"ddpm"': '"gaussian"', "draw_steps=300": "n_per_class=10, n_samples=50"}


def cells():
    """The source of each cell of code."""
    read = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in read if cell["cell_type"] == "code"]


def executed(source, names):
    """Run a cell as a notebook does: the value of its last line, where that is an expression."""
    *body, last = ast.parse(source).body
    if not isinstance(last, ast.Expr):
        body.append(last)
    exec(compile(ast.Module(body, []), str(NOTEBOOK), "exec"), names)
    if isinstance(last, ast.Expr):
        return eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names)
    return None


def test_its_cells_run_in_order_and_show_pictures(tmp_path, monkeypatch, capsys):
    """With a generator that needs no training, and numbers from elsewhere: both have tests of their own."""
    judged = fake_records.record()
    judged = {"fidelity": judged["fidelity"], "utility": judged["utility"]}
    judged |= {"attacks": {}, "seconds": {}}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluation, "evaluate", lambda *_, **__: judged)
    text = "\0".join(cells())
    for long, short in SHORTER.items():
        assert long in text
        text = text.replace(long, short)
    names = {}
    values = [executed(source, names) for source in text.split("\0")]
    pictures = [value for value in values if isinstance(value, Image.Image)]
    for picture in pictures:
        picture.load()  # which closes its file
    assert [min(picture.size) > 50 for picture in pictures] == [True, True]
    told = capsys.readouterr().out
    for words in ("eps = 1:", "accuracy", "privacy.yaml", "differential privacy"):
        assert words in told


def test_the_outputs_it_is_shown_with_name_no_place_of_a_machine():
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert '"image/png"' in text
    assert not any(f"{place}/" in text for place in ("/tmp", "/home", "/root", "/work", "/Users"))
