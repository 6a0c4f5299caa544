"""The command `python -m experiments.sweep`; see fpu/commands/sweep.py."""

from fpu.commands import door

if __name__ == "__main__":
    door.enter("fpu.commands.sweep")
