"""What every refusal of bad input is held to."""

import contextlib

import pytest

from fpu import InputError


@contextlib.contextmanager
def refused(*words):
    """What is done here is refused, in one line with these words."""
    with pytest.raises(InputError) as told:
        yield
    line = str(told.value)
    assert "\n" not in line
    for word in words:
        assert word in line
