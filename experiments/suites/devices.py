"""How much faster several devices are: steps of one training, and draws from its model, on 1, 2, 4 ... of them.

They take turns (timing.py). A gain is the median over rounds of the ratio within a round. Without an accelerator the
devices are fake and share the same cores: nothing can be gained, and what is lost is the cost of splitting.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec

from experiments.suites import timing
from fpu import distributed, models, training
from fpu.dp.plan import DPSGD, Plan, capacity
from fpu.pipeline import cost
from fpu.report import words

FAKE, ROUNDS, STEPS = 4, 5, 5
N, BATCH, DRAWS = 10_000, {"cpu": 256}, 1000  # on an accelerator the batch is 4,096
NETWORKS = (  # label, model, size, changes of the model's config, pixels a side
    ("vae dense", "vae", "default", {}, 28),
    ("ddpm mixer", "ddpm", "default", {"patch": 4, "width": 96}, 28),
    ("vae conv", "vae", "tiny", {"net": "conv"}, 8),
)


def measure(say: Callable[[str], None]) -> dict:
    """{'device', 'fake', 'batch', 'counts', 'draws', 'rounds', 'rows'}, JSON-able. Takes minutes."""
    os.environ.setdefault("NPROC", "16")  # threads: devices that wait for each other need one each
    with contextlib.suppress(RuntimeError):  # jax has looked at its devices already
        jax.config.update("jax_num_cpu_devices", FAKE)
    devices, fake = jax.devices(), jax.default_backend() == "cpu"
    counts = [1 << i for i in range(len(devices).bit_length())]
    batch = BATCH.get(jax.default_backend(), 4096)
    rows = []
    for label, name, size, changes, pixels in NETWORKS:
        module, spec = models.load(name), models.Spec((pixels, pixels, 1), 10)
        model = module.make(dataclasses.replace(module.SIZES[size], **changes), spec)
        steps = {k: _steps(model, spec, batch, devices[:k]) for k in counts}
        draws = {k: _draws(model, devices[:k]) for k in counts}
        for what, contestants, repeats in (("step", steps, STEPS), ("draw", draws, 1)):
            seconds = timing.turns(contestants, ROUNDS)
            gains = {str(k): timing.ratio(seconds[1], each) for k, each in seconds.items()}
            row = {"network": label, "pixels": pixels, "what": what, "gain": gains}
            one = float(np.median(seconds[1]))
            rows.append(row | {"milliseconds_of_one": round(1e3 * one / repeats, 2)})
            say(f"{label}, {what}: {gains}")
    facts = {"device": devices[0].device_kind, "fake": fake, "batch": batch, "counts": counts}
    return facts | {"draws": DRAWS, "rounds": ROUNDS, "rows": rows}


def _steps(
    model: models.Model, spec: models.Spec, batch: int, devices: Sequence[Any]
) -> Callable[[], None]:
    """A call does STEPS further steps of DP-SGD on these devices. Compiled, and the first steps done."""
    pool = cost.blank(N, spec)
    one, keys = jnp.float32(1), jax.random.split(jax.random.key(0))
    cell = training.Cell(jnp.ones(N, bool), one, one, *keys)
    plan = Plan(1e-5, (DPSGD(N, batch / N, 10**6, 1.0, capacity(N, batch / N, 10**6, 1e-5)),))
    mesh = None
    if len(devices) > 1:
        axes = ("cells", "examples"), (AxisType.Auto,) * 2
        mesh = jax.make_mesh((1, len(devices)), *axes, devices=devices)
        pool, cell = (distributed.place(tree, mesh, PartitionSpec()) for tree in (pool, cell))
    program = training.compiled(model, plan, training.Recipe(), False, mesh)
    state = program.first(cell, None)

    def act() -> None:
        nonlocal state
        stop = int(state.step) + STEPS
        state = jax.block_until_ready(program.run(pool, cell, state, jnp.int32(stop)))

    act()
    return act


def _draws(model: models.Model, devices: Sequence[Any]) -> Callable[[], Any]:
    """A call draws DRAWS images on these devices. Compiled."""
    params, labels = model.init(jax.random.key(0)), np.arange(DRAWS) % 10
    sample = jax.jit(lambda params, key, labels: model.sample(params, key, labels, ()))

    def act() -> jax.Array:
        arguments = params, jax.random.key(1)
        return distributed.map_rows(sample, arguments, labels, devices=devices)

    jax.block_until_ready(act())
    return act


def table(result: dict) -> str:
    """How many times faster several devices are than one."""
    counts = [str(count) for count in result["counts"]]
    kind = f"{result['counts'][-1]} fake devices on the cores of one" if result["fake"] else "each"
    rows = [
        [
            f"{row['network']}, {row['pixels']} pixels, {row['what']}",
            f"{row['milliseconds_of_one']:,.1f}",
            *(timing.spread(row["gain"][c]) for c in counts[1:]),
        ]
        for row in result["rows"]
    ]
    header = ["", "ms on one", *(f"{c} devices" for c in counts[1:])]
    return (
        f"Device: {result['device']} ({kind}). Times faster than one device, median and quartiles of "
        f"{result['rounds']} rounds: a step of DP-SGD at a mean batch of {result['batch']:,} split over the devices, "
        f"and {result['draws']:,} draws.\n\n{words.grid(header, rows)}"
    )
