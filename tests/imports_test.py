"""Imports point one way, and the engine stands on its own."""

import ast
import pathlib

ROOT = pathlib.Path(__file__).parents[1]


def imports(path):
    """Names of the project's modules that a file imports, anywhere in it."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            base = ".".join(filter(None, (base, node.module)))
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in ("fpu", "experiments", "tests")}


def within(names, *allowed):
    """Those of `names` that are in none of the allowed modules and packages."""
    return {n for n in names if not any(n == a or n.startswith(a + ".") for a in allowed)}


def every(pattern):
    files = sorted(ROOT.glob(pattern))
    assert files
    return {str(path.relative_to(ROOT)): imports(path) for path in files}


def test_the_walk_sees_imports_of_every_form(tmp_path):
    file = ROOT / "fpu" / "models" / "vae.py"
    assert {"fpu.nn", "fpu.models.Model"} <= imports(file)


def test_nothing_in_fpu_imports_experiments_or_tests():
    for file, names in every("fpu/**/*.py").items():
        assert not {n for n in names if n.split(".")[0] != "fpu"}, file


def test_the_mechanism_imports_nothing_else_of_fpu():
    for file, names in every("fpu/dp/*.py").items():
        assert not within(names - {"fpu"}, "fpu.dp"), file


def test_layers_know_nothing_and_models_only_layers_and_what_a_baseline_releases_through():
    assert not every("fpu/nn.py")["fpu/nn.py"]
    for file, names in every("fpu/models/*.py").items():
        allowed = ["fpu.nn", "fpu.models"]
        if file.endswith(("gaussian.py", "merf.py")):
            allowed.append("fpu.dp")
        assert not within(names - {"fpu"}, *allowed), file


def test_judges_do_not_know_how_a_generator_was_trained():
    for pattern in ("fpu/fidelity/*.py", "fpu/utility.py", "fpu/classifier.py", "fpu/privacy/*.py"):
        for file, names in every(pattern).items():
            forbidden = {n for n in names if n.startswith(("fpu.training", "fpu.checkpoint"))}
            assert not forbidden, file


def test_training_knows_nothing_of_data_sets_judges_or_reports():
    names = every("fpu/training.py")["fpu/training.py"]
    assert not within(names - {"fpu"}, "fpu.dp", "fpu.models", "fpu.distributed", "fpu.programs")
    assert every("fpu/distributed.py")["fpu/distributed.py"] <= {"fpu", "fpu.InputError"}
