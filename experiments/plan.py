"""The command `python -m experiments.plan`; see fpu/commands/plan.py."""

from fpu.commands import door

if __name__ == "__main__":
    door.enter("fpu.commands.plan")
