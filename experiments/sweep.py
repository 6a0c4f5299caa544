"""The command `python -m experiments.sweep`; see fpu/commands/sweep.py."""

from fpu.commands import door, sweep

if __name__ == "__main__":
    door.enter(sweep)
