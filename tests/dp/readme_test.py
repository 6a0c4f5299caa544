"""Every test that fpu/dp/README.md names exists."""

import ast
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]


def test_tests_that_the_readme_names_exist():
    text = (ROOT / "fpu" / "dp" / "README.md").read_text(encoding="utf-8")
    names = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(names) > 30
    for file, name in names:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert name in functions, f"{file}::{name}"
