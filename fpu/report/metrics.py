"""The register of metrics: what each is called, which way is better, how it is shown, where a record keeps it.

To add a metric, add its entry to METRICS. One that a record holds and METRICS does not know is shown by its key.
"""

from collections.abc import Callable
from typing import NamedTuple

from fpu.intervals import missing
from fpu.report import records

FIDELITY, UTILITY = ("fidelity",), ("utility",)
ATTACKS = ("privacy", "attacks")
DISTANCES = ("privacy", "distance_to_closest_record")
PAPER_EPSILON = ("privacy", "empirical_epsilon", "overall")


class Metric(NamedTuple):
    """One metric. Its value stands in a record at (*section, row, key), or at (*section, key) without rows."""

    section: tuple[str, ...]
    key: str
    label: str
    better: str = ""  # "higher" or "lower"; "" where neither is
    meaning: str = ""
    scale: float = 1.0  # 100 shows percent
    ends: tuple[float, float] | None = None  # of the axis of its bar; None: 0 and the data
    chance: Callable[[int], float] | None = None  # what guessing scores, of so many classes
    column: str = ""  # its name in tables, where it is a column
    column_scale: float | None = None  # where it is not `scale`
    plot: str = ""  # its name in plots, where it is plotted
    plot_ends: tuple[float, float | None] = (0, None)  # of the axis there
    compute: Callable[[dict], dict] | None = None  # from a record, where it is no single entry

    @property
    def axis(self) -> str:
        """'fidelity', 'utility' or 'privacy'."""
        return self.section[0]

    def read(self, record: dict, row: str | None = "synthetic") -> dict:
        """{value, low, high, n} of a record, or {value: None, reason}.

        row: "synthetic", the name of a reference or classifier, or of an attack; None in a section without rows.
        """
        if self.compute is not None:
            return self.compute(record)
        return records.metric(record, *self.section, *([row] if row else []), self.key)


def _over_one_shot(record: dict) -> dict:
    """Accuracy less that of draws from one release at the same eps, on the same members; no interval."""
    ours, one_shot = records.pair(record, "utility", "one_shot", "accuracy")
    if not records.known(ours, one_shot):
        return missing("no one-shot draws in this record")
    return records.point(ours["value"] - one_shot["value"], ours["n"])


def _one_class(n_classes: int) -> float:
    """What guessing a class scores."""
    return 1 / n_classes


def _strongest_attack(record: dict) -> dict:
    ranked = records.attacks(record)
    return ranked[0][1] if ranked else missing("no attack in this record")


_SHARE = {"scale": 100, "ends": (0, 1)}  # of images, in percent

# fmt: off
METRICS = (
    Metric(UTILITY, "accuracy", "Accuracy", "higher", **_SHARE, chance=_one_class,
           column="accuracy %", plot="accuracy %", plot_ends=(0, 102),
           meaning="Share of the real test images that are classified correctly. Dashed: guessing."),
    Metric(UTILITY, "over_one_shot", "Accuracy over one-shot draws", "higher", scale=100,
           column="over one-shot", compute=_over_one_shot),
    Metric(UTILITY, "floor", "Accuracy of the real members", "higher", scale=100,
           column="floor %",
           compute=lambda record: records.metric(record, "utility", "members", "accuracy")),
    Metric(UTILITY, "balanced_accuracy", "Balanced accuracy", "higher", **_SHARE, chance=_one_class,
           meaning="The same, with every class counted alike. Dashed: guessing."),
    Metric(UTILITY, "auc", "AUC, mean over classes", "higher", ends=(0, 1), chance=lambda _: 0.5,
           column="AUC", plot="macro AUC", plot_ends=(0.4, 1.02),
           meaning="How surely an image of a class is ranked above those of other classes. Dashed: guessing."),
    Metric(UTILITY, "ece", "Calibration error (ECE)", "lower", ends=(0, 1),
           meaning="How far the stated probabilities are from the shares that are correct."),
    Metric(UTILITY, "brier", "Brier score", "lower", ends=(0, 2), chance=lambda n_classes: 1 - 1 / n_classes,
           meaning="Squared error of the probabilities, summed over classes. 0 is best, 2 worst."),
    Metric(FIDELITY, "kid", "Kernel distance (KID)", "lower", column="KID", plot="KID", plot_ends=(-0.1, None),
           meaning="Distance between the two sets in a small network's features. Unbiased: may be below 0."),
    Metric(FIDELITY, "fd", "Fréchet distance (FD)", "lower", column="FD",
           meaning="The same, by mean and covariance. Grows when images are few: compare with the real line."),
    Metric(FIDELITY, "precision", "Precision", "higher", **_SHARE,
           meaning="Share of the synthetic images that lie among real ones."),
    Metric(FIDELITY, "recall", "Recall", "higher", **_SHARE,
           meaning="Share of the real images that lie among synthetic ones."),
    Metric(FIDELITY, "density", "Density", "higher",
           meaning="How many real images lie around a synthetic one; may exceed 1."),
    Metric(FIDELITY, "coverage", "Coverage", "higher", **_SHARE, column="coverage", column_scale=1,
           meaning="Share of the real images with a synthetic one close by. Low: kinds of images are missing."
           " At best about 97 %."),
    Metric(FIDELITY, "near_copies", "Near copies", "lower", scale=100,
           meaning="Share closer to a member than 99 % of unseen real images. Well above 1 %: it memorises."),
    Metric(FIDELITY, "fd_inf", "Fréchet distance, n → ∞", "lower",
           meaning="FD without the bias of few images. About 0 for real images; may be below."),
    Metric(FIDELITY, "vendi", "Different images a class (Vendi)",
           meaning="Effective number of different images in a class. Should match the real line."),
    Metric(FIDELITY, "authenticity", "Authenticity", "higher", **_SHARE,
           meaning="Share not suspiciously close to one member. Real images score about half, copies 0."),
    Metric(FIDELITY, "data_copying", "Data copying (C_T)",
           meaning="Well below 0: closer to members than unseen images are. Well above: farther."),
    Metric(FIDELITY, "kid_random", "KID, random features", "lower",
           meaning="The same distance in an untrained network: it should rank generators alike."),
    Metric(FIDELITY, "fd_random", "FD, random features", "lower",
           meaning="FD in an untrained network: it should rank generators alike."),
    Metric(ATTACKS, "strongest", "AUC of the strongest attack", "lower", chance=lambda _: 0.5,
           column="attack AUC", plot="strongest attack, AUC", plot_ends=(0.4, 1.02), compute=_strongest_attack),
    Metric(ATTACKS, "auc", "AUC", "lower", chance=lambda _: 0.5),
    Metric(ATTACKS, "tpr_at_1_fpr", "TPR at 1 % FPR", "lower", scale=100, chance=lambda _: 0.01),
    Metric(ATTACKS, "tpr_at_01_fpr", "TPR at 0.1 % FPR", "lower", scale=100, chance=lambda _: 0.001),
    Metric(ATTACKS, "advantage", "Advantage", "lower", scale=100, chance=lambda _: 0.0),
    Metric(DISTANCES, "ks", "Largest gap (KS)", meaning="Between the two distributions of distances, either way."),
    Metric(DISTANCES, "ks_nearer", "Synthetic nearer (one-sided KS)", meaning="Largest gap if synthetic is nearer."),
    Metric(DISTANCES, "ks_farther", "Synthetic farther (one-sided KS)", meaning="Largest gap if it is farther."),
    Metric(DISTANCES, "area", "Area between", meaning="1: every image is a copy. 0: as far as unseen real images."),
    Metric(PAPER_EPSILON, "as_coded", "As the paper codes it"),
    Metric(PAPER_EPSILON, "with_dimension", "With the factor d = 2"),
)
# fmt: on
_BY_PLACE = {(metric.section, metric.key): metric for metric in METRICS}


