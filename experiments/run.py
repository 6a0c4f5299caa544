"""The command `python -m experiments.run`; see fpu/commands/run.py."""

from fpu.commands import door, run

if __name__ == "__main__":
    door.enter(run)
