"""Utility: what a classifier trained on synthetic images is worth on real ones."""
