"""A run from its settings to its folder: generate, release, judge, audit, record, report."""

import json
import pathlib
import time
from typing import Any

import jax

from fpu import data, distributed, evaluation, record, report
from fpu.baselines import OF_PRIOR
from fpu.dp import accounting
from fpu.files import cache, safe
from fpu.pipeline import (
    auditing,
    copies,
    draw,
    folds,
    generator,
    jobs,
    paper_worlds,
    planning,
    processes,
    progress,
    repeats,
    settings,
    signals,
    workdir,
)
from fpu.pipeline.jobs import Job
from fpu.release import generators, pack, texts
from fpu.report import verdict

DIVERGED, REFUTED = 1, 3  # exit codes

# What the secret key is folded with for models beside the run. Far from 0, 1, 2 ...: to split a key is to
# fold it with these, and that is how the released model gets its own.
SHADOWS, AUDIT, WORLDS, CLASSIFIER, REPEATS = 1001, 1002, 1003, 1004, 1005  # 1006: generator.RIVAL
FOLDS = 1007


def run(
    options: settings.Options, siblings: int = 1, addresses: tuple | None = None
) -> pathlib.Path:
    """Do the whole run and return its folder. InputError for bad input.

    Args:
      siblings: runs of the sweep that this one belongs to, among which an audit's alarms are shared out.
      addresses: arguments of distributed.initialize, where several processes may be doing this run.
    """
    begun = time.monotonic()
    job = jobs.prepare(options)
    folder = workdir.place(job)
    if addresses is not None:
        distributed.initialize(*addresses)
    with processes.opened(folder, job.config) as finished, signals.on_stop():
        if finished:
            if distributed.is_first() and not (folder / "report.html").is_file():
                _write_report(folder, json.loads((folder / "record.json").read_text()))
            progress.say(f"{folder} is finished: see report.html, or name another --workdir")
            return folder
        carry_out(job, folder, begun, siblings)
    return folder


def carry_out(job: Job, folder: pathlib.Path, begun: float, siblings: int) -> None:
    """Everything from the secret key to the report. Repeats nothing that a killed run had finished.

    Of several processes each computes all of it, and the first alone writes: the key in the folder is its own.
    """
    seconds = {"calibrate": time.monotonic() - begun}
    eps, accountant = accounting.epsilon(job.plan)
    warning = planning.hopeless(job.plan, job.n, job.dataset.n_classes)
    for line in filter(None, [*data.look(job.dataset, job.split), warning]):
        progress.say(line)
    progress.say(job.plan.statement(job.options.noise_seed is not None))
    key = processes.secret_key(folder, job.options.noise_seed)
    public = jax.random.key(job.options.seed)
    try:
        made, images, labels, rivals = _generated(job, folder, key, public, seconds)
    except draw.Diverged as error:  # a result too: left out, a grid would look better than it is
        seconds["total"] = time.monotonic() - begun
        nothing = {"fidelity": {}, "utility": {}}
        result = record.make(job, eps, accountant, nothing, seconds) | {"diverged": str(error)}
        if distributed.is_first():
            _finish(folder, result)
        return
    group = workdir.note(folder)
    seconds["train"] += group.get("seconds", 0.0)
    if distributed.is_first():
        _write_images(job, folder, images, labels, made.params)

    judged = _judged(job, key, public, made, images, labels, rivals, seconds)
    clock = time.monotonic()
    audited = auditing.run(job, jax.random.fold_in(key, AUDIT), public, siblings)
    seconds |= {"audit": time.monotonic() - clock} if audited else {}
    seconds["total"] = time.monotonic() - begun
    result = record.make(job, eps, accountant, judged, seconds, audited)
    result["cost"]["trained_side_by_side"] = group.get("cells", 1)
    if job.plan.private:
        result["thumbnails"] = report.thumbnails(images, labels)
    if distributed.is_first():
        _finish(folder, result)
    for line in verdict.screen(result):
        progress.say(line)


