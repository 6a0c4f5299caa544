"""Training across two processes over the loopback interface, two devices each.

Not collected by itself: distributed_test.py runs it in both processes.
"""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import tiny
from guarantees_test import duet

from fpu import InputError, distributed, training

ME = int(os.environ["PROCESS"])
distributed.initialize(os.environ["COORDINATOR"], ME, 2)

pytestmark = pytest.mark.usefixtures("quick_compiles")

DUET = duet()


def cells(secret):
    """Two cells."""
    one = tiny.cells([[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0]])
    return one._replace(secret=jax.vmap(jax.random.fold_in, (None, 0))(secret, jnp.arange(2)))


def fit(cells, **arguments):
    return training.fit(DUET, tiny.PLAN, tiny.RECIPE, tiny.pool(), cells, **arguments)


def test_both_see_all_devices():
    assert (jax.process_count(), jax.process_index()) == (2, ME)
    assert (jax.device_count(), jax.local_device_count()) == (4, 2)


@pytest.mark.parametrize("name", ["ddpm"])
def test_a_training_is_that_of_one_device(name):
    states = []

    def observe(number, step, state):
        if step in reference.STEPS:
            reference.check(name, step, state)
            states.append(step)

    tiny.fit(name, mesh=distributed.mesh(), observe=observe)
    assert states == [1, 4]


def test_each_process_has_a_secret_key_and_that_of_the_first_is_used():
    mine = jax.random.key(100 + ME)
    with pytest.raises(InputError, match=r"cells\.secret: differs between processes") as told:
        fit(cells(mine), mesh=distributed.mesh(2))
    words = jax.random.key_data(cells(mine).secret).ravel().tolist()
    assert not any(str(word) in str(told.value) for word in words)

    shared = distributed.one_key(mine)
    assert jax.random.key_data(shared).tolist() == [0, 100]
    # Cell 0 is trained by process 0, cell 1 by process 1, the examples of each on its two devices.
    ends = fit(cells(shared), mesh=distributed.mesh(2))
    alone = fit(cells(shared))
    for leaf, wanted in zip(jax.tree.leaves(ends), tiny.leaves(alone), strict=True):
        assert leaf.shape == wanted.shape
        for shard in leaf.addressable_shards:
            assert shard.data.shape[0] == 1
            np.testing.assert_allclose(shard.data, wanted[ME : ME + 1], rtol=1e-4, atol=1e-5)


def test_processes_that_disagree_on_anything_else_are_told_of_what():
    for change in ({"slice_size": 1 + ME}, {"restore": lambda number, like: (None, like)[ME]}):
        with pytest.raises(InputError, match=r"(slice_size|restored_step): differs"):
            fit(cells(jax.random.key(0)), mesh=distributed.mesh(), **change)
