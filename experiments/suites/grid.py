"""What a grid gains from cells side by side in one program, and how long the paper's grid would take here.

Steps on made-up images, timed one after the other in one process. On a CPU the smaller counts alone: there
a step of many cells takes as long as its cells.
"""

import dataclasses

import jax

from experiments.suites import drawing
from fpu import models, training
from fpu.dp import sampling
from fpu.dp.plan import DPSGD
from fpu.pipeline import cost, defaults

CALLS = 8
COUNTS = {"cpu": (1, 4, 16), "gpu": (1, 4, 16, 64), "tpu": (1, 4, 16, 64)}
N, BATCH = 100, 32
# Operations a second at most, in the precision that jax multiplies float32 with unless told otherwise (TF32 without
# sparsity on GPUs, bfloat16 on TPUs), from the makers' data sheets.
PEAKS = {
    "NVIDIA A100-SXM4-80GB": 156e12,
    "NVIDIA H100 80GB HBM3": 494e12,
    "NVIDIA H200": 494e12,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
}
NETWORKS = (  # label, size, what to change, pixels a side
    ("dense", "tiny", {}, 8),
    ("dense", "default", {}, 28),
    ("mixer", "default", {"patch": 4, "width": 96}, 28),
)
# The paper's grid: noises, subsets; and trainings of a run: its own, ten worlds without a class, ten with one image.
NOISES, SEEDS, TRAININGS = 9, 3, 21


def measure(say) -> dict:
    """{'device', 'counts', 'rows', 'paper'}, JSON-able. Takes minutes."""
    counts = COUNTS.get(jax.default_backend(), COUNTS["cpu"])
    rows = []
    for label, size, changes, pixels in NETWORKS:
        for name in models.MODELS:
            module = models.load(name)
            spec = models.Spec((pixels, pixels, 1), 10)
            model = module.make(dataclasses.replace(module.SIZES[size], **changes), spec)
            sgd = DPSGD(N, BATCH / N, 10_000, 0.0, sampling.capacity(N, BATCH / N))
            priced = {
                count: cost.price(model, training.Recipe(), spec, sgd, count, CALLS)
                for count in counts
            }
            speed = {str(k): round(k / each.seconds, 1) for k, each in priced.items()}
            memory = {str(k): round(each.bytes / 2**20, 1) for k, each in priced.items()}
            rows.append({"network": f"{name} {label}", "pixels": pixels})
            rows[-1] |= {"cell_steps_per_second": speed, "megabytes": memory}
            reached = max(each.flops / each.seconds for each in priced.values())
            rows[-1]["gigaflops_per_second"] = round(reached / 1e9, 2)
            say(f"{rows[-1]['network']}, {pixels} pixels: {speed} cell-steps/s")
    device = jax.devices()[0].device_kind
    found = {"device": device, "n": N, "batch": BATCH, "counts": list(counts), "rows": rows}
    found["peak_gigaflops_per_second"] = PEAKS[device] / 1e9 if device in PEAKS else None
    return found | {"paper": [_paper(say, name, counts) for name in models.MODELS]}


def _paper(say, name: str, counts) -> dict:
    """Hours of the paper's grid for one model, at the best of two counts of cells."""
    module, spec = models.load(name), models.Spec((28, 28, 1), 10)
    model = module.make(module.SIZES["paper"], spec)
    steps, rate, recipe = defaults.defaults("paper", name, N, private=True)
    sgd = DPSGD(N, rate, steps, 0.0, sampling.capacity(N, rate))
    # A network of this size fills a CPU alone, and one step of it takes seconds.
    tried = counts[:1] if counts == COUNTS["cpu"] else counts[:2]
    seconds = {
        str(count): cost.price(model, recipe, spec, sgd, count, 3).seconds / count
        for count in tried
    }
    trainings = NOISES * SEEDS * TRAININGS
    hours = min(seconds.values()) * steps * trainings / 3600
    say(f"{name}: the paper's grid would train for {hours:,.0f} hours here")
    row = {"model": name, "steps": steps, "trainings": trainings, "hours": round(hours, 1)}
    return row | {"seconds_per_cell_step": {k: round(v, 5) for k, v in seconds.items()}}


def table(result: dict) -> str:
    """Cells x steps a second by count, with what the largest count gains; and the paper's grid."""
    counts, peak = [str(count) for count in result["counts"]], result["peak_gigaflops_per_second"]
    body = []
    for row in result["rows"]:
        speed = row["cell_steps_per_second"]
        gain = max(speed.values()) / speed["1"]
        body.append(
            [
                row["network"],
                str(row["pixels"]),
                *(f"{speed[c]:,.0f}" for c in counts),
                f"{gain:.1f}",
                f"{row['megabytes'][counts[-1]]:,.0f}",
                f"{row['gigaflops_per_second']:,.0f}",
                f"{100 * row['gigaflops_per_second'] / peak:.1f}" if peak else "–",
            ]
        )
    header = [
        "network",
        "pixels",
        *(f"{c} cells" for c in counts),
        "best / 1",
        f"MB at {counts[-1]}",
        "Gflop/s at best",
        "% of peak",
    ]
    paper = [
        [r["model"], f"{r['steps']:,}", f"{r['trainings']:,}", f"{r['hours']:,.0f}"]
        for r in result["paper"]
    ]
    return "\n\n".join(
        [
            f"Device: {result['device']}. Cells x steps a second of DP-SGD, n = {result['n']}, mean batch "
            f"{result['batch']}, each cell with images, noise and keys of its own.",
            drawing.grid(header, body),
            f"The paper's grid on these data ({NOISES} noises, {SEEDS} subsets, {TRAININGS} trainings for each "
            "run's empirical epsilon), from a measured step of its networks:",
            drawing.grid(["model", "steps", "trainings", "hours"], paper),
        ]
    )
