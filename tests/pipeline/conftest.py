"""Fixtures of the tests of whole runs."""

from quick_run import quick

__all__ = ["quick"]
