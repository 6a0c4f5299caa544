"""Say what to expect of a budget before anything is spent: accuracy, minutes, odds, model and prior.

    fpu plan --dataset=path/to/folder --eps=1,3,10
    fpu plan --n=500 --classes=10 --side=28

From public numbers (how many images, classes, pixels) and from curves measured on other data sets: no private number
is computed and nothing is written. With --dataset the images are also looked at; those lines are for you alone.
"""

import math
import sys
from typing import Any

from absl import flags

from fpu import InputError

GROUPS = {
    "Your data": ("dataset", "n_per_class", "data_dir", "side", "groups", "skip_unreadable"),
    "Without them": ("n", "classes"),
    "Privacy": ("eps", "delta"),
}
_MOST = 5  # values of --eps: one screen


def define_flags() -> None:
    flags.DEFINE_string("dataset", None, "a name, or the path of a folder or an .npz, as for a run")
    flags.DEFINE_integer("n_per_class", 0, "members of each class (default 0: all)")
    flags.DEFINE_string("data_dir", None, "folder that already holds the data set's files")
    flags.DEFINE_integer("side", None, "pixels of a side (default: those of the data, or 28)")
    flags.DEFINE_string("groups", None, "CSV (index or file, group), as for a run")
    flags.DEFINE_bool("skip_unreadable", False, "leave unreadable files of a folder out")
    flags.DEFINE_integer("n", None, "number of images, or of patients where one has several")
    flags.DEFINE_integer("classes", None, "number of classes")
    flags.DEFINE_list("eps", ["1", "3", "10"], "budgets, with commas (default 1,3,10)")
    flags.DEFINE_float("delta", None, "default 1 / (10 n)")


def plan(
    epsilons: list[float],
    delta: float | None = None,
    dataset: str | None = None,
    n: int | None = None,
    classes: int | None = None,
    side: int | None = None,
    n_per_class: int = 0,
    **reading: Any,
) -> tuple[list[str], list[str]]:
    """(the screen, what the holder of the data alone should know of them). InputError for bad input.

    reading: data_dir, groups and skip_unreadable, as of data.load.
    """
    if (dataset is None) == (n is None):
        raise InputError("name the data, as --dataset=FOLDER, or say --n=500 --classes=10")
    from fpu import data  # not above: bad input should not wait for jax
    from fpu.pipeline import planning

    look = []
    if dataset is None:
        facts = planning.Facts(n or 0, classes or 0, side or 28)
        if not (2 <= facts.classes <= facts.n and facts.side >= 8):
            raise InputError(
                "--n, --classes, --side: 2 classes or more, an image of each, 8 pixels"
            )
    else:
        held = data.load(dataset, side=side, **reading)
        split = data.partition(held, n_per_class=n_per_class or None, at_most=True)
        units = len(data.units(held, split.members)[1])
        height, width, channels = held.shape
        side = max(height, width)
        facts = planning.Facts(units, held.n_classes, side, channels, dataset, held.unit)
        look = data.look(held, split)
    if delta is not None and not 0 < delta < 1 / facts.n:
        raise InputError(f"--delta={delta:g}: must lie in (0, 1/n); left out, it is 1/(10 n)")
    return planning.lines(facts, epsilons, delta), look


def main(_: list[str]) -> None:
    """Print the screen; what only the holder of the data may see goes to stderr."""
    names = ("delta", *GROUPS["Your data"], *GROUPS["Without them"])
    given: dict[str, Any] = {name: flags.FLAGS[name].value for name in ("eps", *names)}
    screen, look = plan(budgets(given.pop("eps")), **given)
    for line in look:
        print(f"for you alone: {line}", file=sys.stderr)
    print("\n".join(screen))


def budgets(texts: list[str]) -> list[float]:
    """The epsilons of --eps, each once, from small to large."""
    try:
        values = sorted({float(text) for text in texts})
    except ValueError:
        raise InputError(f"--eps={','.join(texts)}: write numbers, as 1,3,10") from None
    if not 1 <= len(values) <= _MOST or not all(0 < value < math.inf for value in values):
        raise InputError(f"--eps={','.join(texts)}: 1 to {_MOST} finite positive numbers")
    return values
