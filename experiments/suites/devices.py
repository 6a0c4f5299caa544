"""What several devices gain: the steps of one training, and draws from its model, on 1, 2, 4 ... of them.

The devices take turns, so that whatever else the machine does falls on all of them; a gain is the median over rounds
of the ratio within a round. Without an accelerator the devices are fake and share the same cores: there is nothing to
gain, and what is lost is the price of splitting.
"""

import contextlib
import dataclasses
import os
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec

from experiments.suites import drawing
from fpu import distributed, models, training
from fpu.dp import sampling
from fpu.dp.plan import DPSGD, Plan

FAKE, ROUNDS, STEPS = 4, 5, 5
N, BATCH, DRAWS = 10_000, {"cpu": 256}, 1000  # an accelerator is given a batch of 4,096
NETWORKS = (  # label, model, size, what to change, pixels a side
    ("vae dense", "vae", "default", {}, 28),
    ("ddpm mixer", "ddpm", "default", {"patch": 4, "width": 96}, 28),
    ("vae conv", "vae", "tiny", {"net": "conv"}, 8),
)


def measure(say) -> dict:
    """{'device', 'fake', 'batch', 'rows'}, JSON-able. Takes minutes."""
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
        for what, contestants in (
            ("step", {k: _steps(model, spec, batch, devices[:k]) for k in counts}),
            ("draw", {k: _draws(model, devices[:k]) for k in counts}),
        ):
            seconds = {k: [] for k in counts}
            for _ in range(ROUNDS):
                for k, act in contestants.items():
                    begun = time.perf_counter()
                    act()
                    seconds[k].append(time.perf_counter() - begun)
            gains = {str(k): _gain(seconds[1], seconds[k]) for k in counts}
            rows.append({"network": label, "pixels": pixels, "what": what, "gain": gains})
            one = float(np.median(seconds[1])) / (STEPS if what == "step" else 1)
            rows[-1]["milliseconds_of_one"] = round(1e3 * one, 2)
            say(f"{label}, {what}: {gains}")
    found = {"device": devices[0].device_kind, "fake": fake, "batch": batch, "counts": counts}
    return found | {"draws": DRAWS, "rounds": ROUNDS, "rows": rows}


def _gain(one, several):
    """Median and quartiles over rounds of how many times faster several devices are."""
    ratios = np.asarray(one) / np.asarray(several)
    return [round(float(x), 2) for x in np.quantile(ratios, (0.5, 0.25, 0.75))]


def _steps(model, spec, batch, devices):
    """() -> after STEPS further steps of DP-SGD on these devices; compiled, and the first steps done."""
    numbers = jnp.arange(N)
    images = jnp.zeros((N, *spec.shape), jnp.uint8)
    pool = training.Pool(images, numbers % spec.n_classes, numbers[:, None], jnp.ones_like(numbers))
    one, keys = jnp.float32(1), jax.random.split(jax.random.key(0))
    cell = training.Cell(jnp.ones(N, bool), one, one, *keys)
    plan = Plan(1e-5, (DPSGD(N, batch / N, 10**6, 1.0, sampling.capacity(N, batch / N)),))
    mesh = None
    if len(devices) > 1:
        axes = ("cells", "examples"), (AxisType.Auto,) * 2
        mesh = jax.make_mesh((1, len(devices)), *axes, devices=devices)
        pool, cell = (distributed.place(tree, mesh, PartitionSpec()) for tree in (pool, cell))
    made = training.compiled(model, plan, training.Recipe(), False, mesh)
    state = made.first(cell, None)

    def act():
        nonlocal state
        stop = int(state.step) + STEPS
        state = jax.block_until_ready(made.run(pool, cell, state, jnp.int32(stop)))

    act()
    return act


def _draws(model, devices):
    """() -> after DRAWS images have been drawn on these devices; compiled."""
    params, sample = model.init(jax.random.key(0)), jax.jit(model.sample)
    labels = np.arange(DRAWS) % 10

    def act():
        fixed = params, jax.random.key(1)
        jax.block_until_ready(distributed.over_rows(sample, fixed, labels, devices=devices))

    act()
    return act


def table(result: dict) -> str:
    """How many times faster several devices are than one."""
    counts = [str(count) for count in result["counts"]]
    kind = f"{result['counts'][-1]} fake devices on the cores of one" if result["fake"] else "each"
    body = [
        [
            f"{row['network']}, {row['pixels']} pixels, {row['what']}",
            f"{row['milliseconds_of_one']:,.1f}",
            *("{:.2f} [{:.2f}, {:.2f}]".format(*row["gain"][c]) for c in counts[1:]),
        ]
        for row in result["rows"]
    ]
    header = ["", "ms on one", *(f"{c} devices" for c in counts[1:])]
    return (
        f"Device: {result['device']} ({kind}). Times faster than one device, median and quartiles of "
        f"{result['rounds']} rounds: a step of DP-SGD at a mean batch of {result['batch']:,} split over the devices, "
        f"and {result['draws']:,} draws.\n\n" + drawing.grid(header, body) + "\n"
    )
