"""One generator as experiments.run makes it, and images from it, without judging them."""

import pathlib
import tempfile

import jax
import numpy as np

from fpu.pipeline import draw, generator, jobs, settings, workdir

COUNT = 1000  # images drawn


def made(options: settings.Options):
    """(job, images uint8 [COUNT, H, W, C], labels [COUNT] in turn, scores of the model or None)."""
    job = jobs.prepare(options)
    public = jax.random.key(options.seed)
    labels = np.arange(COUNT) % job.dataset.n_classes
    with tempfile.TemporaryDirectory() as folder:
        key = workdir.secret_key(pathlib.Path(folder), options.noise_seed)
        if job.trained:
            made = generator.trained(job, pathlib.Path(folder), key, public)
        else:
            made = generator.one_shot(job, key)
    size = draw.CHUNK if job.trained else len(labels)
    images = draw.draw(made.sample, jax.random.fold_in(public, 2), labels, size)
    return job, images, labels, made.scores
