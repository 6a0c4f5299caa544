"""fpu/commands/sweep.py: which runs a grid holds, and how shards share them out."""

import dataclasses
import json

import pytest
from fake_records import record

from fpu import InputError
from fpu.pipeline import cost, forecast, grids, refusals, settings, sweep


def test_axes_are_multiplied_and_baselines_appear_at_infinity_alone():
    wanted = sweep.cells(["model=vae,copycat", "eps=1,inf", "seed=0,1"])
    infinite = [(model, float("inf"), seed) for model in ("vae", "copycat") for seed in (0, 1)]
    wanted = [(o.model, o.eps, o.seed) for o in wanted]
    assert wanted == [("vae", 1.0, 0), ("vae", 1.0, 1), *infinite]


def test_a_prior_is_left_out_where_it_has_nothing_to_help_and_a_line_says_so(capsys):
    wanted = sweep.cells(["prior=none,glyphs", "model=gaussian,vae", "eps=1,inf"])
    told = [(o.prior, o.model, o.eps) for o in wanted]
    plain = [("none", model, eps) for model in ("gaussian", "vae") for eps in (1.0, float("inf"))]
    assert told == [*plain, ("glyphs", "vae", 1.0)]
    assert "skipped: 3 runs of gaussian, vae with a --prior" in capsys.readouterr().err
    with pytest.raises(InputError, match="--model=gaussian takes none"):
        sweep.cells(["prior=glyphs", "model=gaussian", "eps=1"])


@pytest.mark.parametrize("name", grids.GRIDS)
def test_every_preset_is_a_list_of_good_runs_with_names_of_their_own(name):
    wanted = sweep.cells([], name)
    for options in wanted:
        refusals.check(options)
    assert len({sweep.name(options) for options in wanted}) == len(wanted) > 1


def test_an_axis_replaces_that_of_the_preset_but_baselines_stay():
    wanted = sweep.cells(["model=ddpm", "eps=3", "seed=7"], "corrected")
    real = {(name, float("inf")) for name in ("copycat", "fresh")}
    assert {(o.model, o.eps) for o in wanted} == {("ddpm", 3.0), *real}
    assert {o.seed for o in wanted} == {7}
    assert {o.n_per_class for o in wanted} == {10, 50, 100, 500, 0}


def test_an_ablation_changes_one_thing_at_a_time():
    made = map(dataclasses.asdict, sweep.cells(["model=ddpm", "seed=0"], "ablation"))
    base, *others = [{k: v for k, v in each.items() if v is not None} for each in made]
    changed = [{k for k in {**base, **o} if base.get(k) != o.get(k)} for o in others]
    assert changed.count({"set"}) == 4  # subset, size, learning rate, guidance
    assert {"eps", "noise_multiplier"} in changed
    assert {"preset", "n_per_class", "warmup_share"} in changed
    assert all(len(names) == 1 for names in changed if not names & {"eps", "preset"})


def test_a_setting_may_be_several_and_names_hold_no_colon():
    axes = ["set=,model.size=tiny+recipe.learning_rate=1e+2", "audit=two_worlds:20", "eps=1"]
    plain, both = sweep.cells(axes)
    assert (plain.set, both.set) == ((), ("model.size=tiny", "recipe.learning_rate=1e+2"))
    assert sweep.name(both) == (
        "audit=two_worlds20-dataset=digits-eps=1-model=ddpm-set=model.size=tiny+recipe.learning_rate=1e+2"
    )


def test_a_prior_is_an_axis_and_its_path_is_not_in_the_name(tmp_path):
    axes = ["model=vae", "eps=1"]
    plain, without, own = sweep.cells([*axes, "prior=auto,none,images:a/letters.npz"])
    assert sweep.name(plain) == "dataset=digits-eps=1-model=vae"
    assert sweep.name(without) == "dataset=digits-eps=1-model=vae-prior=none"
    assert sweep.name(own) == "dataset=digits-eps=1-model=vae-prior=imagesletters"
    wanted = sweep.cells([*axes, "prior=images:a/x.npz,images:b/x.npz"])
    with pytest.raises(InputError, match=r"a/x.npz\) and digits \(--prior=images:b/x.npz\) would"):
        sweep.sweep(wanted, tmp_path)


def test_yes_and_no_and_the_name_of_a_groups_file():
    axes = ["model=gaussian", "eps=1", "groups=some/where/g.csv", "skip_unreadable=true,False"]
    made = sweep.cells(axes)
    assert [options.skip_unreadable for options in made] == [True, False]
    assert sweep.name(made[1]) == "dataset=digits-eps=1-groups=g-model=gaussian"
    with pytest.raises(InputError, match="skip_unreadable is a bool, true or false"):
        sweep.cells(["eps=1", "skip_unreadable=yes"])


