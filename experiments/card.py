"""The command `python -m experiments.card`; see fpu/commands/card.py."""

from fpu.commands import door

if __name__ == "__main__":
    door.enter("fpu.commands.card")
