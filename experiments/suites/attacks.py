"""Calibration of the attacks: what each finds where there is something to find, and how high an audit can reach.

Powers: every membership attack on the members handed out as they are, on models that overfitted, and on private
versions. Ceilings: the highest lower bound on eps that audits of a given size can show.
"""

import dataclasses
import math

import numpy as np
from matplotlib.figure import Figure

from experiments.suites import drawing, making
from fpu import data, models
from fpu.dp import accounting
from fpu.dp.plan import Plan, Release
from fpu.fidelity import features
from fpu.pipeline import settings
from fpu.privacy import attacks, audit, samples_only, targets
from fpu.utility import classifier

COUNTS = (50, 100, 500)
SEEDS = (0, 1)
GENERATORS = (  # model, eps, steps of DP-SGD from scratch (None: the default, all of eps in a warm-up)
    ("fresh", math.inf, None),
    ("copycat", math.inf, None),
    ("gaussian", math.inf, None),
    *((model, math.inf, 2000) for model in ("vae", "gan", "ddpm")),
    *((model, 10.0, 2000) for model in ("vae", "gan", "ddpm")),
    *((model, 10.0, None) for model in ("gaussian", "vae", "gan", "ddpm")),
)
SIZES = (100, 1000, 10_000)  # runs in each world, or canaries
CLAIMS = (1.0, 3.0, 10.0)
DELTA = 1e-5
_COLOURS = {
    "vae": "#0072b2",
    "gan": "#d55e00",
    "ddpm": "#009e73",
    "gaussian": "#cc79a7",
    "copycat": "#000000",
    "fresh": "#999999",
}


def measure(say, name, data_dir) -> dict:
    """{'dataset', 'source', 'seeds', 'powers', 'ceilings'}; the last two are lists of rows.

    Args:
      say: called with one line for each generator.
      name, data_dir: as data.load takes them.
    """
    dataset = data.load(name, data_dir)
    facts = {"dataset": dataset.name, "source": dataset.source, "seeds": len(SEEDS)}
    return facts | {"powers": powers(name, data_dir, say), "ceilings": ceilings(say)}


def powers(name, data_dir, say) -> list[dict]:
    """For each generator and number of members: every attack's AUC and TPR at 1 % FPR, over SEEDS."""
    rows = []
    for n in COUNTS:
        for model, eps, steps in GENERATORS:
            options = settings.Options(model, name, data_dir, n_train=n, eps=eps, steps=steps)
            found = [attacked(dataclasses.replace(options, seed=seed)) for seed in SEEDS]
            setting = {"n": n, "model": model, "eps": "inf" if math.isinf(eps) else eps}
            setting |= {"from_scratch": steps is not None}
            for attack in found[0]:
                row = setting | {"attack": attack}
                for key in ("auc", "tpr_at_1_fpr"):
                    held = [one[attack][key] for one in found]
                    row[key] = [m["value"] for m in held]
                    row[f"{key}_intervals"] = [[m.get("low"), m.get("high")] for m in held]
                row["count"] = found[0][attack]["auc"].get("n")
                rows.append(row)
            best = max(
                (max((v or 0 for v in r["auc"])), r["attack"]) for r in rows[-len(found[0]) :]
            )
            say(
                f"calibration: {model}, eps {eps:g}, n = {n}: {best[1]} reaches an AUC of {best[0]:.3f}"
            )
    return rows


def attacked(options) -> dict:
    """{attack: what attacks.membership says} of one generator, trained as experiments.run trains it."""
    job, images, labels, scores = making.made(options)
    dataset, split, seed = job.dataset, job.split, options.seed
    rng = np.random.default_rng(seed)
    chosen = targets.choose(dataset, split, images, rng, 1000)
    # An attacker's reference must hold none of the images under attack, as evaluation.py sees to.
    unseen = np.setdiff1d(split.reference, chosen.index)
    reference = dataset.images[unseen], dataset.labels[unseen]
    embed, _ = features.domain(
        *reference, dataset.n_classes, seed=seed, steps=classifier.STEPS, scale=reference[0]
    )
    known = samples_only.Known(images, labels, *reference, embed)
    mine = dataset.images[chosen.index], dataset.labels[chosen.index]
    found, unable = samples_only.scores(*mine, known)
    if scores is not None:
        found |= scores(*mine)
    return targets.judge(chosen, found, rng) | {k: attacks.unable(v) for k, v in unable.items()}


