"""Release: the pack that may be handed out, its scan, and the generator in it."""
