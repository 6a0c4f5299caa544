"""How much of a canary shows in a synthetic set: scores of one image by what can be fitted to the set alone.

For releases whose generator is not published. The attacker knows the canary, fits a small model to the synthetic
images, and asks it for the canary (in the spirit of arXiv:2606.10481). All fits are in closed form: an audit makes
hundreds. Higher = more like a set whose generator had the canary among its members.
"""

import numpy as np

from fpu.neighbours import flat
from fpu.privacy import samples_only

_RIDGE = 1e-2  # of the mean square of a pixel


def scores(image: np.ndarray, label: int, images: np.ndarray, labels: np.ndarray) -> dict:
    """{name: float} of a canary by each way to look.

    Args:
      image, label: the canary, uint8 [1, H, W, C] and its class.
      images, labels: the synthetic set, uint8 [s, H, W, C] and ints [s]; s >= 1.

    nearest: minus the distance to the nearest synthetic image of its class (samples_only.nearest).
    mean: the mean synthetic image of its class along the canary: what a release of class means shows best.
    classifier: the margin of its class by ridge regression of the labels on the pixels, fitted to the synthetic set.
    """
    known = samples_only.Known(images, labels, images[:0], labels[:0])
    x, one = flat(images) - 127.5, (flat(image) - 127.5)[0]
    own = labels == label
    mean = x[own].mean(0) if own.any() else np.zeros_like(one)
    return {
        "nearest": float(samples_only.nearest(image, np.array([label]), known)[0]),
        "mean": float(mean @ one),
        "classifier": _margin(x, own, one),
    }


def _margin(x: np.ndarray, own: np.ndarray, one: np.ndarray) -> float:
    """f(one) of the ridge regression f(x) = x . w of +1 for the class and -1 for the others; w = (X'X + r I)^-1 X'y.

    In the smaller of two dimensions: w = X' (XX' + r I)^-1 y.
    """
    y = np.where(own, 1.0, -1.0)
    ridge = _RIDGE * len(x) * float(np.mean(np.square(x))) + 1e-9
    if len(x) < x.shape[1]:
        return float(one @ x.T @ np.linalg.solve(x @ x.T + ridge * np.eye(len(x)), y))
    return float(one @ np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ y))
