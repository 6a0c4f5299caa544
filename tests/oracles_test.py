"""fpu/fidelity against other people's code: the numbers of tests/support/oracles/fidelity.py."""

import json
import pathlib

import numpy as np
import pytest
from clouds import everywhere
from oracles import waves

from fpu import fidelity

FROZEN = json.loads(pathlib.Path(waves.__file__).with_name("fidelity.json").read_text())


@pytest.mark.parametrize(
    ("pair", "name"), [(p, n) for p, frozen in FROZEN.items() for n in frozen if n != "vendi"]
)
def test_a_metric_is_that_of_the_reference_library(pair, name):
    real, fake = waves.pair(*waves.PAIRS[pair])
    found = everywhere(getattr(fidelity, name), real, fake)
    assert found == pytest.approx(FROZEN[pair][name], rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("pair", FROZEN)
def test_vendi_is_that_of_the_reference_library_class_by_class(pair):
    real, fake = waves.pair(*waves.PAIRS[pair])
    labels = np.resize(waves.LABELS, len(fake))
    found = everywhere(fidelity.vendi, real, fake, labels)
    assert found == pytest.approx(np.mean(FROZEN[pair]["vendi"]), rel=1e-10)
    own = fake[labels == 0]
    found = everywhere(fidelity.vendi, own, own)
    assert found == pytest.approx(FROZEN[pair]["vendi"][0], rel=1e-10)
