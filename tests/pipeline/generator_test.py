"""fpu/pipeline/generator.py with a public prior: a run from its flags to its release, and what it has to beat."""

import json

import jax
import numpy as np
import pytest
import tiny_prior
from quick_run import JUDGED, PNG, SECRET, killed_in, options, tells_the_secret

from fpu import InputError, data, evaluation, models, priors, report, training
from fpu.baselines import OF_PRIOR, gaussian, merf_prior
from fpu.pipeline import run, workdir
from fpu.priors import conditioning, release
from fpu.release import generators

pytestmark = pytest.mark.usefixtures("plain")
ON_DRAWS = {"noise_multiplier": None, "eps": 5.0, "draw_steps": 3, "steps": None}
DRAWS = {"model": "prior", "noise_multiplier": None, "eps": 5.0, "steps": None, "set": ()}


@pytest.fixture(autouse=True)
def squares(monkeypatch):
    tiny_prior.install(monkeypatch)
    monkeypatch.setattr(merf_prior, "STEPS", 3)


def read(folder, name):
    return json.loads((folder / name).read_text())


def logged(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def images(folder):
    return np.load(folder / "release" / "synthetic.npz")["train_images"]


def test_a_run_killed_while_draws_teach_it_goes_on_the_same(tmp_path, quick, monkeypatch, capsys):
    folder = tmp_path / "killed"
    with killed_in("warmup"):
        run.run(options(folder, **ON_DRAWS))
    assert tells_the_secret(folder) == {workdir.SECRET}
    for change in ({"prior": "none"}, {"version": "2"}):
        with monkeypatch.context() as patch:
            tiny_prior.install(patch, change.pop("version", "1"))
            with pytest.raises(InputError, match=r"holds another run \(prior"):
                run.run(options(folder, **ON_DRAWS, **change))
    tiny_prior.install(monkeypatch)
    run.run(options(folder, **ON_DRAWS))
    told = capsys.readouterr().err
    assert "continuing from step 2" in told
    assert "draws of the release: 200 of 200" in told
    chain = "release of class means in the space of squares -> 200 draws -> VAE, 3 steps; no DP-SGD"
    assert chain in told
    straight = run.run(options(tmp_path / "straight", **ON_DRAWS))
    np.testing.assert_array_equal(images(folder), images(straight))

    record = read(folder, "record.json")
    assert 4.97 < record["privacy"]["eps"] <= 5.0
    assert [stage.get("steps") for stage in record["privacy"]["stages"]] == [None]
    assert all("warmup/loss" in line for line in logged(folder))
    assert record["config"]["prior"] == "squares"
    knows = "no public images: squares drawn by a test"
    facts = {"name": "squares", "version": "1", "n_images": 60, "members_among_them": 0}
    assert record["prior"] == facts | {"knows": knows}
    assert read(folder, "release/privacy.json")["prior"]["version"] == "1"
    for page in ("PRIVACY.md", "README.md"):
        text = (folder / "release" / page).read_text()
        assert "`squares`, version 1" in text
        assert "squares drawn by a test" in text
    facts = read(folder, "release/generator.json")
    assert (facts["code"], "prior" in facts) == (4, False)  # more can be drawn without the prior
    assert np.load(folder / "release" / "generator.npz")["codes"].shape[1:] == (4,)
    loaded = generators.load(folder / "release")
    labels = np.load(folder / "release" / "synthetic.npz")["train_labels"][:50, 0]
    again = loaded.sample(jax.random.fold_in(jax.random.fold_in(jax.random.key(0), 2), 0), labels)
    np.testing.assert_array_equal(np.round(255 * again)[..., 0], images(folder)[:50])
    levels = np.round(255 * np.asarray(loaded.params["tones"]))
    assert set(np.unique(images(folder))) <= set(levels)  # grey levels of the draws
    without = run.run(options(tmp_path / "without", **ON_DRAWS, prior="none"))
    assert "prior" not in read(without, "record.json")
    assert "prior" not in (without / "release" / "PRIVACY.md").read_text()
    assert (images(without) != images(folder)).any()


def test_where_a_prior_does_not_decode_a_model_keeps_the_codes_of_its_clear_images(
    tmp_path, quick, monkeypatch
):
    def without_decoder(name, spec, *_):
        prior = tiny_prior.prior(spec)
        return prior._replace(space=prior.space._replace(decode=None))

    seen = []

    def clear(prior, release, drawn, made, n_classes):
        seen.append((release, drawn, made))
        return found(prior, release, drawn, made, n_classes)

    found = conditioning.clear
    monkeypatch.setattr(priors, "load", without_decoder)
    monkeypatch.setattr(conditioning, "clear", clear)
    folder = run.run(options(tmp_path / "run", **ON_DRAWS))
    ((released, drawn, made),) = seen
    assert (len(drawn.codes), len(made)) == (200, 200)
    assert set(released) >= {"means", "weights", "roots"}
    with np.load(folder / "release" / "generator.npz") as generator:
        assert "tones" not in generator.files
        held, of_draws = generator["codes"], np.asarray(drawn.codes)
    assert held.shape == of_draws.shape
    for k in range(10):
        left, all_codes = ({tuple(code) for code in codes[k::10]} for codes in (held, of_draws))
        assert left <= all_codes
        assert sum(tuple(code) in left for code in of_draws[k::10]) >= 10


def test_release_rivals_and_dpsgd_have_secret_keys_of_their_own(tmp_path, quick, monkeypatch):
    keys, beside = {"root": jax.random.wrap_key_data(np.frombuffer(SECRET, np.uint32))}, []
    told = []

    def kept(name, fit):
        def fitted(*arguments):
            keys[f"{name} {arguments[-2]:.3f}"] = arguments[-1]
            return fit(*arguments)

        return fitted

    def trained(model, plan, recipe, pool, cells, **more):
        keys["DP-SGD"] = cells.secret[0]
        told.append((pool, cells))
        return fit(model, plan, recipe, pool, cells, **more)

    def judge(*_, **arguments):
        beside.append(sorted(arguments["beside"]))
        return dict(JUDGED)

    monkeypatch.setattr(gaussian, "fit", kept("gaussian", gaussian.fit))
    monkeypatch.setattr(release, "fit", kept("prior", release.fit))
    fit = training.fit
    monkeypatch.setattr(training, "fit", trained)
    monkeypatch.setattr(evaluation, "evaluate", judge)
    gan = {"model": "gan", "warmup_share": 0.5, "steps": 2}
    both = run.run(options(tmp_path / "both", **ON_DRAWS | gan))
    privacy, lines = read(both, "record.json")["privacy"], logged(both)
    assert 4.97 < privacy["eps"] <= 5.0
    assert [stage.get("steps") for stage in privacy["stages"]] == [None, 2]
    assert "warmup/loss" in lines[0]
    assert "nonprivate/loss" in lines[-1]
    # The grey levels that DP-SGD taught are kept.
    held = np.load(both / "release" / "generator.npz").files
    assert {"codes", "tones"} & set(held) == {"codes"}
    # Public losses see draws, whose codes are released, and no other images; the loss of a member sees its own code.
    ((pool, cells),) = told
    released = np.load(both / "release" / "generator.npz")["codes"]
    np.testing.assert_array_equal(cells.draws.code[0], released)
    prior = tiny_prior.prior(models.Spec(pool.images.shape[1:], 10))
    for images, codes in ((pool.images, pool.codes), (cells.draws.image[0], released)):
        own = tiny_prior.encode(np.asarray(images)) - prior.codes.mean(0)
        np.testing.assert_allclose(codes, own / prior.codes.std(), rtol=1e-3, atol=1e-5)
    names = ["DP-SGD", "gaussian", "prior", "prior", "root"]
    assert sorted(name.split()[0] for name in keys) == names
    assert len({tuple(np.asarray(jax.random.key_data(key))) for key in keys.values()}) == 5
    run.run(options(tmp_path / "draws", **DRAWS))
    assert beside == [["gaussian", "one_shot", "warmup"], ["gaussian"]]


@pytest.mark.parametrize("model", OF_PRIOR)
def test_draws_of_a_prior_are_a_release_that_draws_more(tmp_path, quick, monkeypatch, model):
    shown = {}

    def samples(path, images, labels, class_names, *more):
        shown[path.parent.name] = len(more)
        path.write_bytes(PNG)

    monkeypatch.setattr(report, "samples_png", samples)
    folder = run.run(options(tmp_path, **DRAWS | {"model": model}))
    assert shown == {".release.part": 0, tmp_path.name: 3}  # real images, their labels, the prior's
    assert tells_the_secret(folder) == set()
    facts = read(folder, "release/generator.json")
    assert (facts["model"], facts["prior"]) == (model, {"name": "squares", "version": "1"})
    more = generators.load(folder / "release").sample(jax.random.key(1), np.arange(4))
    assert more.shape == (4, 8, 8, 1)
    for page in ("PRIVACY.md", "README.md"):
        assert "`squares`, version 1" in (folder / "release" / page).read_text()


def test_a_member_among_the_public_images_is_told_to_the_holder_alone(tmp_path, quick, monkeypatch):
    prior, digits = tiny_prior.prior, data.load("digits")
    known = digits.images[digits.split == 0]

    def with_members(spec, version="1"):
        made = prior(spec, version)
        return made._replace(images=np.concatenate([known, made.images]))

    monkeypatch.setattr(tiny_prior, "prior", with_members)
    tiny_prior.install(monkeypatch)
    folder = run.run(options(tmp_path, **DRAWS))
    assert read(folder, "record.json")["prior"]["members_among_them"] == 100
    for path in (folder / "release").glob("*.*"):
        assert b"members_among" not in path.read_bytes()
        assert b"among its images" not in path.read_bytes()
