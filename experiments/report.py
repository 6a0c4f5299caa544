"""The command `python -m experiments.report`; see fpu/commands/report.py."""

from fpu.commands import door, report

if __name__ == "__main__":
    door.enter(report)
