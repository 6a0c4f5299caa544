"""What the READMEs promise to a stranger who adds a model, a metric, a data set, an attack, a baseline or a prior.

Each is added as told there: one file, or one function, and its name. Then a run goes from its options to the report.
"""

import functools
import html
import importlib
import json
import sys
import textwrap

import numpy as np
import pytest
import tiny

from fpu import InputError, baselines, data, fidelity, models
from fpu.commands import generate
from fpu.pipeline import run
from fpu.pipeline.settings import Options
from fpu.privacy import samples_only
from fpu.training import warmup
from fpu.utility import metrics

pytestmark = pytest.mark.usefixtures("short_training")
TRAINING_STEPS = 5

MODEL = """
    import dataclasses

    import jax
    import jax.numpy as jnp

    from fpu.models import Model


    @dataclasses.dataclass(frozen=True)
    class Config:
        weight: float = 1.0


    SIZES = {"tiny": Config(), "default": Config(), "paper": Config()}


    def make(config, spec):
        def init(key):
            means = jax.random.uniform(key, (spec.n_classes, *spec.shape))
            return {"private": {"means": means}, "public": {}}

        def loss(private, public, example, step, key):
            error = jnp.square(private["means"][example.label] - example.image)
            return config.weight * jnp.sum(error), {}

        def sample(params, key, labels, codes):
            noise = 0.1 * jax.random.normal(key, (len(labels), *spec.shape))
            return jnp.clip(params["private"]["means"][labels] + noise, 0.0, 1.0)

        def scores(params, example, key):
            return {"nearness": -loss(params["private"], {}, example, 0, key)[0]}

        return Model(init, loss, None, sample, scores)
"""
BASELINE = """
    import jax
    import jax.numpy as jnp

    from fpu.dp import noise

    PARAMETERS = ("grey",)


    def fit(spec, pool, denominator, noise_multiplier, key):
        count = noise.gaussian({"n": jnp.float32(len(pool.sizes))}, key, noise_multiplier)["n"]
        return {"grey": jnp.clip(count / denominator, 0.0, 1.0)}


    def sample(spec, params, key, labels):
        return params["grey"] * jax.random.uniform(key, (len(labels), *spec.shape))
"""
PRIOR = """
    import numpy as np


    def waves(rng, n, spec):
        height, width, _ = spec.shape
        kind = rng.integers(0, 6, min(n, 1200))
        turns = rng.uniform(0.5, 1.5, (len(kind), 1)) * (kind[:, None] + 1)
        rows = 128 + 90 * np.sin(turns * np.arange(height))
        images = rows[:, :, None, None] + rng.normal(0, 20, (len(kind), height, width, 1))
        return np.clip(images, 0, 255).astype(np.uint8), kind
"""


def module(package, name, text, folder, monkeypatch):
    """The module `name` of `package`, written into a folder of the test."""
    (folder / f"{name}.py").write_text(textwrap.dedent(text))
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    monkeypatch.delitem(sys.modules, f"{package.__name__}.{name}", raising=False)
    return importlib.import_module(f"{package.__name__}.{name}")


def brightness(real, fake, labels):
    del labels
    return lambda i, j: fake[j].mean() - real[i].mean()


def worst_class(probabilities, labels):
    recalls = [metrics.recall(probabilities, labels, k) for k in np.unique(labels)]
    return lambda weights: np.min([one(weights) for one in recalls], axis=0)


def darkness(images, labels, known):
    del labels, known
    return -images.mean((1, 2, 3))


def stripes(data_dir):
    """Three classes of 8x8 stripes with noise."""
    del data_dir
    rng, labels = np.random.default_rng(0), np.arange(540) % 3
    waves = 128 + 80 * np.sin(np.arange(8) * (labels[:, None] + 1))
    images = waves[:, None, :, None] + rng.normal(0, 20, (540, 8, 8, 1))
    split = np.repeat([0, 2], [390, 150]).astype(np.int8)
    images = np.clip(images, 0, 255).astype(np.uint8)
    names = ("one", "two", "three")
    return data.Dataset("stripes", images, labels.astype(np.int32), split, None, names, "made up")


