"""The mechanism: Poisson sampling, per-example clipping, Gaussian noise, accounting.

Nothing here imports the rest of fpu: it is a library in its own right for any one-example loss.
"""
