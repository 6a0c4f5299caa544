"""Many runs, one record each: the product of the values given to any settings of a run."""

import dataclasses
import itertools
import json
import math
import pathlib
import re
from collections.abc import Sequence
from typing import Any

from fpu import InputError, models, report
from fpu.baselines import BASELINES
from fpu.files import storage
from fpu.pipeline import grids, groups, progress, refusals, run, settings
from fpu.report import words


def cells(axes: list[str], preset: str | None = None) -> list[settings.Options]:
    """Every combination, of the preset's products with these axes put in. None appears twice.

    Baselines without a mechanism appear at eps = inf alone, and a prior that is named with models that it can help: how
    many runs were left out for that is said in a line. Raises InputError for an unknown flag or preset (with
    the nearest) or a value of the wrong type.
    """
    if preset is None:
        return _product(axes)
    settings.named("--preset=", preset, tuple(grids.GRIDS))
    own = dict(axis.split("=", 1) for axis in axes if "=" in axis)
    wrong = [axis for axis in axes if "=" not in axis]
    products = []
    for given in grids.GRIDS[preset]:
        fixed = grids.BASELINES if grids.BASELINES.items() <= given.items() else {}
        products.append(_product([*wrong, *(f"{k}={v}" for k, v in (given | own | fixed).items())]))
    return list(dict.fromkeys(itertools.chain(*products)))


def shard(text: str, wanted: Sequence) -> list:
    """Every k-th of `wanted` from the i-th on, for "i/k"."""
    i, _, k = text.partition("/")
    if not (i.isdecimal() and k.isdecimal() and int(i) < int(k)):
        raise InputError(f"--shard={text}: write i/k with i from 0 to k - 1, as 0/4 to 3/4")
    return list(wanted[int(i) :: int(k)])


def _product(axes: list[str]) -> list[settings.Options]:
    kinds = settings.kinds()
    del kinds["workdir"]
    kinds["set"] = _overrides
    kinds["skip_unreadable"] = _yes
    values = {}
    for axis in axes:
        name, equals, text = axis.partition("=")
        if not equals:
            raise InputError(f"--set={axis}: write FLAG=VALUE,VALUE,...")
        if name.startswith(("model.", "recipe.", "data.")):
            values[name] = [f"{name}={part}" for part in text.split(",")]
            continue
        if name in settings.REPLACED:
            raise InputError(f"--set={axis}: {name} is gone: {settings.REPLACED[name]}")
        settings.named("--set=", name, tuple(kinds))
        try:
            values[name] = [kinds[name](part) for part in text.split(",")]
        except ValueError:
            kind = "bool, true or false" if kinds[name] is _yes else kinds[name].__name__
            raise InputError(f"--set={axis}: {name} is a {kind}") from None
    products = itertools.product(*values.values())
    combined = [_options(dict(zip(values, product, strict=True))) for product in products]
    kept = [
        options
        for options in combined
        if not (settings.unprotected(options.model) and (options.eps or math.inf) < math.inf)
    ]
    helped = [options for options in kept if not _takes_no_prior(options)]
    for options in helped or kept:  # where nothing is left, the reason of the first
        refusals.check(options)
    if left := list(dict.fromkeys(o.model for o in kept if o not in helped)):
        count = words.plural(len(kept) - len(helped), "run")
        progress.say(
            f"skipped: {count} of {', '.join(left)} with a --prior, which has no release there to help"
        )
    return helped


def _takes_no_prior(options: settings.Options) -> bool:
    """Whether a prior is named for a run that has no release which it could help."""
    known = options.model in (*models.MODELS, *BASELINES)
    return known and options.prior not in ("auto", "none") and not settings.teaches(options)


def _options(values: dict[str, Any]) -> settings.Options:
    """Options of flags by name; what --set of a run takes, as model.width, is joined into that flag."""
    given = {name: value for name, value in values.items() if "." not in name}
    more = tuple(value for name, value in values.items() if "." in name)
    if more:
        given["set"] = (*given.get("set", ()), *more)
    return settings.Options(**given)


def _overrides(text: str) -> tuple[str, ...]:
    """Of the flag --set of a run: no setting, or one, or several joined as model.width=8+recipe.ema=0.9."""
    return tuple(re.split(r"\+(?=(?:model|recipe|data)\.)", text)) if text else ()