@pytest.fixture
def additions(monkeypatch, tmp_path):
    monkeypatch.setattr(warmup, "DRAWS", 200)
    module(models, "class_means", MODEL, tmp_path, monkeypatch)
    monkeypatch.setattr(models, "MODELS", (*models.MODELS, "class_means"))
    release = module(baselines, "grey", BASELINE, tmp_path, monkeypatch)
    monkeypatch.setitem(baselines.RELEASES, "grey", release)
    one_shot = functools.partial(baselines.one_shot, release)
    monkeypatch.setitem(baselines.BASELINES, "grey", one_shot)
    metric = fidelity.Metric(brightness, (-np.inf, np.inf))
    monkeypatch.setitem(fidelity.FIDELITY, "brightness", metric)
    monkeypatch.setitem(metrics.UTILITY, "worst_class", metrics.Metric(worst_class))
    monkeypatch.setitem(data.DATASETS, "stripes", stripes)
    monkeypatch.setitem(samples_only.SAMPLES_ONLY, "darkness", darkness)


def finished(folder, **options):
    """(record, report) of a run on the stripes."""
    common = {"dataset": "stripes", "eps": 8.0, "n_per_class": 50, "n_samples": 150, "repeats": 2}
    run.run(Options(workdir=str(folder), **common | options))
    page = html.unescape((folder / "report.html").read_text(encoding="utf-8"))
    return json.loads((folder / "record.json").read_text(encoding="utf-8")), page


def test_what_a_stranger_adds_is_in_the_record_and_in_the_report(additions, tmp_path):
    few = {"warmup_share": 0.5, "steps": 3, "draw_steps": 3, "repeats": 0}
    record, page = finished(tmp_path / "run", model="class_means", **few)
    assert record["config"]["model_config"] == {"weight": 1.0}
    assert record["data"]["name"] == "stripes"
    for row in ("synthetic", "real"):
        assert record["fidelity"][row]["brightness"]["n"] == 150
    assert 0 <= record["utility"]["members"]["worst_class"]["value"] <= 1
    for attack in ("darkness", "nearness"):
        assert record["privacy"]["attacks"][attack]["auc"]["value"] is not None
    for name in ("class_means", "stripes", "brightness", "worst class", "darkness", "nearness"):
        assert name in page, name


def test_a_strangers_baseline_is_a_private_release(additions, tmp_path):
    record, page = finished(tmp_path / "run", model="grey")
    assert record["privacy"]["eps"] <= 8
    assert record["utility"]["synthetic"]["accuracy"]["value"] is not None
    assert "grey" in page


def test_a_strangers_own_prior_is_in_the_release_and_draws_more(additions, tmp_path, monkeypatch):
    (tmp_path / "simulator.py").write_text(textwrap.dedent(PRIOR))
    monkeypatch.syspath_prepend(tmp_path)
    folder, own = tmp_path / "run", "simulator:waves"
    record, page = finished(folder, model="prior", prior=own)
    assert record["prior"]["name"] == record["config"]["prior"] == own
    assert record["prior"]["n_images"] == 1200
    assert record["utility"]["gaussian"]["accuracy"]["value"] is not None
    assert "Did the prior help?" in page
    assert own in (folder / "release" / "PRIVACY.md").read_text(encoding="utf-8")
    draw = functools.partial(generate.generate, str(folder / "release"), 30, None, 1)
    with pytest.raises(InputError, match="add --prior=simulator:waves, if you trust that code"):
        draw(str(tmp_path / "more.npz"))
    images, labels = data.load_images(draw(str(tmp_path / "more.npz"), prior=own))
    assert (images.shape, set(labels.tolist())) == ((30, 8, 8, 1), {0, 1, 2})


def test_tests_of_every_model_find_a_new_one(additions):
    assert tiny.model("class_means").public_loss is None
    assert models.learning("class_means") == models.Defaults()
