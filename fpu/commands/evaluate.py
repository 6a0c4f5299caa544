"""Judge any synthetic set, also one that another tool made.

    fpu evaluate --synthetic=file.npz --dataset=scans.npz --members=train --out=FOLDER
    fpu evaluate --synthetic=file.npz --dataset=digits --members=manifest.json --out=FOLDER
    fpu evaluate --synthetic=pictures --dataset=scans --side=28 --members=train --out=FOLDER
    fpu evaluate --model_dir=runs/ddpm-digits-eps1-50each-seed0 --out=FOLDER

Leaves record.json, report.html, samples.png and manifest.json in FOLDER, of the same form as a run's. They show
real images and what was measured on them without noise: they are as private as the images.
"""

import dataclasses
import hashlib
import math
import pathlib
import time
from collections.abc import Callable

import jax
import numpy as np

from fpu import InputError, data, evaluation, models, priors, record, report
from fpu.data import folders, manifests
from fpu.files import cache, safe
from fpu.pipeline import prior, progress, settings, train
from fpu.training import checkpoint


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags, as typed. An empty text and None mean: not given."""

    synthetic: str = ""
    dataset: str = ""
    members: str = ""
    out: str = ""
    model_dir: str = ""
    data_dir: str | None = None
    side: int | None = None
    groups: str | None = None
    skip_unreadable: bool = False
    eps: float | None = None
    delta: float | None = None
    evaluation: str = "full"
    seed: int | None = None


_HELP = {
    "synthetic": "the synthetic set: an .npz in MedMNIST's format (its train_images and train_labels), or a folder "
    "with one subfolder a class",
    "dataset": "the real data: digits, mnist, a 2-D MedMNIST name, or the path of an .npz or a folder",
    "members": "what the generator was trained on: a run's manifest.json, a JSON list of positions in the data "
    "set, or train (its whole train split)",
    "out": "new folder for record.json, report.html, samples.png and manifest.json",
    "model_dir": "a run's folder: its model is attacked too, and flags left out are taken from it",
    "side": "of the real data, in pixels, as in the run (default: 28 for folders and for sides above 64)",
    "groups": "CSV (index or file, group): images of one patient or scan",
    "skip_unreadable": "leave unreadable files of folders out",
    "data_dir": "folder that holds the data set's files already",
    "eps": "the budget that the generator's maker claims; left out: no guarantee is known",
    "delta": "the delta of that claim",
    "evaluation": "quick, full (default) or field: the networks that judge utility",
    "seed": "public: non-members (where the manifest names none), what is compared, classifiers (default 0)",
}
GROUPS = {
    "Common flags": ("synthetic", "dataset", "members", "out"),
    "Data": ("side", "groups", "skip_unreadable", "data_dir"),
    "Others": ("model_dir", "eps", "delta", "evaluation", "seed"),
}


def define_flags() -> None:
    """One absl flag for each field of Options."""
    settings.define_flags(Options, _HELP)


def evaluate(options: Options) -> pathlib.Path:
    """Judge the set and write everything into its folder, which is returned. InputError for bad input."""
    start = time.monotonic()
    options, run = _completed(options)
    _check(options)
    out = _folder(options)
    skip = options.skip_unreadable
    given = {"side": options.side, "groups": options.groups, "skip_unreadable": skip}
    dataset = data.load(options.dataset, options.data_dir, **given)
    images, labels, lines = data.load_synthetic(options.synthetic, dataset, skip)
    split = _split(dataset, options)
    for line in [*data.look(dataset, split), *(f"synthetic: {line}" for line in lines)]:
        progress.say(line)
    privacy = run["privacy"] if run else _claim(options)
    eps = float(privacy["eps"])
    judged = evaluation.evaluate(
        dataset,
        split,
        images,
        labels,
        scores=_scores(options, run, dataset) if run else None,
        budget=None if math.isinf(eps) else (eps, privacy["delta"]),
        n=run["config"].get("n_public") if run else None,
        prior=None if math.isinf(eps) else prior.of_classifier("auto", dataset, options.data_dir),
        seed=options.seed or 0,
        protocol=options.evaluation,
        cache=cache.folder("floors"),
        progress=progress.say,
    )
    seconds = judged["seconds"] | {"total": time.monotonic() - start}
    result = _record(options, run, dataset, split, images, privacy, judged, seconds)
    members = dataset.images[split.members], dataset.labels[split.members]
    report.samples_png(out / "samples.png", images, labels, dataset.class_names, *members)
    safe.write_json(out / "manifest.json", data.manifest(dataset, split))
    safe.write_json(out / "record.json", result)
    picture = (out / "samples.png").read_bytes()
    safe.write_text(out / "report.html", report.page(result, picture))
    return out


def _completed(options: Options) -> tuple[Options, dict | None]:
    """The options with what the run of --model_dir says where they say nothing; that run's record."""
    if not options.model_dir:
        return options, None
    folder = pathlib.Path(options.model_dir).expanduser()
    if options.eps is not None or options.delta is not None:
        raise InputError("--eps and --delta: the run of --model_dir has its own; leave them out")
    if not (folder / "record.json").is_file():
        raise InputError(
            f"--model_dir={folder}: no record.json in it; name the folder of a finished run"
        )
    run = report.read([folder / "record.json"])[0]
    of_run = {
        "synthetic": str(folder / "release" / "synthetic.npz"),
        "dataset": run["config"].get("dataset"),
        "members": str(folder / "manifest.json"),
        **{k: run["config"].get(k) for k in ("side", "groups", "skip_unreadable", "seed")},
    }
    left_out = {k: v for k, v in of_run.items() if v and getattr(options, k) in ("", None, False)}
    return dataclasses.replace(options, **left_out), run


