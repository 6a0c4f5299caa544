"""Numbers of a guarantee in print: rounded up, never down."""

import decimal
import math


def rounded_up(x: float, digits: int) -> str:
    """x >= 0 to `digits` significant digits, upwards, as short as `:g` writes it: 8.3333e-05 to "8.34e-05".

    What repr(x) shows counts as exact: rounded_up(1e-05, 3) is "1e-05", though the float is a little more.
    """
    if not math.isfinite(x):
        return str(float(x))
    context = decimal.Context(prec=digits, rounding=decimal.ROUND_CEILING)
    return f"{float(context.create_decimal(repr(float(x)))):.{digits}g}"
