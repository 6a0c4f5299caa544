"""Which values a setting of --set may have. Each Config and Recipe says so in the annotation of a field."""

from typing import Any

from fpu import InputError, models, nearest


def _problem(config: Any, value: Any, limit: tuple) -> str | None:
    """What is wrong with a value, and the nearest that is right; None where it fits its limit.

    A limit is a tuple of words, or the least and the most, which may be another field's name.
    """
    if isinstance(value, str):
        return None if value in limit else f"is unknown: {nearest(value, limit)}"
    least, most = limit
    bound = getattr(config, most) if isinstance(most, str) else most
    if least <= value <= bound:
        return None
    name = f"{most} = {bound:,}" if isinstance(most, str) else f"{bound:,}"
    end = least if not value > bound else bound  # nan: the least
    return f"must be {least:,} to {name}; the nearest is {end}"


def check(part: str, config: Any) -> None:
    """InputError for the first field of a model's Config or a Recipe that is out of its limits. part: model, recipe."""
    for field, limit in models.limits(config).items():
        value = getattr(config, field)
        if wrong := _problem(config, value, limit):
            raise InputError(f"--set={part}.{field}={value}: {wrong}")
