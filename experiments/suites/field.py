"""The field's protocol alone: its classifier trained on a data set's train split and tested on its test split.

Of real images that is the ceiling: no synthetic set can be expected to be worth more. An .npz whose train images are
synthetic is judged by --dataset=FILE.npz. Accuracy and macro AUC are means over three seeds; the interval resamples
test images and seeds. MNIST and the files of MedMNIST are looked for in --data_dir and left out where they are not
there.
"""

import pathlib
import time
from collections.abc import Callable

import jax

from fpu import InputError, data
from fpu.report import words
from fpu.utility import field, metrics

SETS = "mnist", "digits", "pneumoniamnist.npz", "octmnist_part.npz"
STEPS = field.STEPS


def measure(say: Callable[[str], None], name: str, data_dir: str | None) -> dict:
    """{'dataset', 'device', 'steps', 'seeds', 'rows'}: a row for each data set; `all`: those of SETS that are found."""
    rows = []
    for wanted in SETS if name == "all" else (name,):
        try:
            dataset = _load(wanted, data_dir)
        except InputError as error:
            if name != "all":
                raise
            say(f"field: {wanted} left out: {error}")
            continue
        rows.append(ceiling(dataset))
        say(f"field: {rows[-1]['dataset']}: {rows[-1]['seconds']:.0f} s")
    whose = name if name == "all" else rows[0]["dataset"]  # not the path of a file
    facts = {"dataset": whose, "device": jax.devices()[0].device_kind}
    return facts | {"steps": STEPS, "seeds": field.SEEDS, "rows": rows}


def _load(name, data_dir):
    """A data set, whose file or folder may lie in --data_dir by its name."""
    inside = None if data_dir is None else pathlib.Path(data_dir).expanduser() / name
    if inside is None or not inside.exists():
        return data.load(name, data_dir)
    return data.load(name, inside) if inside.is_dir() else data.load(inside)


def ceiling(dataset: data.Dataset) -> dict:
    """The classifier of the field on all images of the train split, tested on the test split."""
    train, test = (
        (dataset.images[rows], dataset.labels[rows])
        for rows in (dataset.split == 0, dataset.split == data.TEST)
    )
    clock = time.monotonic()
    found = metrics.train_and_test(
        train, test, dataset.n_classes, seed=0, seeds=field.SEEDS, steps=STEPS, network=field
    )
    return {
        "dataset": dataset.name,
        "n": len(train[1]),
        "side": dataset.shape[0],
        "accuracy": found["accuracy"],
        "auc": found["auc"],
        "seconds": time.monotonic() - clock,
    }


def table(result: dict) -> str:
    """A row for each data set."""
    header = ["images", "n", "side", "accuracy %", "macro AUC %", "seconds"]
    rows = [
        [row["dataset"], f"{row['n']:,}", str(row["side"])]
        + [_percent(row[name]) for name in ("accuracy", "auc")]
        + [f"{row['seconds']:.0f}"]
        for row in result["rows"]
    ]
    return (
        f"Trained on all images of the train split, {words.plural(result['seeds'], 'seed')} of "
        f"{result['steps']:,} steps, on {result['device']}; 95 % intervals over test images and seeds\n\n"
        f"{words.grid(header, rows)}"
    )


def _percent(metric):
    value, low, high = (100 * metric[key] for key in ("value", "low", "high"))
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"
