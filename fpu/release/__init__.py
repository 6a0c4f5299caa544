"""Release: the folder that may be handed out, the scan of it, its texts, the generator in it, other image formats."""