def find(section: tuple[str, ...], key: str) -> Metric:
    """The entry of a metric; one that is not in the register is shown by its key."""
    return _BY_PLACE.get((section, key)) or Metric(section, key, key.replace("_", " "))


COLUMNS = tuple(metric for metric in METRICS if metric.column)
PLOTTED = tuple(metric for metric in METRICS if metric.plot)
AXES = {  # what stands for each axis where runs are compared: the first that a record holds
    "utility": (find(UTILITY, "accuracy"), find(UTILITY, "auc")),
    "fidelity": (find(FIDELITY, "coverage"), find(FIDELITY, "kid")),
    "privacy": (find(ATTACKS, "strongest"),),
}
REFERENCES = {  # rows of a section: what real images give there
    "utility": {"members": "the real members", "all_real": "all real images"},
    "fidelity": {"real": "held-out real images"},
    "privacy": {},
}
PROTOCOLS = {  # config.evaluation: which networks the rows of `utility` are
    "quick": "Protocol quick: one small network, 400 steps.",
    "full": "Protocol full: three small networks, 1,200 steps each.",
    "field": "Protocol field: three residual networks, 4,000 steps each, as papers of DP image synthesis judge; rows "
    "on synthetic labels and linear probes are as in full.",
}
CLASSIFIERS = {  # rows of `utility`: what was trained on what, and tested on what
    "synthetic": "Trained on synthetic, tested on real",
    "one_shot": "Trained on draws of one DP release at this ε",
    "gaussian": "Trained on draws of `gaussian`, without a prior, at this ε",
    "warmup": "Trained on images of the model before DP-SGD",
    "members": "Trained on the real members (floor)",
    "all_real": "Trained on all real images at hand (ceiling)",
    "members_and_synthetic": "Trained on members and synthetic together",
    "private_classifier": "Private classifier on the members, at this ε",
    "linear_synthetic": "Linear probe on synthetic",
    "linear_members": "Linear probe on the members",
    "reference": "Trained on unseen real images, tested on real",
    "label_fidelity": "Trained on unseen real images, tested on synthetic",
}
TRIED = {  # attacks: what an attacker looks at
    "nearest": "Is a synthetic image closer to it than to others?",
    "nearest_calibrated": "Is a synthetic image closer to it than other real images are?",
    "monte_carlo": "How many synthetic images lie close by?",
    "domias": "Are synthetic images denser around it than real ones?",
    "reconstruction": "How well does the model rebuild it?",
    "elbo": "The loss of the VAE on it.",
    "critic": "How real does the GAN's critic find it?",
    "gan_leaks": "How close can the generator come to it?",
    "loss": "The loss of the DDPM on it.",
    "sima": "How much noise does the DDPM see in it where there is none?",
    "pia": "Does the DDPM see the same noise in it twice?",
    "secmi": "Does the DDPM find back to it after a few steps?",
}


def attack_words(name: str) -> str:
    """What an attack looks at; "" of one that is not known."""
    if name.startswith("lira_"):
        words = TRIED.get(name.removeprefix("lira_"), "")
        return f"{words} Compared with models of the same kind trained with and without it.".strip()
    return TRIED.get(name, "")
