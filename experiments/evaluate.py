"""The command `python -m experiments.evaluate`; see fpu/commands/evaluate.py."""

from fpu.commands import door

if __name__ == "__main__":
    door.enter("fpu.commands.evaluate")
