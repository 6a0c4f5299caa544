"""What a release says of itself: the guarantee for a program (privacy.json) and a reader (PRIVACY.md), a datasheet."""

import math
from importlib import metadata

import numpy as np

from fpu.baselines import OF_PRIOR
from fpu.data import Dataset
from fpu.dp import accounting
from fpu.dp.plan import DPSGD, Plan, Release
from fpu.dp.rounding import rounded_up
from fpu.dp.statement import NOMINAL, NOT_COVERED, PUBLIC, row_of_the_file
from fpu.priors import Prior


def privacy(plan: Plan, disclosed: bool, prior: Prior | None = None) -> dict:
    """The guarantee, JSON-able.

    Args:
      disclosed: the noise came from a seed that somebody chose.
      prior: the public images that helped, if any did.
    """
    eps, accountant = accounting.epsilon(plan)
    unit = plan.unit.split()[0]
    row = "" if math.isinf(eps) else row_of_the_file(eps, plan.delta, unit)
    return {
        "private": plan.private and eps <= NOMINAL and not disclosed,
        "eps": "inf" if math.isinf(eps) else eps,
        "delta": plan.delta,
        "unit": plan.unit,
        "relation": plan.relation,
        "mechanisms": [_mechanism(stage) for stage in plan.stages],
        "accountant": f"{accountant}, dp-accounting {metadata.version('dp-accounting')}",
        "noise_seed_disclosed": disclosed,
        "prior": None if prior is None else about(prior),
        "statement": plan.statement(disclosed),
        "public": [line.format(unit=unit) for line in PUBLIC],
        "row_of_the_file": row,
        "not_covered": [line.format(unit=unit) for line in NOT_COVERED],
    }


def about(prior: Prior) -> dict:
    """What is told of a prior: name, version, and what it knows in a sentence."""
    return {"name": prior.name, "version": prior.version, "knows": prior.knows}


def _mechanism(stage: DPSGD | Release) -> dict:
    facts = {"noise_multiplier": stage.noise_multiplier}
    if not isinstance(stage, DPSGD):
        return {
            "mechanism": "Gaussian noise on one or several adaptive sums, together one release"
        } | facts
    return facts | {
        "mechanism": "DP-SGD",
        "sampling": "Poisson",
        "sampling_rate": stage.sampling_rate,
        "steps": stage.steps,
        "n": stage.n,
        "capacity": stage.capacity,
    }


def privacy_page(guarantee: dict) -> str:
    """PRIVACY.md of what `privacy` returned. eps and delta are rounded up, never down."""
    eps, delta = float(guarantee["eps"]), guarantee["delta"]
    if not guarantee["private"]:
        head = "# NOT private\n\nGuard these files as you guard the real images."
        if NOMINAL < eps < math.inf:
            head += f" An epsilon above {NOMINAL:g} is nominal: it is proved, and protects nobody."
    else:
        head = (
            f"# ({rounded_up(eps, 5)}, {rounded_up(delta, 3)})-differential privacy\n\n"
            f"Unit: one {guarantee['unit']}, whose contribution is there or is absent. "
            "It holds for every file in this folder, against anyone, whatever else they know."
            + (" What the public prior shows is not hidden." if guarantee.get("prior") else "")
        )
    public, uncovered = (
        "\n".join(f"* {line}" for line in guarantee[part]) for part in ("public", "not_covered")
    )
    row = f"{guarantee['row_of_the_file']}\n\n" if guarantee["private"] else ""
    return (
        f"{head}\n\n{guarantee['statement']}\n\n{_prior(guarantee)}## Public\n\n{public}\n\n{row}"
        f"## Not covered\n\n{uncovered}\n\n"
        "The same facts for a program: `privacy.json`.\n"
    )


def _prior(guarantee: dict) -> str:
    """A section on the prior; nothing where there was none."""
    if not (prior := guarantee.get("prior")):
        return ""
    told = (
        f"## The public prior\n\n`{prior['name']}`, version {prior['version']}. What it knows: {prior['knows']}. It "
        "was there before any real image was looked at, and costs no epsilon."
    )
    if prior["name"].startswith("images:"):
        told += " The maker of this folder says that its images are public: nothing here protects an image among them."
    elif ":" in prior["name"]:
        told += " It is code of the maker of this folder, who says that it holds no private image."
    return f"{told}\n\n"


def datasheet(guarantee: dict, labels: np.ndarray, dataset: Dataset, model: str | None) -> str:
    """DATASHEET.md.

    Args:
      guarantee: what `privacy` returned.
      labels: ints [n] of the images.
      dataset: for its name, class names and shape.
      model: name of the generator in the release; None where there is none (real images, or noise).
    """
    counts = np.bincount(labels, minlength=dataset.n_classes)
    side = "x".join(map(str, dataset.shape[:2])) + (" grey" if dataset.shape[2] == 1 else " RGB")
    guard = "PRIVACY.md" if guarantee["private"] else "PRIVACY.md: NOT private"
    return _DATASHEET.format(
        title=f"Synthetic images after {dataset.name}"
        if model
        else f"A baseline for {dataset.name}: real images handed out, or noise",
        count=len(labels),
        side=side,
        made=f"made by the model `{model}` of" if model else "written by",
        version=metadata.version("fpu"),
        guard=guard,
        rows="\n".join(
            f"| {k} | {name} | {counts[k]:,} |" for k, name in enumerate(dataset.class_names)
        ),
        prior=_knows(guarantee),
        more=_more(guarantee, model)
        if model
        else "No generator is in this folder: the images are copies, or noise.",
        purpose=_SYNTHETIC if model else _BASELINE,
    )


def _knows(guarantee: dict) -> str:
    """What the images may look like beside the real ones; nothing where there was no prior."""
    if not (prior := guarantee.get("prior")):
        return ""
    return (
        f"A public prior helped: `{prior['name']}`, version {prior['version']} ({prior['knows']}).\n"
        "Where the release says little of the real images, these look like those of the prior.\n\n"
    )


def _more(guarantee: dict, model: str) -> str:
    """How to draw more images."""
    prior = guarantee.get("prior")
    if model not in OF_PRIOR or not prior:
        return _MORE
    own = f" --prior={prior['name']}" if ":" in prior["name"] else ""
    version = f"version {prior['version']} of the prior `{prior['name']}`"
    return _MORE.replace(" --n=", f"{own} --n=").replace(
        "real data:", f"real data, with {version}:"
    )


_DATASHEET = """\
# {title}

{count:,} images, {side}, {made} fpu {version}. Guarantee: {guard}.
How many there are of each class was chosen by the maker and says nothing of the real data.

![the first images of each class](samples.png)

| label | class | images |
|---|---|---|
{rows}

## How to read them

`numpy.load('synthetic.npz')`: `train_images` uint8, `train_labels`; `val_*` and `test_*` are empty.
It is MedMNIST's format, so loaders of that format read it.

{prior}{more}

## What they are for, and what not

{purpose}
The licence of the real images may bind what is derived from them: ask whoever holds them.
"""
_MORE = """\
More images, on any machine, without the real data:
`fpu generate --release=THIS_FOLDER --n=1000 --out=more.npz`"""
_SYNTHETIC = """\
For developing and testing programs, and for training where their maker has measured that it works.
Not for diagnosis; no expert has judged them. They may miss rare kinds of images and repeat the biases
of the real ones. Measurements against real images are not in this folder: they are not private."""
_BASELINE = "For comparison with generators, by those who may see the real images."
