"""`python -m fpu`: the command `fpu` where the script is not on the path."""

from fpu.commands.console import main

if __name__ == "__main__":
    main()
