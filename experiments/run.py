"""The command `python -m experiments.run`; see fpu/commands/run.py."""

from fpu.commands import door

if __name__ == "__main__":
    door.enter("fpu.commands.run")
