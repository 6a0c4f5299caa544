"""A run from its flags to its record, with a public prior, that one process does, and two do together."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import quick_run
import tiny_prior
import toy
from quick_run import TINY, Killed

from fpu import data, distributed, evaluation, report, training
from fpu.models import Model, vae
from fpu.pipeline import generator, jobs, processes, run
from fpu.pipeline.settings import Options
from fpu.release import generators
from fpu.training import checkpoint

FLAGS = {
    "model": "vae", "set": TINY, "eps": 5.0, "warmup_share": 0.5,
    "draw_steps": 3, "steps": 4, "n_per_class": 10, "n_samples": 70, "noise_seed": 7,
}  # fmt: skip


@functools.cache  # one program for all runs
def plain(config, spec) -> Model:
    """In place of a VAE, which takes long to compile: an image for each class, and how bright its code makes it.

    A draw is its class's, its code's, and noise.
    """

    def init(key):
        images = jax.random.uniform(key, (spec.n_classes, *spec.shape))
        known = {"bright": jnp.zeros(spec.code)} if spec.code else {}
        return {"private": {"w": images} | known, "public": {}}

    def image(private, label, code):
        bright = jnp.tanh(code @ private["bright"]) if spec.code else 0.0
        return private["w"][label] + bright

    def loss(private, public, example, step, key):
        mean = image(private, example.label, example.code)
        return jnp.sum(jnp.square(mean - example.image)), {}

    def sample(params, key, labels, codes=()):
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(len(labels)))
        noise = jax.vmap(lambda key: 0.1 * jax.random.normal(key, spec.shape))(keys)
        means = jax.vmap(image, (None, 0, 0))(params["private"], labels, codes)
        return jnp.clip(means + noise, 0.0, 1.0)

    def scores(params, example, key):
        return {"loss": -loss(params["private"], {}, example, 0, key)[0]}

    return Model(init, loss, None, sample, scores)


def replace_vae(patch) -> None:
    """By `plain`, while the MonkeyPatch lasts. What is kept for later runs and releases is kept apart then."""
    patch.setattr(vae, "make", plain)
    for (module, name), function in _KEPT.items():
        patch.setattr(module, name, function)


_KEPT = {
    (module, name): functools.cache(getattr(module, name).__wrapped__)
    for module, name in ((jobs, "_model"), (generators, "_sampler"))
}


def do(folder, monkeypatch, killed_at: int | None = None, **change) -> None:
    """The run, its judges replaced by one that keeps the scores of 70 images in FOLDER.PROCESS.npz."""
    write = checkpoint.save

    def judge(dataset, split, images, labels, *, scores, **_):
        del split, images, labels
        values = scores(dataset.images[:70], dataset.labels[:70])
        np.savez(f"{folder}.{distributed.jax.process_index()}.npz", **values)
        return {"fidelity": {}, "utility": {}, "attacks": {}, "seconds": {}}

    def save(path, step, state, layout):
        assert distributed.is_first()
        write(path, step, state, layout)

    def together_save(path, step, state, layout, real=processes.save):
        real(path, step, state, layout)
        if path.name == "0" and step == killed_at:
            raise Killed

    with monkeypatch.context() as patch:
        quick_run.install(patch)
        patch.setattr(data, "load", lambda *_, **__: toy.dataset([20] * 3, test=[50] * 3))
        patch.setattr(generator, "_gaussian", lambda job, key: {})  # no rival
        patch.setattr(evaluation, "evaluate", judge)
        patch.setattr(report, "thumbnails", lambda images, labels: "")
        replace_vae(patch)
        patch.setattr(checkpoint, "save", save)
        patch.setattr(processes, "save", together_save)
        patch.setattr(training.loop, "STEPS_PER_CALL", 2)
        tiny_prior.install(patch)
        run.run(Options(**FLAGS | {"workdir": str(folder)} | change))
