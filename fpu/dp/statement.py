"""What an (eps, delta) guarantee of this project covers and what not, in plain words. {unit} is "image" or "group"."""

import math

from fpu.dp.rounding import rounded_up

NOMINAL = 20.0  # above this eps a guarantee is nominal: e^-20 / (1 + e^-20) = 2e-9 of all guesses are wrong

PUBLIC = (
    "The list of members: which {unit}s were used, each told by a hash of its own content. What is hidden is what a "
    "listed {unit} contributed.",
    "Their number n: that which the maker named, or else how many there are, which is then told.",
    "The classes and their number K, and that each class has as many {unit}s as were asked for, or all it has.",
    "The size, colour and bit depth of the images, which part of the data is for training, the labels asked for, and "
    "every setting.",
)

NOT_COVERED = (
    "A person to whom several {unit}s belong: one {unit} at a time is protected.",
    "Other runs on the same images, and settings chosen by looking at their results: each run spends an ε of its own, "
    "and they add up.",
    "What is taken as public: the list of members and their number, the classes, the size of the images, the labels "
    "asked for, and every setting.",
    "What is true of such images in general, whoever took part: to show that is the purpose.",
    "Whether a release was withdrawn, because an audit or an attack refuted it.",
    "Faults below the mathematics: floating-point arithmetic, the random generator Threefry, which is not "
    "cryptographic, and the computer that ran it.",
)


def spoken(
    eps: float, accountant: str, delta: float, unit: str, mechanism: str, disclosed: bool
) -> str:
    """Plan.statement: unit, neighbours, mechanism, (eps, delta), what is not covered."""
    if math.isinf(eps):
        return (
            "No differential privacy: this run adds no noise, or so little that its draws end too soon to hide one "
            "contribution, or it releases real data. "
            "Nothing it made may be released as differentially private."
        )
    warning = ""
    if disclosed:
        warning = (
            "The noise seed is disclosed: the guarantee does not hold against anyone who knows it. "
        )
    if eps > NOMINAL:
        warning += f"Nominal: eps above {NOMINAL:g} protects nobody in practice. "
    return warning + (
        "The trained model, and everything drawn or computed from it without the data, is "
        f"({rounded_up(eps, 5)}, {rounded_up(delta, 3)})-differentially private for one {unit}: it hides whether the "
        f"contribution of any one listed {unit} is there or is absent. Mechanism: {mechanism}. Accountant: "
        f"{accountant}. Public: which {unit}s of the data were listed, how many (n), and the classes. To add or remove "
        f"a row of the file is another question: where it exchanges one listed {unit} for another, two contributions "
        "change. Not covered: choices made by looking at other runs on the same data; several "
        f"{unit}s of one person; attacks on floating-point noise or on the Threefry generator, which is not "
        "cryptographic; evaluation against the data, which is not private and must not be published as such."
    )


def row_of_the_file(eps: float, delta: float, unit: str) -> str:
    """What a guarantee for one listed unit says of the file that the list was drawn from.

    Members are drawn by their own content, so one unit of the file more or less changes the list by one that goes and
    one that comes, at most. Between two lists that differ by an exchange lies the list without either, a neighbour of
    both: P(A) <= e^eps (e^eps P''(A) + delta) + delta, which is (2 eps, (1 + e^eps) delta).
    """
    one = f"({rounded_up(eps, 5)}, {rounded_up(delta, 3)})"
    cost = exchanged(eps, delta)
    two = (
        "nothing is guaranteed"
        if cost is None
        else f"the guarantee is ({rounded_up(cost[0], 5)}, {rounded_up(cost[1], 3)})"
    )
    return (
        f"One {unit} more or less in the file: where all of its {unit}s for training are members and n was named by "
        f"the maker, no other member changes, and the guarantee is {one}. Where a number of each class was asked for "
        f"and each class has it, at most one other {unit} takes its place, and {two}. A changed label is one {unit} "
        "less and another one more."
    )


def exchanged(eps: float, delta: float) -> tuple[float, float] | None:
    """(2 eps, (1 + e^eps) delta), for one unit exchanged for another; None where that delta is 1 or more."""
    twice = (1 + math.exp(eps)) * delta if eps < 700 else math.inf
    return None if twice >= 1 else (2 * eps, twice)
