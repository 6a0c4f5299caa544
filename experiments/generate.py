"""The command `python -m experiments.generate`; see fpu/commands/generate.py."""

from fpu.commands import door

if __name__ == "__main__":
    door.enter("fpu.commands.generate")
