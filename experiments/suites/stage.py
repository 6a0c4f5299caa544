"""Whether a stage of DP-SGD is worth its share of the budget, after a warm-up on draws of one release.

Pairs: the same members, eps and initialisation, once with the whole budget in the release, and once with a share of
it there and the rest in DP-SGD, which trains all leaves or few (training.Recipe). Each is judged by a small net that
learns from its images, on training images that are no members; where all are members, on the test set. Whether a
stage becomes a default is read off here, so no test set should say it where another can.

Blocks of one seed, n and eps are measured until SECONDS have passed; a block that has begun is finished.
"""

import dataclasses
import functools
import itertools
import time
from collections.abc import Callable
from operator import itemgetter

import jax
import numpy as np

from fpu import data, fidelity, intervals
from fpu.baselines import Baseline
from fpu.fidelity import features
from fpu.pipeline import draw, jobs, settings, train
from fpu.report import words
from fpu.report.settings import by
from fpu.utility import protocols

MODEL = "ddpm"
PER_CLASS = {"mnist": (1000, 5000)}  # members of each class; of other data sets all
STROKES = "mnist", "digits"  # whose prior is glyphs; the prior of others is scans
EPS = (1.0, 10.0)
SHARES = (0.3, 0.5)  # of the release
SEEDS = 3
IMAGES = 1000
SECONDS = 170.0
METRICS = ("accuracy", "auc", "kid")
FACTS = "seed", "n", "eps", "share", "trained"


def measure(say: Callable[[str], None], dataset: str, data_dir: str | None) -> dict:
    """{'model', 'dataset', 'judged_on', 'rows'}: rows of each block, JSON-able."""
    begun, rows, place = time.monotonic(), [], {}
    prior = "glyphs" if dataset in STROKES else "scans"
    base = settings.Options(MODEL, dataset, data_dir, prior=prior, delta=1e-5, warmup_share=1.0)
    blocks = itertools.product(range(SEEDS), PER_CLASS.get(dataset, (0,)), EPS)
    for seed, per_class, eps in blocks:
        if rows and time.monotonic() - begun > SECONDS:
            break
        options = dataclasses.replace(base, seed=seed, n_per_class=per_class, eps=eps)
        found, place = _block(options)
        rows += found
        say(f"stage: seed {seed}, n = {rows[-1]['n']:,}, eps = {eps:g} done")
    return {"model": MODEL, **place, "rows": rows}


def _block(options: settings.Options) -> tuple[list[dict], dict]:
    """The rows of one seed, n and eps; and what they were measured on."""
    whole = jobs.prepare(options)
    judge, judged_on = _judge(whole)
    rows = []

    def row(share, trained, params, job):
        facts = options.seed, job.n, options.eps, share, trained
        rows.append(
            dict(zip(FACTS, facts, strict=True)) | judge(train.sampler(job.trainer, params))
        )

    for share in (1.0, *SHARES):
        taught = _Once()
        for trained in ("all", "few") if share < 1 else ("none",):
            changes = {"warmup_share": share}
            changes |= {"set": (f"recipe.trained={trained}",)} if share < 1 else {}
            job = jobs.prepare(dataclasses.replace(options, **changes))
            trainer = job.trainer._replace(teacher=taught.teacher(job.teacher))
            release_key, sgd_key = jax.random.split(jax.random.key(1000 + options.seed))
            task = job.task(release_key, sgd_key, jax.random.key(options.seed))
            result = train.train(trainer, [task], taught.follow)
            if share < 1 and trained == "all":
                row(share, "before", next(train.each(result.warmed)), job)
            row(share, trained, next(train.each(result.params)), job)
    return rows, {
        "dataset": whole.dataset.name,
        "prior": whole.config["prior"],
        "judged_on": judged_on,
    }


class _Once:
    """A release, its draws and the training on them, made once for all that go on from them."""

    def __init__(self):
        self.made = {}

    def _kept(self, name, make):
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]

    def teacher(self, teacher: Baseline) -> Baseline:
        """The same draws for the same key, whoever asks."""

        def fit(*arguments):
            return self._kept("release", lambda: teacher.fit(*arguments))

        def sample(release, key, labels):
            name = np.asarray(jax.random.key_data(key)).tobytes()
            return self._kept(name, lambda: teacher.sample(release, key, labels))

        return teacher._replace(fit=fit, sample=sample)

    def follow(self, stage, steps, fit):
        """The train.Follow that trains on draws once."""
        run = functools.partial(train.run_to_end, stage, steps, fit)
        return self._kept(stage, run) if stage == train.WARMUP else run()


def _judge(job: jobs.Job) -> tuple[Callable, str]:
    """((key, labels) -> images) -> {metric: value}; and the name of the real images it goes by."""
    dataset, split = job.dataset, job.split
    rest = np.setdiff1d(np.flatnonzero(dataset.split != data.TEST), split.members)
    enough = len(rest) >= IMAGES
    real = rest if enough else split.test
    test = dataset.images[real], dataset.labels[real]
    classes = dataset.n_classes
    embed = features.random(dataset.shape, classes, seed=0, scale=test[0])
    labels = settings.sampling_labels(None, classes, IMAGES)
    fake, same = data.class_matched(np.random.default_rng(0), labels, test[1], most=IMAGES)
    kid = {"kid": fidelity.FIDELITY["kid"]}

    def judge(sample):
        images = draw.draw(sample, jax.random.key(7), labels, draw.CHUNK)
        found = protocols.alone((images, labels), test, classes, 0, "quick")
        told = {name: found[name]["value"] for name in ("accuracy", "auc")}
        sides = embed(test[0][same]), embed(images[fake]), test[1][same]
        return told | fidelity.values(*sides, kid)

    return judge, "training images that are no members" if enough else "the test set"


def table(result: dict) -> str:
    """A row for each n, eps, share and kind: its accuracy, and the gain on the whole budget in the release."""
    rows, block = result["rows"], itemgetter("seed", "n", "eps")
    base = {block(one): one for one in rows if one["trained"] == "none"}
    shown = []
    for (n, eps, share, trained), mine in by(rows, itemgetter(*FACTS[1:])).items():
        gains = [[one[name] - base[block(one)][name] for one in mine] for name in METRICS]
        shown.append(
            [f"{n:,}", f"{eps:g}", f"{share:g}", trained, str(len(mine))]
            + [words.number(float(np.mean([one[name] for one in mine]))) for name in METRICS]
            + (["–"] * 3 if trained == "none" else [_spread(gain) for gain in gains])
        )
    header = ["n", "ε", "share of the release", "trained by DP-SGD", "seeds"]
    header += [*METRICS, *(f"gain in {name}" for name in METRICS)]
    return (
        f"{result['model']} on {result['dataset']}, prior {result['prior']}, judged on {result['judged_on']}; gains are"
        " paired, mean ± half of the 95 % t interval over seeds; `before`: DP-SGD has not begun; KID is that of random "
        "features, lower is better\n\n" + words.grid(header, shown)
    )


def _spread(values: list[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:+.3g}"
    mean = intervals.t_interval(values)
    return f"{mean['value']:+.3g} ± {mean['high'] - mean['value']:.2g}"
