"""Calibration of the attacks: what each finds where there is something to find, and how high an audit can reach.

Powers: every membership attack on the members handed out as they are, on models that overfitted, and on private
versions. Ceilings: the highest lower bound on eps that audits of a given size can show.
"""

import dataclasses
import math
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from fpu import data, evaluation, models
from fpu.dp import accounting
from fpu.dp.plan import Plan, Release
from fpu.pipeline import generator, jobs, settings, workdir
from fpu.privacy import audit
from fpu.report import words

PER_CLASS = (5, 10, 50)  # members
SEEDS = (0, 1)
GENERATORS = (  # model, eps, steps of DP-SGD from scratch (None: the default, all of eps in a warm-up)
    ("fresh", math.inf, None),
    ("copycat", math.inf, None),
    ("gaussian", math.inf, None),
    *((model, math.inf, 2000) for model in ("vae", "gan", "ddpm")),
    *((model, 10.0, 2000) for model in ("vae", "gan", "ddpm")),
    *((model, 10.0, None) for model in ("gaussian", "vae", "gan", "ddpm")),
)
IMAGES = 1000  # drawn from each generator
SIZES = (100, 1000, 10_000)  # runs in each world, or canaries
CLAIMS = (1.0, 3.0, 10.0)
DELTA = 1e-5


def measure(say: Callable[[str], None], name: str, data_dir: str | None) -> dict:
    """{'dataset', 'source', 'seeds', 'powers', 'ceilings'}; the last two are lists of rows."""
    dataset = data.load(name, data_dir)
    facts = {"dataset": dataset.name, "source": dataset.source, "seeds": len(SEEDS)}
    return facts | {"powers": powers(name, data_dir, say), "ceilings": ceilings(say)}


def powers(name: str, data_dir: str | None, say: Callable[[str], None]) -> list[dict]:
    """For each generator and number of members: every attack's AUC and TPR at 1 % FPR, over SEEDS."""
    rows = []
    for per_class in PER_CLASS:
        for model, eps, steps in GENERATORS:
            options = settings.Options(
                model, name, data_dir, n_per_class=per_class, eps=eps, steps=steps
            )
            runs = [attacked(dataclasses.replace(options, seed=seed)) for seed in SEEDS]
            counts, results = zip(*runs, strict=True)
            setting = {
                "n": counts[0],
                "model": model,
                "eps": "inf" if math.isinf(eps) else eps,
                "from_scratch": steps is not None,
            }
            rows += [setting | _power(attack, results) for attack in results[0]]
            say(f"attacks: {model}, eps {eps:g}, {per_class} a class: {_strongest(rows, setting)}")
    return rows


def _power(attack: str, results: Sequence[dict]) -> dict:
    """One attack's row: a value and an interval of each metric for each seed."""
    row: dict[str, Any] = {"attack": attack}
    for key in ("auc", "tpr_at_1_fpr"):
        metrics = [result[attack][key] for result in results]
        row[key] = [m["value"] for m in metrics]
        row[f"{key}_intervals"] = [[m.get("low"), m.get("high")] for m in metrics]
    return row | {"count": results[0][attack]["auc"].get("n")}


def _strongest(rows: list[dict], setting: dict) -> str:
    """The attack with the largest AUC of one seed, in words."""
    same = [row for row in rows if setting.items() <= row.items()]
    auc, attack = max((value or 0, row["attack"]) for row in same for value in row["auc"])
    return f"{attack} reaches an AUC of {auc:.3f}"


def attacked(options: settings.Options) -> tuple[int, dict]:
    """(number of members, {attack: what targets.judge says}) of one generator, trained as experiments.run does."""
    job, seed = jobs.prepare(options), options.seed
    public = jax.random.key(seed)
    labels = np.arange(IMAGES) % job.dataset.n_classes
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        key = workdir.secret_key(folder, options.noise_seed)
        made = generator.made(job, folder, key, public)
    drawn = job.draw(made.sample, labels, public), labels
    judged = evaluation.attacked(
        job.dataset, job.split, drawn, made.scores, None, seed, "quick", lambda line: None
    )
    return len(job.split.members), judged


def ceilings(say: Callable[[str], None]) -> list[dict]:
    """For each claim and size: what an optimal attacker on the Gaussian mechanism can show, and one who never errs."""
    rows = []
    for eps in CLAIMS:
        plan = accounting.calibrate(lambda noise: Plan(DELTA, (Release(noise),)), eps)
        claim = audit.claim(plan)
        for size in SIZES:
            for kind, judge, side in (
                ("two worlds", audit.two_worlds, size),
                ("one run", audit.one_run, size // 2),
            ):
                facts = {"claim": eps, "delta": DELTA, "kind": kind, "size": size}
                for method, row in judge(np.ones(side), np.zeros(side), claim).items():
                    bounds = {key: row[key] for key in ("ceiling", "limit")}
                    rows.append(facts | {"method": method} | bounds)
        say(f"attacks: ceilings of audits at eps {eps:g}")
    return rows


def table(result: dict) -> str:
    """Both parts as markdown."""
    sizes = sorted({r["size"] for r in result["ceilings"]})
    bounds: dict[tuple, list[str]] = {}
    for r in result["ceilings"]:
        key = f"{r['claim']:g}", r["kind"], r["method"].replace("_", " ")
        bounds.setdefault(key, []).append(f"{r['ceiling']:.2f} / {r['limit']:.2f}")
    return "\n\n".join(
        [
            f"Membership attacks on {result['dataset']}: mean AUC over subsets ({result['seeds']}), in brackets TPR "
            "at 1 % FPR in percent",
            words.grid(
                ["generator", "eps", "n", "attacks"], _attack_rows(result["powers"]), align="---"
            ),
            f"Lower bounds on eps at confidence .95, Gaussian mechanism, delta {DELTA:g}: of an optimal attacker / "
            "of one who never errs, by runs in each world or canaries",
            words.grid(
                ["claim", "audit", "method", *(f"{size:,}" for size in sizes)],
                [[*key, *cells] for key, cells in bounds.items()],
            ),
        ]
    )


def _attack_rows(rows: list[dict]) -> list[list[str]]:
    """A row of cells for each generator, eps and n; the attacks that gave an AUC, strongest first."""
    cells: dict[tuple, list[tuple[float, str]]] = {}
    for r in rows:
        trained = r["model"] in models.MODELS and r["eps"] != "inf"
        how = (" from scratch" if r["from_scratch"] else " on draws") if trained else ""
        aucs, rates = ([x for x in r[key] if x is not None] for key in ("auc", "tpr_at_1_fpr"))
        if aucs:
            rate = f" ({100 * np.mean(rates):.0f})" if rates else ""
            text = f"{r['attack']} {np.mean(aucs):.2f}{rate}"
            key = r["model"] + how, str(r["eps"]), f"{r['n']:,}"
            cells.setdefault(key, []).append((-float(np.mean(aucs)), text))
    return [[*key, ", ".join(text for _, text in sorted(each))] for key, each in cells.items()]