def test_two_files_of_one_name_are_refused(tmp_path):
    wanted = sweep.cells(["model=gaussian", "eps=1", "dataset=a/scans.npz,b/scans.npz"])
    with pytest.raises(InputError, match=r"a/scans.npz and b/scans.npz would both .* rename"):
        sweep.sweep(wanted, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("count", [1, 3, 5])
def test_shards_share_all_runs_out_once(count):
    wanted = sweep.cells([], "smoke")
    parts = [sweep.shard(f"{i}/{count}", wanted) for i in range(count)]
    shared = [sweep.name(options) for part in parts for options in part]
    assert sorted(shared) == sorted(map(sweep.name, wanted))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["4/4", "1", "-1/2", "a/b", "0/0", ""])
def test_a_bad_shard_is_refused(text):
    with pytest.raises(InputError, match="--shard="):
        sweep.shard(text, [])


@pytest.mark.parametrize(
    ("axes", "preset", "word"),
    [
        (["modle=vae"], None, "did you mean model"),
        (["size=tiny"], None, "size is gone: write --set model.size=tiny"),
        (["eps=one"], None, "eps is a float"),
        (["eps"], "smoke", "--set=eps"),
        ([], "smok", "did you mean smoke"),
    ],
)
def test_bad_axes_are_refused(axes, preset, word):
    with pytest.raises(InputError, match=word):
        sweep.cells(axes, preset)


def test_a_dry_run_prices_every_kind_of_program_once_and_tells_what_will_fail(monkeypatch):
    asked = []

    def stages(trainer, plan, count):
        asked.append(count)
        return [cost.Price(100, 0.5, 2**20), cost.Price(10, 2.0, 2**21)]

    monkeypatch.setattr(cost, "stages", stages)
    monkeypatch.setattr(forecast, "_step", lambda job: 0.01)
    wanted = sweep.cells(["model=vae,gaussian", "eps=1", "n_per_class=10", "seed=0,1,2"])
    wanted.append(settings.Options(model="vae", eps=1.0, dataset="none.npz"))
    said = forecast.lines(wanted, 2)
    groups = [line for line in said if not line.startswith("  ")]
    assert groups[0] == "2 x 2 side by side: vae, 110 steps, 70.0 s, 2 MB"
    assert groups[1] == "1 x alone: vae, 110 steps, 70.0 s, 2 MB"
    assert groups[2] == "3 x alone: gaussian, not trained"
    assert groups[3].startswith("1 x alone: will fail: none.npz: cannot be read")
    # The judging of 3 VAEs (8 trainings and 5 repeats) and of 3 one-shot runs (6 and 5), 400 steps of .01 s, twice.
    assert groups[4].startswith("7 runs in 6 groups: 2.3 min of training and about 9.6 min of judg")
    assert asked == [2, 1]
    names = [line.strip() for line in said if line.startswith("  ")]
    assert names == [sweep.name(options) for options in wanted]


def test_a_dry_run_of_many_runs_is_short(monkeypatch):
    monkeypatch.setattr(forecast, "_step", lambda job: 0.01)
    said = forecast.lines(sweep.cells(["model=gaussian", "eps=1", "seed=0,1,2,3,4,5,6,7"]), 1)
    assert (len(said), said[-2]) == (3 + forecast.SHOWN, "  and 5 more")


def test_settings_of_models_are_axes_of_a_sweep():
    wanted = sweep.cells(["model=vae", "eps=1", "model.width=8,16", "recipe.ema=0.9"])
    widths = [("model.width=8", "recipe.ema=0.9"), ("model.width=16", "recipe.ema=0.9")]
    assert [o.set for o in wanted] == widths
    assert len({sweep.name(o) for o in wanted}) == 2


def test_a_sweep_ends_with_the_table_of_the_runs_that_it_did(tmp_path):
    wanted = sweep.cells(["model=vae", "eps=1", "seed=0,1"])
    assert sweep.table(wanted, tmp_path) == ""
    for seed, options in enumerate(wanted):
        path = tmp_path / f"{sweep.name(options)}.record.json"
        path.write_text(json.dumps(record("vae", 1.0, 0.80 + 0.02 * seed, seed=seed)))
    lines = [line for line in sweep.table(wanted, tmp_path).splitlines() if "| VAE" in line]
    assert len(lines) == 1
    assert "| 500 | 2 | 81 ±" in lines[0]