def _generated(job: Job, folder, key, public, seconds: dict):
    """(the generator, its images, their labels, {rival: (images, labels)}); both parts' time in `seconds`."""
    clock = time.monotonic()
    made = generator.made(job, folder, key, public)
    seconds["train"] = time.monotonic() - clock

    clock = time.monotonic()
    labels = job.labels
    images = job.draw(made.sample, labels, public)
    sizes = {"one_shot": draw.MANY} if job.prior else {}
    rivals, k_rivals = {}, jax.random.fold_in(public, 6)
    for name, rival in made.rivals.items():
        size = sizes.get(name, job.at_once(len(labels)))
        rivals[name] = draw.draw(rival, k_rivals, labels, size), labels
    seconds["sample"] = time.monotonic() - clock
    return made, images, labels, rivals


def _write_images(job: Job, folder: pathlib.Path, images, labels, params: Any) -> None:
    """The release, and beside it, for the data holder alone, the picture and the manifest."""
    dataset, members = job.dataset, job.split.members
    names = tuple(map(str, dataset.class_names))
    drawn = job.prior if job.options.model in OF_PRIOR else None
    spec = job.trainer.spec if job.trained else job.spec
    parts = job.options.model, job.config["model_config"], spec, names, params, drawn
    pack.write(
        folder / "release",
        texts.privacy(job.plan, job.options.noise_seed is not None, job.prior),
        images,
        labels,
        dataset,
        None if params is None else generators.Generator(*parts),
        lambda path: report.samples_png(path, images, labels, names),
    )
    real = dataset.images[members], dataset.labels[members]
    strip = [job.prior.images] if job.prior else []
    report.samples_png(folder / "samples.png", images, labels, dataset.class_names, *real, *strip)
    safe.write_json(folder / "manifest.json", data.manifest(dataset, job.split))


def _judged(job: Job, key, public, made, images, labels, rivals, seconds: dict) -> dict:
    """What evaluation.evaluate says, and the paper's empirical epsilon where it was asked for."""
    options, clock = job.options, time.monotonic()

    def shadows(targets, scores):
        secret = jax.random.fold_in(key, SHADOWS)
        return copies.attack(job, targets, scores, options.shadows, secret, public)

    budget = (accounting.epsilon(job.plan)[0], job.plan.delta) if job.plan.private else None
    judged = evaluation.evaluate(
        job.dataset,
        job.split,
        images,
        labels,
        scores=made.scores,
        shadows=shadows if options.shadows else None,
        beside=rivals,
        again=repeats.sets(job, made.sample, labels, jax.random.fold_in(key, REPEATS), public),
        budget=budget,
        n=job.n,
        prior=job.prior_of_classifier if budget else None,
        seed=options.seed,
        secret=jax.random.fold_in(key, CLASSIFIER),
        protocol=options.evaluation,
        cache=cache.folder("floors"),
        progress=progress.say,
    )
    seconds |= judged["seconds"]
    audit, queries = settings.audit(options)
    if audit == "paper":
        secret = jax.random.fold_in(key, WORLDS)
        judged["empirical_epsilon"] = paper_worlds.judge(job, secret, queries)
    seconds["evaluate"] = time.monotonic() - clock
    clock = time.monotonic()
    if crossed := folds.judge(job, labels, jax.random.fold_in(key, FOLDS), public):
        judged["cross_fitted"] = crossed
        seconds["folds"] = time.monotonic() - clock
    return judged


def _finish(folder: pathlib.Path, result: dict) -> None:
    """Write the record, destroy the key, from which nothing more is drawn, and write the report.

    A release whose guarantee an audit or an attack refutes is withdrawn before the record says so.
    """
    try:
        if refuted := _refutation(result):
            pack.withdraw(folder / "release", refuted)
        safe.write_json(folder / "record.json", result)
    finally:
        workdir.destroy_secret(folder)
    _write_report(folder, result)


def _refutation(result: dict) -> str | None:
    return (
        auditing.refutation(result)
        or verdict.exceeded(result)
        or verdict.exceeded(verdict.crossed(result))
    )


def _write_report(folder: pathlib.Path, result: dict) -> None:
    picture = None if "diverged" in result else (folder / "samples.png").read_bytes()
    safe.write_text(folder / "report.html", report.page(result, picture))


def failure(result: dict) -> tuple[int, str]:
    """(exit code, one line) where a record says that training diverged or its claim is refuted; else (0, "")."""
    if line := _refutation(result):
        return REFUTED, line
    return (DIVERGED, result["diverged"]) if "diverged" in result else (0, "")
