"""fpu/privacy/samples_only.py: each attack against a loop, on a copycat and on a generator that never saw the data."""

import numpy as np
import pytest
from scipy.stats import gaussian_kde

from fpu.privacy import attacks, samples_only
from fpu.privacy.samples_only import SAMPLES_ONLY, Known


def draw(n, seed, shape=(6, 6, 1), classes=3):
    """Blurred blobs of a few classes, with noise: uint8 [n, *shape], labels [n]."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    means = np.random.default_rng(9).normal(120, 25, (classes, *shape))
    mixing = np.random.default_rng(8).normal(0, 8, (10, *shape))
    noise = np.tensordot(rng.normal(size=(n, 10)), mixing, 1) + rng.normal(0, 3, (n, *shape))
    return np.clip(means[labels] + noise, 0, 255).astype(np.uint8), labels


def flat(images):
    return images.reshape(len(images), -1).astype(float)


def components(images, k):
    """Projection on the first principal components, by eigenvectors of the covariance."""
    x = flat(images)
    _, axes = np.linalg.eigh(np.cov(x.T))
    return lambda other: (flat(other) - x.mean(0)) @ axes[:, ::-1][:, :k]


@pytest.fixture(scope="module")
def scene():
    return draw(30, 0), Known(*draw(60, 1), *draw(90, 2))


def test_nearest_looks_at_the_same_label_and_finds_copies():
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 1), dtype=np.uint8)
    labels = np.array([0, 0, 1, 1, 2, 2])
    known = Known(images[[0, 2, 3]], np.array([0, 0, 1]), images[:0], labels[:0])
    found = samples_only.nearest(images, labels, known)

    def distance(a, b):
        return np.linalg.norm(images[a].astype(float) - images[b])

    expected = [
        0,  # its own copy
        min(distance(1, 0), distance(1, 2)),
        distance(2, 3),  # its copy has the other label
        0,
        min(distance(4, i) for i in (0, 2, 3)),  # a label that the synthetic set lacks
        min(distance(5, i) for i in (0, 2, 3)),
    ]
    np.testing.assert_allclose(-found, expected, atol=1e-9)


def test_nearest_calibrated_is_a_difference_of_distances(scene):
    (images, labels), known = scene
    found = samples_only.nearest_calibrated(images, labels, known)
    for i in range(len(images)):
        synthetic, reference = (
            min(np.linalg.norm(flat(images[i : i + 1]) - x) for x in flat(pool[y == labels[i]]))
            for pool, y in ((known.synthetic, known.synthetic_labels), known[2:4])
        )
        assert found[i] == pytest.approx(reference - synthetic, abs=1e-6)


@pytest.mark.parametrize("count", [60, 25])  # more images than pixels, and fewer
def test_monte_carlo_counts_a_ball(scene, monkeypatch, count):
    monkeypatch.setattr(samples_only, "_PCA", 7)
    monkeypatch.setattr(samples_only, "_ROWS", 13)
    (images, labels), known = scene
    known = known._replace(synthetic=known.synthetic[:count])
    project = components(known.synthetic, 7)
    mine, pool = project(images), project(known.synthetic)
    distances = [[np.linalg.norm(x - g) for g in pool] for x in mine]
    eps = np.median([min(row) for row in distances])
    # The image whose closest one lies at eps itself is decided by rounding.
    sure = [abs(min(row) - eps) > 1e-6 for row in distances]
    expected = np.array([sum(d <= eps for d in row) / len(pool) for row in distances])
    found = samples_only.monte_carlo(images, labels, known)
    np.testing.assert_allclose(found[sure], expected[sure])
    assert sum(sure) >= 28


def test_domias_is_a_ratio_of_scipy_s_densities(scene, monkeypatch):
    monkeypatch.setattr(samples_only, "_ROWS", 13)
    (images, labels), known = scene
    project = components(known.reference, 60 // 4)
    mine, fake, real = (project(x).T for x in (images, known.synthetic, known.reference))
    expected = gaussian_kde(fake).logpdf(mine) - gaussian_kde(real).logpdf(mine)
    found = samples_only.domias(images, labels, known)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", SAMPLES_ONLY)
def test_every_attack_finds_the_members_of_a_copycat_and_none_of_a_fresh_set(name):
    members, others, fresh, reference = (draw(120, seed) for seed in (3, 4, 5, 6))
    targets = [np.concatenate(pair) for pair in zip(members, others, strict=True)]
    for synthetic, copied in ((members, True), (fresh, False)):
        scores = SAMPLES_ONLY[name](*targets, Known(*synthetic, *reference))
        auc = attacks.membership(scores[:120], scores[120:], np.random.default_rng(0))["auc"]
        assert auc["low"] > 0.8 if copied else auc["low"] <= 0.5 <= auc["high"]


def test_without_a_reference_the_attacks_that_need_one_say_so(scene):
    targets, known = scene
    found, unable = samples_only.scores(*targets, known._replace(reference=known.reference[:0]))
    assert set(found) == {"nearest", "monte_carlo"}
    reason = "0 reference images; 20 are needed"
    assert unable == {"nearest_calibrated": reason, "domias": reason}
    found, unable = samples_only.scores(*targets, known._replace(synthetic=known.synthetic[:9]))
    assert not found
    assert set(unable.values()) == {"9 synthetic images; 20 are needed"}


def test_constant_sets_give_a_reason_or_finite_scores(scene):
    targets, known = scene
    grey = np.full_like(known.synthetic, 77)
    found, unable = samples_only.scores(*targets, known._replace(synthetic=grey))
    assert not unable
    assert all(np.isfinite(values).all() for values in found.values())
    same = np.repeat(known.reference[:1], 90, axis=0)
    _, unable = samples_only.scores(*targets, known._replace(reference=same))
    assert set(unable.values()) == {"all reference images are the same"}


def test_monte_carlo_counts_copies_where_half_of_the_targets_are_copies():
    """eps is 0 then, and a copy is at exactly 0, wherever it stands in a batch."""
    images, labels = draw(60, 0)
    synthetic = np.concatenate([images[:40], images[:20], draw(5, 1)[0]])
    known = Known(synthetic, np.zeros(65, int), images[:0], labels[:0])
    expected = np.repeat([2, 1, 0], [20, 20, 20]) / 65
    np.testing.assert_array_equal(samples_only.monte_carlo(images, labels, known), expected)
