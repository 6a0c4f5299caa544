"""The command `python -m experiments.prior`; see fpu/commands/prior.py."""

from fpu.commands import door

if __name__ == "__main__":
    door.enter("fpu.commands.prior")
