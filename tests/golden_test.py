"""Numbers of two training steps under fixed keys. A change that moves them is a change of the mechanism or a model.

If it is meant, print the new ones:  uv run python tests/golden_test.py
"""

import jax
import jax.numpy as jnp
import pytest
import tiny

from fpu.dp import noise

pytestmark = pytest.mark.usefixtures("quick_compiles")

GOLDEN = {
    "vae": {
        "loss": 53.45552,
        "private": 16.74345,
        "public": 0.0,
        "average": 16.74003,
        "contrast": 0.2021841,
    },
    "gan": {
        "loss": 14.22522,
        "private": 9.372534,
        "public": 8.501866,
        "average": 9.367403,
        "contrast": 0.06084226,
    },
    "ddpm": {
        "loss": 46.55209,
        "private": 8.42518,
        "public": 0.0,
        "average": 8.420635,
        "contrast": 0.2204758,
    },
    "noise": [-0.1687461, 2.822046, 1.260963],
}


def numbers(name):
    state = tiny.fitted(name)[2]
    images = tiny.draw(name)(state.ema, jax.random.key(4), jnp.arange(3))
    return {
        "loss": float(state.diagnostics.loss),
        "private": tiny.norm(state.params["private"]),
        "public": tiny.norm(state.params["public"]),
        "average": tiny.norm(state.ema["private"]),
        "contrast": float(jnp.abs(images - 0.5).mean()),
    }


@pytest.mark.parametrize("name", tiny.NAMES)
def test_two_steps_are_what_they_were(name):
    assert numbers(name) == pytest.approx(GOLDEN[name], rel=1e-4)


def test_the_noise_of_a_key_is_what_it_was():
    noisy = noise.gaussian({"a": jnp.zeros(2), "b": jnp.zeros(())}, jax.random.key(5), 2.0)
    assert [*noisy["a"].tolist(), float(noisy["b"])] == pytest.approx(GOLDEN["noise"], rel=1e-5)


if __name__ == "__main__":
    draw = noise.gaussian({"a": jnp.zeros(2), "b": jnp.zeros(())}, jax.random.key(5), 2.0)
    print(
        "GOLDEN =",
        {n: numbers(n) for n in tiny.NAMES} | {"noise": [*draw["a"].tolist(), float(draw["b"])]},
    )
