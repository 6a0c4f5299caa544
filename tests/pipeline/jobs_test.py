"""fpu/pipeline/jobs.py: what a run chooses where nobody said."""

import numpy as np

from fpu.pipeline import jobs, run
from fpu.pipeline.settings import Options


def scans(tmp_path, *counts):
    """An .npz with so many images of each class; the path."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(counts)), counts)
    images = rng.integers(0, 256, (len(labels), 8, 8), np.uint8)
    path = tmp_path / "scans.npz"
    np.savez(path, train_images=images, train_labels=labels)
    return str(path)


def members(job):
    return np.bincount(job.dataset.labels[job.split.members]).tolist()


def test_forty_scans_work_by_default(tmp_path, capsys):
    job = jobs.prepare(Options(model="gaussian", eps=1.0, dataset=scans(tmp_path, 20, 20)))
    assert members(job) == [16, 16]  # a fifth is the test set
    assert job.config["delta"] == 1 / 320
    assert "all of them are members" in capsys.readouterr().err


def test_a_rare_class_does_not_throw_the_others_away(tmp_path):
    path = scans(tmp_path, 75, 57, 3)
    assert members(jobs.prepare(Options(model="gaussian", eps=1.0, dataset=path))) == [50, 46, 3]


def test_the_default_is_what_it_was_where_there_are_enough(tmp_path):
    path = scans(tmp_path, 70, 70)
    splits = [
        jobs.prepare(Options(model="gaussian", eps=1.0, dataset=path, n_per_class=n)).split.members
        for n in (None, 50)
    ]
    np.testing.assert_array_equal(*splits)


def test_the_folder_of_a_run_is_named_by_all_its_settings():
    def place(**flags):
        options = Options(**({"model": "gaussian", "eps": 1.0} | flags))
        return run.place(jobs.prepare(options)).name

    assert place() == "gaussian-digits-eps1-50each-seed0"
    names = {place(), place(n_samples=70), place(n_samples=80), place(delta=1e-5)}
    assert len(names) == 4
    assert all(name.startswith("gaussian-digits-eps1-50each-seed0") for name in names)