def _check(options: Options) -> None:
    for name in ("synthetic", "dataset", "members", "out"):
        if not getattr(options, name):
            raise InputError(f"--{name} is missing: {_HELP[name]}")
    settings.named("--evaluation=", options.evaluation, settings.EVALUATIONS)
    eps, delta = options.eps, options.delta
    if (eps is None) != (delta is None):
        raise InputError("--eps and --delta: give both, or neither")
    if eps is not None and delta is not None and not (eps > 0 and 0 < delta < 1):
        raise InputError(f"--eps={eps:g} --delta={delta:g}: need eps > 0 and delta between 0 and 1")
    settings.whole("seed", options.seed, *settings.SEEDS)


def _folder(options: Options) -> pathlib.Path:
    """The folder of --out, made before the long work, not after it."""
    if "://" in options.out:
        raise InputError(
            f"--out={options.out}: the report shows real images; name a folder of this machine"
        )
    out = pathlib.Path(options.out).expanduser()
    folders.refuse_full(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        out.chmod(0o700)
    except OSError as error:
        raise InputError(
            f"--out={out}: {error.strerror}; name a folder you may write to"
        ) from error
    return out


def _split(dataset: data.Dataset, options: Options) -> data.Split:
    seed = options.seed or 0
    if options.members == "train":
        return data.partition(dataset, seed=seed)
    path = pathlib.Path(options.members).expanduser()
    return data.around(dataset, *manifests.read(path, dataset), seed=seed)


def _claim(options: Options) -> dict:
    if options.eps is None or options.delta is None:
        text = "Nothing is known of how this set was made: no guarantee."
        return {"eps": "inf", "delta": 0.0, "proof": "unknown", "statement": text}
    eps = "inf" if math.isinf(options.eps) else options.eps
    text = (
        f"Whoever made this set claims ({options.eps:g}, {options.delta:g})-differential privacy. The claim was "
        "not checked here: attacks that fail do not prove it, and its unit and neighbours are not known."
    )
    return {"eps": eps, "delta": options.delta, "proof": "claimed", "statement": text}


def _scores(options: Options, run: dict, dataset: data.Dataset) -> Callable | None:
    """The membership scores of the run's model; None of a baseline, which has none."""
    name = run["config"]["model"]
    if name not in models.MODELS:
        return None
    folder = pathlib.Path(options.model_dir).expanduser() / "checkpoints"
    # "0" is DP-SGD; without it the warm-up was all.
    params = checkpoint.averaged(folder / "0") or checkpoint.averaged(folder / "warmup")
    if params is None:
        raise InputError(f"--model_dir={options.model_dir}: holds no checkpoint of its {name}")
    module, spec, config = models.load(name), prior.spec(dataset), run["config"]
    code, known = config.get("code") or 0, None
    if code:
        known = _built_in(config.get("prior"), config.get("prior_version"), spec)
        if known is None:
            progress.say(
                f"attacks by the model itself are left out: they need version {config.get('prior_version')} of the "
                f"prior {config.get('prior')} that comes with fpu"
            )
            return None
    model = module.make(module.Config(**config["model_config"]), spec._replace(code=code))
    return train.scorer(model, known, params, jax.random.key(config["seed"]))


def _built_in(name: str, version: str, spec: models.Spec) -> priors.Prior | None:
    """A prior that comes with fpu, in the version of a record; None of others: a record alone does not decide that code
    is run or files are read.
    """
    found = prior.load(name, spec, None) if name in priors.PRIORS else None
    return found if found and found.version == version else None


def _record(options, run, dataset, split, images, privacy, judged, seconds) -> dict:
    """A record of schema 1; its config says what was judged, and how."""
    path = pathlib.Path(options.synthetic)
    config = {
        "model": run["config"]["model"] if run else path.stem,
        "dataset": options.dataset,
        "eps": privacy["eps"],
        "preset": "corrected",
        "evaluation": options.evaluation,
        "seed": options.seed or 0,
        "n_samples": len(images),
        "synthetic": path.name,
        "proof": privacy.get("proof", "here"),
        "sha256_synthetic": hashlib.sha256(np.ascontiguousarray(images).data).hexdigest(),
    }
    if run:
        config = run["config"] | config
    cost = record.cost_section(seconds, {})
    result = record.assemble(
        config,
        record.data_section(dataset, split, "as given", config["seed"]),
        privacy,
        judged,
        (run["cost"] | cost) if run else cost,
    )
    return result | ({"prior": run["prior"]} if run and "prior" in run else {})


def main(_: list[str]) -> None:
    """Judge what the flags say."""
    print(evaluate(settings.from_flags(Options)) / "report.html")
