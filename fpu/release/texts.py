"""What a release says of itself: the guarantee for a program (privacy.json, privacy.yaml) and a reader (PRIVACY.md), a
datasheet (README.md)."""

import math
import textwrap
from importlib import metadata

import numpy as np

import fpu
from fpu.data import Dataset
from fpu.dp import accounting
from fpu.dp.plan import DPSGD, Plan, Release
from fpu.dp.rounding import rounded_up
from fpu.dp.statement import NOMINAL, NOT_COVERED, PUBLIC, row_of_the_file
from fpu.priors import Prior
from fpu.release import card, registry


def privacy(plan: Plan, disclosed: bool, prior: Prior | None = None) -> dict:
    """The guarantee, JSON-able. disclosed: the noise came from a seed that somebody chose."""
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
    noise = {"noise_multiplier": stage.noise_multiplier}
    if not isinstance(stage, DPSGD):
        name = "Gaussian noise on one or several adaptive sums, together one release"
        return {"mechanism": name} | noise
    return noise | {
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


def filed(guarantee: dict, count: int, dataset: Dataset, model: str | None) -> str | None:
    """privacy.yaml; None where nothing is guaranteed, so that there is nothing to file."""
    if not guarantee["private"]:
        return None
    what = f"{count:,} {_kind(dataset)} images and the generator that drew them"
    draft = registry.draft(guarantee, _title(dataset, model), f"{what}, {_made_by(model)}.")
    return card.dumped(draft)


def datasheet(
    guarantee: dict,
    labels: np.ndarray,
    dataset: Dataset,
    model: str | None,
    with_prior: bool = False,
) -> str:
    """README.md, in the form of Hugging Face's dataset cards.

    Args:
      guarantee: what `privacy` returned.
      labels: ints [n] of the images.
      model: name of the generator in the release; None where there is none (real images, or noise).
      with_prior: whether that generator needs the public prior to draw.
    """
    counts = np.bincount(labels, minlength=dataset.n_classes)
    title, names = _title(dataset, model), dataset.class_names
    rows = [f"| {k} | {name} | {counts[k]:,} |" for k, name in enumerate(names)]
    sheet = _DATASHEET.format(
        title=title,
        count=len(labels),
        side=_kind(dataset),
        made=_made_by(model),
        guard="PRIVACY.md" if guarantee["private"] else "PRIVACY.md: NOT private",
        rows="\n".join(rows),
        missing="" if counts.all() else _MISSING,
        prior=_knows(guarantee),
        more=_more(guarantee, with_prior) if model else _NONE,
        purpose=_SYNTHETIC if model else _BASELINE,
    )
    tags = ("synthetic",) * bool(model) + (card.PRIVATE,) * guarantee["private"]
    return card.readme(title, tags, sheet)


def _title(dataset: Dataset, model: str | None) -> str:
    if model:
        return f"Synthetic images after {dataset.name}"
    return f"A baseline for {dataset.name}: real images handed out, or noise"


def _kind(dataset: Dataset) -> str:
    return "x".join(map(str, dataset.shape[:2])) + (" grey" if dataset.shape[2] == 1 else " RGB")


def _made_by(model: str | None) -> str:
    made = f"made by the model `{model}` of" if model else "written by"
    return f"{made} fpu {fpu.__version__}"


def _knows(guarantee: dict) -> str:
    """What the images may look like beside the real ones; nothing where there was no prior."""
    if not (prior := guarantee.get("prior")):
        return ""
    return (
        f"A public prior helped: `{prior['name']}`, version {prior['version']} ({prior['knows']}).\n"
        "Where the release says little of the real images, these look like those of the prior.\n\n"
    )


def _more(guarantee: dict, with_prior: bool) -> str:
    prior = guarantee.get("prior")
    if not (prior and with_prior):
        return _MORE
    own = f" --prior={prior['name']}" if ":" in prior["name"] else ""
    data = f"real data, with version {prior['version']} of the prior `{prior['name']}`:"
    return _MORE.replace(" --n=", f"{own} --n=").replace("real data:", data)


_DATASHEET = """\
# {title}

{count:,} images, {side}, {made}. Guarantee: {guard}.
How many there are of each class was chosen by the maker and says nothing of the real data.

![the first images of each class](samples.png)

| label | class | images |
|---|---|---|
{rows}

## How to open them

```python
numpy.load("synthetic.npz")["train_images"]                 # uint8; train_labels; val_* and test_* are empty
datasets.load_dataset("THIS_FOLDER", split="train")         # Hugging Face
torchvision.datasets.ImageFolder("images/train")
tensorflow_datasets.ImageFolder("images").as_dataset(split="train")
pandas.read_csv("labels.csv")                               # file, label, class; pyarrow.csv.read_csv as well
```

`synthetic.npz` is in MedMNIST's format. Its classes read it under the name of a set, here as F/pneumoniamnist.npz, once
they are told not to ask for that set's number of images:

```python
medmnist.PneumoniaMNIST.__len__ = lambda self: len(self.imgs)
medmnist.PneumoniaMNIST(split="train", root="F")
```
{missing}
{prior}{more}

## What they are for, and what not

{purpose}
The licence of the real images may bind what is derived from them: ask whoever holds them.
"""
_MORE = """\
More images, on any machine, without the real data:
`fpu generate --release=THIS_FOLDER --n=1000 --out=more.npz`"""
_NONE = "No generator is in this folder: the images are copies, or noise."
_MISSING = """
Programs that read folders number the classes that have images; the number a folder's name begins with is the label."""
_SYNTHETIC = textwrap.fill(
    f"{registry.USE} Measurements against real images are not in this folder: they are not private.",
    110,
)
_BASELINE = "For comparison with generators, by those who may see the real images."
