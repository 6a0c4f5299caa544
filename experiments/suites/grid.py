"""How much faster a grid of runs is when cells train side by side in one program, and how long the paper's grid takes.

Steps on made-up images, timed one after the other in one process. On a CPU only the smaller counts are timed: there a
step of many cells takes as long as its cells one by one.
"""

import dataclasses
from collections.abc import Callable

import jax

from fpu import models, training
from fpu.dp.plan import DPSGD, capacity
from fpu.pipeline import cost, defaults
from fpu.report import words

CALLS = 8
COUNTS = {"cpu": (1, 4, 16), "gpu": (1, 4, 16, 64), "tpu": (1, 4, 16, 64)}
N, BATCH = 100, 32
# Operations a second at most, in the precision that jax multiplies float32 with by default (TF32 without sparsity on
# GPUs, bfloat16 on TPUs), from the makers' data sheets.
PEAKS = {
    "NVIDIA A100-SXM4-80GB": 156e12,
    "NVIDIA H100 80GB HBM3": 494e12,
    "NVIDIA H200": 494e12,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
}
NETWORKS = (  # label, size, changes of the model's config, pixels a side
    ("dense", "tiny", {}, 8),
    ("dense", "default", {}, 28),
    ("mixer", "default", {"patch": 4, "width": 96}, 28),
)
# The paper's grid: noises, subsets, and trainings of a run: its own, ten worlds without a class, ten with one image.
NOISES, SEEDS, TRAININGS = 9, 3, 21


def measure(say: Callable[[str], None]) -> dict:
    """{'device', 'counts', 'rows', 'paper', ...}, JSON-able. Takes minutes."""
    backend = jax.default_backend()
    counts = COUNTS.get(backend, COUNTS["cpu"])
    rows = [_row(say, name, *network, counts) for network in NETWORKS for name in models.MODELS]
    # A network of the paper's size keeps all cores of a CPU busy alone, and one step of it takes seconds.
    few = counts[:2] if backend in ("gpu", "tpu") else counts[:1]
    device = jax.devices()[0].device_kind
    return {
        "device": device,
        "n": N,
        "batch": BATCH,
        "counts": list(counts),
        "rows": rows,
        "peak_gigaflops_per_second": PEAKS[device] / 1e9 if device in PEAKS else None,
        "paper": [_paper(say, name, few) for name in models.MODELS],
    }


def _row(
    say: Callable[[str], None],
    name: str,
    label: str,
    size: str,
    changes: dict,
    pixels: int,
    counts: tuple[int, ...],
) -> dict:
    """Speed and memory of one network by count of cells."""
    module, spec = models.load(name), models.Spec((pixels, pixels, 1), 10)
    model = module.make(dataclasses.replace(module.SIZES[size], **changes), spec)
    sgd = DPSGD(N, BATCH / N, 10_000, 0.0, capacity(N, BATCH / N, 10_000, 1e-5))
    prices = {k: cost.price(model, training.Recipe(), spec, sgd, k, CALLS) for k in counts}
    row = {
        "network": f"{name} {label}",
        "pixels": pixels,
        "cell_steps_per_second": {str(k): round(k / p.seconds, 1) for k, p in prices.items()},
        "megabytes": {str(k): round(p.bytes / 2**20, 1) for k, p in prices.items()},
        "gigaflops_per_second": round(max(p.flops / p.seconds for p in prices.values()) / 1e9, 2),
    }
    say(f"{row['network']}, {pixels} pixels: {row['cell_steps_per_second']} cell-steps/s")
    return row


def _paper(say: Callable[[str], None], name: str, counts: tuple[int, ...]) -> dict:
    """Hours of the paper's grid for one model, at the best of these counts of cells."""
    module, spec = models.load(name), models.Spec((28, 28, 1), 10)
    model = module.make(module.SIZES["paper"], spec)
    steps, rate, recipe = defaults.defaults("paper", name, N, private=True)
    sgd = DPSGD(N, rate, steps, 0.0, capacity(N, rate, steps, 1e-5))
    seconds = {
        str(count): cost.price(model, recipe, spec, sgd, count, 3).seconds / count
        for count in counts
    }
    trainings = NOISES * SEEDS * TRAININGS
    hours = min(seconds.values()) * steps * trainings / 3600
    say(f"{name}: the paper's grid would train for {hours:,.0f} hours here")
    row = {"model": name, "steps": steps, "trainings": trainings, "hours": round(hours, 1)}
    return row | {"seconds_per_cell_step": {k: round(v, 5) for k, v in seconds.items()}}


def table(result: dict) -> str:
    """Cells x steps a second by count, with the gain over one cell; and the paper's grid."""
    counts, peak = [str(count) for count in result["counts"]], result["peak_gigaflops_per_second"]
    header = ["network", "pixels", *(f"{count} cells" for count in counts), "best / 1"]
    header += [f"MB at {counts[-1]}", "Gflop/s at best", "% of peak"]
    rows = []
    for row in result["rows"]:
        speed, flops = row["cell_steps_per_second"], row["gigaflops_per_second"]
        cells = [row["network"], str(row["pixels"]), *(f"{speed[count]:,.0f}" for count in counts)]
        cells += [f"{max(speed.values()) / speed['1']:.1f}", f"{row['megabytes'][counts[-1]]:,.0f}"]
        rows.append([*cells, f"{flops:,.0f}", f"{100 * flops / peak:.1f}" if peak else "–"])
    paper = [
        [r["model"], f"{r['steps']:,}", f"{r['trainings']:,}", f"{r['hours']:,.0f}"]
        for r in result["paper"]
    ]
    return "\n\n".join(
        [
            f"Device: {result['device']}. Cells x steps a second of DP-SGD, n = {result['n']}, mean batch "
            f"{result['batch']}, each cell with images, noise and keys of its own.",
            words.grid(header, rows),
            f"The paper's grid on these data ({NOISES} noises, {SEEDS} subsets, {TRAININGS} trainings for each "
            "run's empirical epsilon), from a measured step of its networks:",
            words.grid(["model", "steps", "trainings", "hours"], paper),
        ]
    )
