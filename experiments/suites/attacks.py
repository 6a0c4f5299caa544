"""Calibration of the attacks: what each finds where there is something to find, and how high an audit can reach.

Powers: every membership attack on the members handed out as they are, on models that overfitted, and on private
versions. Ceilings: the highest lower bound on eps that audits of a given size can show.
"""

import dataclasses
import math
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fpu import data, evaluation, models
from fpu.dp import accounting
from fpu.dp.plan import Plan, Release
from fpu.pipeline import generator, jobs, settings, workdir
from fpu.privacy import audit
from fpu.report import plots, words
from fpu.report.settings import by

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
        aucs, rates = (_values(r[key]) for key in ("auc", "tpr_at_1_fpr"))
        if aucs:
            rate = f" ({100 * np.mean(rates):.0f})" if rates else ""
            text = f"{r['attack']} {np.mean(aucs):.2f}{rate}"
            key = r["model"] + how, str(r["eps"]), f"{r['n']:,}"
            cells.setdefault(key, []).append((-float(np.mean(aucs)), text))
    return [[*key, ", ".join(text for _, text in sorted(each))] for key, each in cells.items()]


def _values(values: list[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def figure(result: dict) -> Figure:
    """The strongest attack on each generator against n, without privacy and with."""
    drawn = plots.sheet(10, 4)
    for ax, private in zip(drawn.subplots(1, 2, sharey=True), (False, True), strict=True):
        _panel(ax, [r for r in result["powers"] if (r["eps"] != "inf") == private], private)
        ax.set_title("ε = 10" if private else "no privacy", fontsize=10)
    drawn.suptitle(f"The strongest membership attack on {result['dataset']}", fontsize=11)
    drawn.supxlabel("members", fontsize=9)
    return drawn


def _panel(ax: Axes, rows: list[dict], private: bool) -> None:
    for (model, scratch), some in by(rows, itemgetter("model", "from_scratch")).items():
        best: dict[int, float] = {}
        for r in some:
            if aucs := _values(r["auc"]):
                best[r["n"]] = max(best.get(r["n"], 0.0), float(np.mean(aucs)))
        dashed = scratch and private
        ax.plot(
            list(best),
            list(best.values()),
            "--s" if dashed else "-o",
            ms=3,
            color=plots.STYLES[model][0],
            label=model + " from scratch" * dashed,
        )
    ax.axhline(0.5, color="#666666", lw=0.8, ls=":")
    plots.log_axis(ax, sorted({row["n"] for row in rows}))
    ax.set_ylim(0.4, 1.02)
    ax.set_ylabel("AUC", fontsize=8)
    if rows:
        ax.legend(fontsize=6)