def _yes(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError
    return text.lower() == "true"


def name(options: settings.Options) -> str:
    """What tells one run of a sweep from the others: its flags that are not the default."""
    given = settings.given(options)
    given["dataset"] = pathlib.Path(options.dataset).stem
    if options.groups:
        given["groups"] = pathlib.Path(options.groups).stem
    given["model"] = options.model
    if "prior" in given:
        given["prior"] = words.prior_name(given) or "none"
    if options.set:
        given["set"] = "+".join(options.set)
    return "-".join(
        f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in sorted(given.items())
    ).replace(":", "")  # which some file systems and copying commands take for something else


def sweep(
    wanted: Sequence[settings.Options],
    out: storage.AnyPath,
    siblings: int | None = None,
    at_once: int = 1,
) -> tuple[list[str], list[str]]:
    """Do every run that has no record in `out` yet.

    Args:
      out: folder of the records, here or in a bucket (see storage.place).
      siblings: how many runs all shards have together, among which an audit's alarms are shared out.
      at_once: see groups.formed. What training side by side changes is f32 rounding alone.

    Returns: the names of those that failed, and a line for each whose audit refutes its claim.
    """
    _refuse_same_names(wanted)
    failed, refuted, count = [], [], 0
    missing = [options for options in wanted if not storage.exists(_record(out, options))]
    done = [[options] for options in wanted if options not in missing]
    for group in itertools.chain(done, groups.formed(missing, at_once, folder)):
        if len(group) > 1:
            _train_group(group)
        for options in group:
            count += 1
            place = f"[{count}/{len(wanted)}]"
            code, line = _finished(options, out, place, siblings or len(wanted))
            if code == run.REFUTED:
                refuted.append(f"{name(options)}: {line}")
            elif code:
                progress.say(f"error: {name(options)}: {line}")
                failed.append(name(options))
    return failed, refuted


def table(wanted: Sequence[settings.Options], out: storage.AnyPath) -> str:
    """The table of the runs that have their record; empty where none has."""
    there = [path for options in wanted if storage.exists(path := _record(out, options))]
    return report.table(report.read(there)) if there else ""


def folder(options: settings.Options) -> pathlib.Path:
    """Where a run of a sweep works."""
    return pathlib.Path("runs") / name(options)


def _refuse_same_names(wanted: Sequence[settings.Options]) -> None:
    """Two files of one name in different folders: the record of the first would be taken for the second's."""
    by_name = {}
    for options in wanted:
        if (other := by_name.setdefault(name(options), options)) != options:
            raise InputError(
                f"--set: {_files(other)} and {_files(options)} would both be called {name(options)}; rename one file"
            )


def _files(options: settings.Options) -> str:
    return (
        f"{options.dataset} (--prior={options.prior})" if ":" in options.prior else options.dataset
    )


def _record(out: storage.AnyPath, options: settings.Options) -> storage.AnyPath:
    return out / f"{name(options)}.record.json"


def _in_folder(options: settings.Options) -> settings.Options:
    return dataclasses.replace(options, workdir=str(folder(options)))


def _train_group(group: Sequence[settings.Options]) -> None:
    """Train a group as one program. Where that fails its runs train one by one, and each reports its own fault."""
    progress.say(f"training {len(group)} runs side by side, the first is {name(group[0])}")
    try:
        groups.train_group([_in_folder(options) for options in group])
    except Exception as error:  # too little memory, or one run's folder: the others go on
        why = " ".join(str(error).split())[:200]
        if len(group) > 3 and "RESOURCE_EXHAUSTED" in why:
            progress.say("they do not fit the memory: in halves")
            middle = len(group) // 2
            _train_group(group[:middle])
            _train_group(group[middle:])
        else:
            progress.say(f"one by one instead: {type(error).__name__}: {why}")


def _finished(
    options: settings.Options, out: storage.AnyPath, place: str, siblings: int
) -> tuple[int, str]:
    """(exit code, line) of one run, done if it has no record yet."""
    label, record = name(options), _record(out, options)
    try:
        exists = storage.exists(record)
        progress.say(f"{place} {label}{' has its record' if exists else ''}")
        if not exists:
            made = run.run(_in_folder(options), siblings=siblings)
            storage.write(record, (made / "record.json").read_bytes())
        return run.failure(json.loads(record.read_text()))
    except Exception as error:  # one run must not cost the others
        return 1, f"{type(error).__name__}: {' '.join(str(error).split())}"
