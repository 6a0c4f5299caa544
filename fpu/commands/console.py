"""The command `fpu`: the name of a command, then its flags."""

import ast
import pathlib
import sys

import fpu
from fpu.commands import door

COMMANDS = ("run", "plan", "generate", "card", "evaluate", "sweep", "report", "prior")


def main() -> None:
    """Run the command that the first word names."""
    word = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if word in ("--help", "-help", "-h"):
        print(_overview())
    elif word == "--version":
        print(f"fpu {fpu.__version__}")
    elif word in COMMANDS:
        sys.argv = [f"fpu {word}", *sys.argv[2:]]
        door.enter(f"fpu.commands.{word}", f"fpu {word}")
    else:
        sys.exit(door.refuse(f"{word} is no command: {fpu.nearest(word, COMMANDS)}"))


def _overview() -> str:
    """One line for each command: the first of its docstring, read without importing it."""
    lines = [
        "fpu: differentially private image generators, judged on fidelity, privacy and utility.",
        "",
    ]
    for name in COMMANDS:
        source = (pathlib.Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")
        summary = (ast.get_docstring(ast.parse(source)) or "").splitlines()[0]
        lines.append(f"  fpu {name:10}{summary}")
    lines += ["", "fpu COMMAND --help lists its flags. Example: fpu run --model=ddpm --eps=1"]
    return "\n".join(lines)
