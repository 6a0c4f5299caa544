"""What privacy costs: the DP engine against the plain gradient, a vmap, and its peers, side by side.

Contestants take turns (timing.py). Times are medians; a ratio is the median over rounds of the ratio within a round.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.suites import timing, vmap_clipping
from fpu import models
from fpu.dp import _bookkeeping, clipping
from fpu.report import words

ROUNDS = 9
BATCH = 100
CLIP = 1.0

# What is compared: label, model, what to change in its config, size, image shape.
_SMALL, _LARGE = (8, 8, 1), (28, 28, 1)
NETWORKS = (
    *((f"{m} dense", m, {}, "tiny", _SMALL) for m in models.MODELS),
    ("vae conv", "vae", {"net": "conv"}, "tiny", _SMALL),
    ("gan conv", "gan", {"net": "conv", "penalty": 0.0}, "tiny", _SMALL),
    ("ddpm conv", "ddpm", {"net": "unet", "width": 32, "multiplicity": 1}, "tiny", _SMALL),
    *((f"{m} dense", m, {}, "default", _LARGE) for m in models.MODELS),
    *((f"{m} mixer", m, {"patch": 4, "width": 96}, "default", _LARGE) for m in models.MODELS),
    ("vae conv", "vae", {"net": "conv"}, "default", _LARGE),
    ("gan conv", "gan", {"net": "conv", "penalty": 0.0}, "default", _LARGE),
    ("ddpm conv", "ddpm", {"net": "unet", "width": 32, "multiplicity": 1}, "default", _LARGE),
)


# Of these: on which the peers run too (dense, mixer, a small convolution), and whose memory is planned.
PEERS, MEMORY = (0, 6, 9, 3), (6, 13)
BATCHES = (64, 256, 1024)


def measure(say: Callable[[str], None]) -> dict:
    """All tables of the engine, JSON-able. Takes minutes."""
    return {
        "device": jax.devices()[0].device_kind,
        "batch": BATCH,
        "rounds": ROUNDS,
        "ratios": [_ratios(say, *network, rounds=ROUNDS) for network in NETWORKS],
        # Five rounds: a peer may need a minute for one step of a convolution on a CPU.
        "peers": [_peers(say, *NETWORKS[i], rounds=min(ROUNDS, 5)) for i in PEERS],
        "memory": _memory(say),
    }


def _problem(name: str, changes: dict, size: str, shape, count: int | None = None):
    """(loss of one example, parameters, examples, keys) of a model with random images."""
    count = count or BATCH
    module = models.load(name)
    model = module.make(dataclasses.replace(module.SIZES[size], **changes), models.Spec(shape, 10))
    params = model.init(jax.random.key(0))

    def loss(private, example, key):
        return model.loss(private, params["public"], example, jnp.int32(0), key)[0]

    images = jax.random.uniform(jax.random.key(1), (count, *shape))
    examples = models.Example(images, jnp.arange(count) % 10)
    return loss, params["private"], examples, jax.random.split(jax.random.key(2), count)


def _plain(loss):
    """The step without privacy: the gradient of the mean loss of a batch."""

    def mean(params, examples, keys):
        return jnp.mean(jax.vmap(lambda e, k: loss(params, e, k))(examples, keys))

    return jax.grad(mean)


def _private(engine, loss):
    def clipped(params, examples, keys):
        valid = jnp.ones(len(keys), bool)
        return engine.clipped_sum(loss, params, examples, valid, keys, CLIP)

    return clipped


def interleaved(contestants: dict[str, Callable], arguments: tuple, rounds: int):
    """({name: seconds of each round}, {name: seconds to compile}); the contestants take turns."""
    programs, compiling = {}, {}
    for name, function in contestants.items():
        start = time.perf_counter()
        programs[name] = jax.jit(function).lower(*arguments).compile()
        compiling[name] = time.perf_counter() - start
        jax.block_until_ready(programs[name](*arguments))
    calls = {name: functools.partial(program, *arguments) for name, program in programs.items()}
    return timing.turns(calls, rounds), compiling


def _ratios(say, label, name, changes, size, shape, rounds):
    loss, params, examples, keys = _problem(name, changes, size, shape)
    contestants = {
        "plain": _plain(loss),
        "fast": _private(clipping, loss),
        "vmap": _private(vmap_clipping, loss),
    }
    seconds, compiling = interleaved(contestants, (params, examples, keys), rounds)
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), (examples, keys))
    rules = list(_bookkeeping.rules(loss, params, *one).values())
    row = {
        "network": label,
        "pixels": shape[0],
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "milliseconds": {k: round(1e3 * float(np.median(v)), 2) for k, v in seconds.items()},
        "fast_over_plain": timing.ratio(seconds["fast"], seconds["plain"]),
        "vmap_over_plain": timing.ratio(seconds["vmap"], seconds["plain"]),
        "compile_seconds": {k: round(v, 2) for k, v in compiling.items()},
        "rules": {rule: rules.count(rule) for rule in sorted(set(rules))},
    }
    say(
        f"{label} {shape[0]}x{shape[0]}: fast/plain {row['fast_over_plain'][0]:.2f}, vmap/plain "
        f"{row['vmap_over_plain'][0]:.2f}"
    )
    return row


def _peers(say, label, name, changes, size, shape, rounds):
    """Examples a second of clip-and-sum (and noise, where a peer cannot leave it out) on one network."""
    from jax_privacy import clipped_grad  # takes seconds to import

    loss, params, examples, keys = _problem(name, changes, size, shape)

    def jax_privacy(params, examples, keys):
        def one(params, inputs):
            return loss(params, *inputs)

        return clipped_grad(one, l2_clip_norm=CLIP, keep_batch_dim=False)(params, (examples, keys))

    def optax_contrib(params, examples, keys):
        gradient = jax.grad(lambda p, e, k: loss(p, e, k))
        tx = optax.contrib.differentially_private_aggregate(CLIP, 0.0, key=jax.random.key(0))
        return tx.update(jax.vmap(gradient, (None, 0, 0))(params, examples, keys), tx.init(params))

    contestants = {
        "plain": _plain(loss),
        "fpu": _private(clipping, loss),
        "jax_privacy": jax_privacy,
        "optax.contrib": optax_contrib,
    }
    seconds, _ = interleaved(contestants, (params, examples, keys), rounds)
    row = {
        "network": label,
        "pixels": shape[0],
        "examples_per_second": {k: round(BATCH / float(np.median(v))) for k, v in seconds.items()},
        "times_faster": {
            k: timing.ratio(seconds[k], seconds["fpu"]) for k in ("jax_privacy", "optax.contrib")
        },
    }
    say(
        f"{label}: fpu is {row['times_faster']['jax_privacy'][0]:.1f} x jax_privacy, "
        f"{row['times_faster']['optax.contrib'][0]:.1f} x optax.contrib"
    )
    return row


def _memory(say):
    """Megabytes of temporary memory that XLA plans for a clipped sum, against the batch."""
    rows = []
    for label, name, changes, size, shape in (NETWORKS[i] for i in MEMORY):
        for count in BATCHES:
            loss, params, examples, keys = _problem(name, changes, size, shape, count)
            row = {"network": label, "pixels": shape[0], "batch": count}
            for how, engine, microbatch in (
                ("fast", clipping, None),
                ("fast, microbatch 64", clipping, 64),
                ("vmap", vmap_clipping, None),
            ):
                clipped = functools.partial(
                    engine.clipped_sum, loss, clip=CLIP, microbatch=microbatch
                )
                valid = jnp.ones(count, bool)
                shapes = jax.eval_shape(lambda *a: a, params, examples, valid, keys)
                plan: Any = jax.jit(clipped).lower(*shapes).compile().memory_analysis()
                row[how] = round(plan.temp_size_in_bytes / 2**20, 1)
            rows.append(row)
            say(f"{label}, batch {count}: {row['fast']} MB, vmap {row['vmap']} MB")
    return rows


def table(result: dict) -> str:
    """The tables in Markdown."""
    about = (
        f"Device: {result['device']}; batch {result['batch']}; medians of {result['rounds']} interleaved rounds, "
        "quartiles in brackets."
    )
    return "\n\n".join([about, _ratio_table(result), _peer_table(result), _memory_table(result)])


def _ratio_table(result: dict) -> str:
    header = ["network", "pixels", "parameters", "plain ms", "private / plain", "vmap / plain"]
    header += ["compile s (plain, private, vmap)", "rules"]
    rows = [
        [
            row["network"],
            str(row["pixels"]),
            f"{row['parameters']:,}",
            f"{row['milliseconds']['plain']:.1f}",
            timing.spread(row["fast_over_plain"]),
            timing.spread(row["vmap_over_plain"]),
            ", ".join(f"{seconds:.1f}" for seconds in row["compile_seconds"].values()),
            ", ".join(f"{count} {rule}" for rule, count in row["rules"].items()),
        ]
        for row in result["ratios"]
    ]
    return words.grid(header, rows)


def _peer_table(result: dict) -> str:
    header = ["network", "pixels", "plain ex/s", "fpu ex/s"]
    header += ["fpu over jax_privacy", "fpu over optax.contrib"]
    rows = [
        [
            row["network"],
            str(row["pixels"]),
            *(f"{row['examples_per_second'][name]:,}" for name in ("plain", "fpu")),
            *map(timing.spread, row["times_faster"].values()),
        ]
        for row in result["peers"]
    ]
    return words.grid(header, rows)


def _memory_table(result: dict) -> str:
    ways = [key for key in result["memory"][0] if key not in ("network", "pixels", "batch")]
    rows = [
        [row["network"], f"{row['batch']:,}", *(str(row[way]) for way in ways)]
        for row in result["memory"]
    ]
    return words.grid(["network", "batch", *(f"{way} MB" for way in ways)], rows)
