"""Empirical privacy: attacks that a released generator or data set must withstand."""
