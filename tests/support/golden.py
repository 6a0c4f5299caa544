"""Numbers of two training steps under fixed keys, in tests/golden.json. A change that moves them changes the mechanism
or a model.

A model without an entry is skipped. To add what is missing, or to renew an entry after deleting it:

    PYTHONPATH=. uv run python tests/support/golden.py
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import tiny

from fpu.dp import noise

FILE = pathlib.Path(__file__).parents[1] / "golden.json"
COMMAND = "PYTHONPATH=. uv run python tests/support/golden.py"
NUMBERS = json.loads(FILE.read_text(encoding="utf-8"))


def of_model(name):
    state = tiny.fitted(name)[2]
    images = tiny.draw(name)(state.ema, jax.random.key(4), jnp.arange(3))
    norms = {name: tiny.norm(state.params[name]) for name in ("private", "public")}
    norms["average"] = tiny.norm(state.ema["private"])
    contrast = float(jnp.abs(images - 0.5).mean())
    return {"loss": float(state.diagnostics.loss), **norms, "contrast": contrast}


def of_noise():
    noisy = noise.gaussian({"a": jnp.zeros(2), "b": jnp.zeros(())}, jax.random.key(5), 2.0)
    return [*noisy["a"].tolist(), float(noisy["b"])]


if __name__ == "__main__":
    new = {name: of_model(name) for name in tiny.NAMES if name not in NUMBERS}
    if "noise" not in NUMBERS:
        new["noise"] = of_noise()
    FILE.write_text(json.dumps(NUMBERS | new, indent=2) + "\n", encoding="utf-8")
    print("added to golden.json:", ", ".join(new) or "nothing")
