"""Pipeline: one run, from its settings to its record and report."""
