"""The command `python -m experiments.evaluate`; see fpu/commands/evaluate.py."""

from fpu.commands import door, evaluate

if __name__ == "__main__":
    door.enter(evaluate)
