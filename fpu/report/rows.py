"""How each metric is shown: its name, which way is better, and what it means in a line."""

from collections.abc import Callable
from typing import NamedTuple


class Row(NamedTuple):
    """How a metric is shown.

    `better` is "lower" or "higher"; `scale` 100 shows percent; `ends` are those of the bar's axis,
    by default 0 and the data; `chance` is what guessing scores, given the number of classes.
    """

    label: str
    better: str = ""
    meaning: str = ""
    scale: float = 1.0
    ends: tuple[float, float] | None = None
    chance: Callable[[int], float] | None = None


FIDELITY = {
    "kid": Row(
        "Kernel distance (KID)",
        "lower",
        "Distance between the two sets in a small network's features. Unbiased: may be below 0.",
    ),
    "fd": Row(
        "Fréchet distance (FD)",
        "lower",
        "The same, by mean and covariance. Grows when images are few: compare with the real line.",
    ),
    "precision": Row(
        "Precision",
        "higher",
        "Share of the synthetic images that lie among real ones.",
        100,
        (0, 1),
    ),
    "recall": Row(
        "Recall", "higher", "Share of the real images that lie among synthetic ones.", 100, (0, 1)
    ),
    "density": Row(
        "Density", "higher", "How many real images crowd around a synthetic one; may exceed 1."
    ),
    "coverage": Row(
        "Coverage",
        "higher",
        "Share of the real images with a synthetic one close by. Low: kinds of images are missing."
        " At best about 97 %.",
        100,
        (0, 1),
    ),
    "near_copies": Row(
        "Near copies",
        "lower",
        "Share closer to a member than 99 % of unseen real images. Well above 1 %: it memorises.",
        100,
    ),
    "fd_inf": Row(
        "Fréchet distance, n → ∞",
        "lower",
        "FD without the bias of few images. About 0 for real images; may be below.",
    ),
    "vendi": Row(
        "Different images a class (Vendi)",
        "",
        "Effective number of different images in a class. Should match the real line.",
    ),
    "authenticity": Row(
        "Authenticity",
        "higher",
        "Share not suspiciously close to one member. Real images score about half, copies 0.",
        100,
        (0, 1),
    ),
    "data_copying": Row(
        "Data copying (C_T)",
        "",
        "Well below 0: closer to members than unseen images are. Well above: further.",
    ),
    "kid_random": Row(
        "KID, random features",
        "lower",
        "The same distance in an untrained network: it should rank generators alike.",
    ),
    "fd_random": Row(
        "FD, random features",
        "lower",
        "FD in an untrained network: it should rank generators alike.",
    ),
}
UTILITY = {
    "accuracy": Row(
        "Accuracy", "higher", "Share of the real test images classified rightly.", 100, (0, 1)
    ),
    "balanced_accuracy": Row(
        "Balanced accuracy",
        "higher",
        "The same with every class counted alike. Dashed: guessing.",
        100,
        (0, 1),
        lambda n_classes: 1 / n_classes,
    ),
    "auc": Row(
        "AUC, mean over classes",
        "higher",
        "How surely an image of a class ranks above the others. Dashed: guessing.",
        1,
        (0, 1),
        lambda _: 0.5,
    ),
    "ece": Row(
        "Calibration error (ECE)",
        "lower",
        "How far stated probabilities are from the shares that are right.",
        1,
        (0, 1),
    ),
    "brier": Row(
        "Brier score",
        "lower",
        "Squared error of the probabilities, summed over classes. 0 is best, 2 worst.",
        1,
        (0, 2),
        lambda n_classes: 1 - 1 / n_classes,
    ),
}
# What else is trained or tested; rows that a record lacks are left out.
PROTOCOLS = {
    "synthetic": "Trained on synthetic, tested on real",
    "one_shot": "Trained on draws of one DP release at this ε",
    "warmup": "Trained on images of the model before DP-SGD",
    "members": "Trained on the real members (floor)",
    "all_real": "Trained on all real images at hand (ceiling)",
    "members_and_synthetic": "Trained on members and synthetic together",
    "private_classifier": "DP-SGD classifier on the members, at this ε",
    "linear_synthetic": "Linear probe on synthetic",
    "linear_members": "Linear probe on the members",
    "reference": "Trained on unseen real images, tested on real",
    "label_fidelity": "Trained on unseen real images, tested on synthetic",
}