def ceilings(say) -> list[dict]:
    """For each claim and size: what an optimal attacker on the Gaussian mechanism can show, and one who never errs."""
    rows = []
    for eps in CLAIMS:
        plan = accounting.calibrate(lambda noise: Plan(DELTA, (Release(noise),)), eps)
        claim = audit.claim(plan)
        for size in SIZES:
            perfect = np.full(size, 1.0), np.full(size, 0.0)
            for kind, judge in (("two worlds", audit.two_worlds), ("one run", audit.one_run)):
                sides = perfect if kind == "two worlds" else [side[: size // 2] for side in perfect]
                for method, row in judge(*sides, claim).items():
                    facts = {"claim": eps, "delta": DELTA, "kind": kind, "size": size}
                    rows.append(
                        facts | {"method": method, **{k: row[k] for k in ("ceiling", "limit")}}
                    )
        say(f"calibration: ceilings of audits at eps {eps:g}")
    return rows


def table(result) -> str:
    """Both parts as markdown."""
    sizes = sorted({r["size"] for r in result["ceilings"]})
    reached = {}
    for r in result["ceilings"]:
        key = f"{r['claim']:g}", r["kind"], r["method"].replace("_", " ")
        reached.setdefault(key, []).append(f"{r['ceiling']:.2f} / {r['limit']:.2f}")
    return "\n\n".join(
        [
            f"Membership attacks on {result['dataset']}: mean AUC over subsets ({result['seeds']}), in brackets TPR "
            "at 1 % FPR in percent",
            drawing.grid(["generator", "eps", "n", "attacks"], _attack_rows(result["powers"])),
            f"Lower bounds on eps at confidence .95, Gaussian mechanism, delta {DELTA:g}: of an optimal attacker / "
            "of one who never errs, by runs in each world or canaries",
            drawing.grid(
                ["claim", "audit", "method", *(f"{size:,}" for size in sizes)],
                [[*key, *cells] for key, cells in reached.items()],
            ),
        ]
    )


def _attack_rows(rows) -> list[list[str]]:
    lines = {}
    for r in rows:
        trained = r["model"] in models.MODELS and r["eps"] != "inf"
        how = (" from scratch" if r["from_scratch"] else " on draws") if trained else ""
        known = [v for v in r["auc"] if v is not None]
        if known:
            tprs = [v for v in r["tpr_at_1_fpr"] if v is not None]
            tpr = f" ({100 * np.mean(tprs):.0f})" if tprs else ""
            told = f"{r['attack']} {np.mean(known):.2f}{tpr}"
            lines.setdefault((r["model"] + how, r["eps"], r["n"]), []).append(
                (-np.mean(known), told)
            )
    return [
        [model, eps, f"{n:,}", ", ".join(told for _, told in sorted(each))]
        for (model, eps, n), each in lines.items()
    ]


def figure(result) -> Figure:
    """The strongest attack on each generator against n, without privacy and with."""
    drawn = Figure(figsize=(10, 4), layout="constrained")
    for ax, private in zip(drawn.subplots(1, 2, sharey=True), (False, True), strict=True):
        _strongest(ax, [r for r in result["powers"] if (r["eps"] != "inf") == private])
        ax.set_title("ε = 10" if private else "no privacy", fontsize=10)
    drawn.suptitle(f"The strongest membership attack on {result['dataset']}", fontsize=11)
    drawn.supxlabel("members", fontsize=9)
    return drawn


def _strongest(ax, rows):
    kinds = list(dict.fromkeys((r["model"], r["from_scratch"]) for r in rows))
    for model, scratch in kinds:
        best = {}
        for r in rows:
            known = [v for v in r["auc"] if v is not None]
            if (r["model"], r["from_scratch"]) == (model, scratch) and known:
                best[r["n"]] = max(best.get(r["n"], 0), float(np.mean(known)))
        how = " from scratch" if scratch and rows[0]["eps"] != "inf" else ""
        ax.plot(
            list(best),
            list(best.values()),
            "-o" if not how else "--s",
            ms=3,
            color=_COLOURS[model],
            label=model + how,
        )
    ax.axhline(0.5, color="#666666", lw=0.8, ls=":")
    drawing.counts(ax, rows)
    ax.set_ylim(0.4, 1.02)
    ax.set_ylabel("AUC", fontsize=8)
    ax.legend(fontsize=6)
