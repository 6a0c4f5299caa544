"""Numbers of a guarantee in print: rounded up, never down."""

import decimal
import math


def rounded_up(x: float, digits: int) -> str:
    """x >= 0 to `digits` significant digits, upwards, as short as `:g` writes it: 8.3333e-05 to "8.34e-05".

    What repr(x) shows counts as exact: rounded_up(1e-05, 3) is "1e-05", though the float is a little more.
    """
    return _rounded(x, digits, decimal.ROUND_CEILING)


def rounded_down(x: float, digits: int) -> str:
    """The same downwards: of a noise multiplier, of which less is worse."""
    return _rounded(x, digits, decimal.ROUND_FLOOR)


def _rounded(x: float, digits: int, rounding: str) -> str:
    if not math.isfinite(x):
        return str(float(x))
    exact = decimal.Context(prec=digits, rounding=rounding).create_decimal(repr(float(x)))
    text = f"{float(exact):.{digits}g}"
    # A subnormal float has fewer digits.
    return text if decimal.Decimal(text) == exact else str(exact)
