"""Commands: the flags and the main function of each command."""
