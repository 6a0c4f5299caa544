"""What every refusal of bad input is held to."""

import contextlib

import pytest

from fpu import InputError


@contextlib.contextmanager
def refused(*words, match=None):
    """What is done here is refused, in one line with these words, in which the pattern `match` is found."""
    with pytest.raises(InputError, match=match) as told:
        yield
    line = str(told.value)
    assert "\n" not in line
    for word in words:
        assert word in line
