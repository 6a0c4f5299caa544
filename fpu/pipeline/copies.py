"""Models beside a run: its model, plan and recipe again, on other members. They are never released."""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np

from fpu import data, distributed, training
from fpu.baselines import BASELINES, gaussian
from fpu.dp.plan import DPSGD, Release
from fpu.pipeline import fitting, progress
from fpu.privacy import attacks, lira

SLICE = 16  # cells side by side on an accelerator


def attack(job, targets, scores, count: int, key, public):
    """LiRA on the released model, by each of its scores: {'lira_NAME': float [n]}, an image's that of its unit.

    The attacker knows everything but which half of the targets was trained on: each shadow holds a random
    half of them, and all members that are no target. To report the best of several scores is a selection.

    Args:
      job: the pipeline.Job of a trained model.
      targets: privacy.targets.Targets, of as many members as others.
      scores: of the released model, (images, labels) -> {name: float [n]}.
      count: of shadows; even, 4 or more.
      key: typed key, as secret as the data.
      public: the run's public key: all models begin as the attacked one did, and an image's scores get the
        same draws from all of them.
    """
    index, owner, units = targets.index, targets.owner, targets.n_members + targets.n_others
    if not units:
        return {}
    progress.say(f"LiRA: {count} shadow models for {units} targets")
    model, _ = fitting.built(job)
    shown = job.dataset.images[index], job.dataset.labels[index]

    def by_unit(found):
        return {name: attacks.means(values, owner, units) for name, values in found.items()}

    everybody, mine = _everybody(job, index[np.unique(owner, return_index=True)[1]])
    pool, (k_masks, k_train) = fitting.pool(job.dataset, everybody), jax.random.split(key)
    inside = lira.masks(units, count, generator(k_masks))
    masks = np.ones((count, len(pool.sizes)), bool)
    masks[:, mine] = inside
    params = train(job, pool, masks, k_train, public)
    shadow = [by_unit(fitting.scores(model, own, public, *shown)) for own in each(params)]
    return {
        f"lira_{name}": lira.ratio(values, np.stack([s[name] for s in shadow]), inside)[owner]
        for name, values in by_unit(scores(*shown)).items()
    }


def _everybody(job, firsts):
    """(indices of the members and of all images of the targets' units, the targets among their units).

    firsts: the index of one image of each target.
    """
    dataset, known = job.dataset, firsts
    if dataset.groups is not None:
        known = np.flatnonzero(np.isin(dataset.groups, dataset.groups[firsts]))
    index = np.union1d(job.split.members, known)
    table, _ = data.units(dataset, index)
    unit = np.empty(len(index), int)
    unit[table] = np.arange(len(table))[:, None]
    return index, unit[np.searchsorted(index, firsts)]


def generator(key) -> np.random.Generator:
    """numpy's generator from a typed key."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def each(params):
    """The models of a stack, one after the other."""
    count = len(jax.tree.leaves(params)[0])
    return (jax.tree.map(lambda x, i=i: x[i], params) for i in range(count))


def train(job, pool, masks, key, public=None):
    """Parameters of one model for each mask, stacked, as model.sample and model.scores take them.

    Models differ by their masks and keys alone. Each has keys of its own, folded from `key`: sample and
    noise differ, and so does the initialisation, as between runs of different seeds, unless `public` is given.

    Args:
      job: the pipeline.Job of the run, of a trained model or of a one-shot release.
      pool: a training.Pool, as fitting.pool makes it; it need not be that of the members.
      masks: bool [cells, units]; in each at least one unit, and at most as many as the run has members.
        The plan's constants stay those of the run.
      key: typed key, as secret as the pool.
      public: a public key for all models, such as the run's, whose initialisation an attacker knows.

    Returns: averaged parameters, each leaf with a leading axis [cells].
    """
    masks = np.asarray(masks, bool)
    n = len(data.units(job.dataset, job.split.members)[1])
    counts = masks.sum(axis=1)
    if masks.shape[1:] != pool.sizes.shape or counts.min() < 1 or counts.max() > n:
        raise ValueError(f"masks {masks.shape} are not of 1 to {n} of {len(pool.sizes)} units")
    secret, release, own = _keys(key, len(masks))
    public = own if public is None else jnp.broadcast_to(public, own.shape)
    params, told = None, _told(len(masks))
    if any(isinstance(stage, Release) for stage in job.plan.stages):
        models = []
        for i, mask in enumerate(masks):
            models.append(_released(job, pool, mask, float(n), release[i], public[i]))
            told(len(models))
        params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)
    if any(isinstance(stage, DPSGD) for stage in job.plan.stages):
        cells = jax.vmap(functools.partial(fitting.cell, job))(jnp.asarray(masks), secret, public)
        params = _side_by_side(job, pool, cells, params)
    return params


def _keys(key, count: int):
    """Secret keys of DP-SGD and of a release, and public keys, [count] each."""

    def of_one(number):
        return tuple(jax.random.split(jax.random.fold_in(key, number), 3))

    return jax.vmap(of_one)(jnp.arange(count))


def _released(job, pool, mask, n, key, public):
    """What one release of the members teaches: the model's parameters, or the release itself."""
    members = pool._replace(units=pool.units[mask], sizes=pool.sizes[mask])
    noise = job.plan.stages[0].noise_multiplier
    if not job.trained:
        return BASELINES[job.options.model](job.spec).fit(members, n, noise, key)
    # Each process does both alone, and another machine may round otherwise.
    release = distributed.of_the_first(gaussian.fit(job.spec, members, n, noise, key))
    model, _ = fitting.built(job)
    params = distributed.of_the_first(fitting.warmed_up(job, model, [release], public[None]))
    return jax.tree.map(lambda x: x[0], params)


def _side_by_side(job, pool, cells, start):
    """All cells as one call of training.fit: one program, slices of them at once on an accelerator."""
    model, recipe = fitting.built(job)
    count, devices = len(cells.clip), jax.device_count()
    size = 1 if jax.default_backend() == "cpu" else min(SLICE, -(-count // devices))
    steps, told = job.plan.sgd().steps, _told(count)

    def observe(number, step, state):
        del state
        told(min(count, size * devices * (number + step / steps)))

    state = training.fit(
        model,
        job.plan,
        recipe,
        pool,
        cells,
        slice_size=size,
        mesh=distributed.mesh(devices) if devices > 1 else None,
        start=start,
        observe=observe,
    )
    return distributed.whole(state.ema)


def _told(count: int):
    """told(models done): a line every ten seconds and at the end."""
    begun = shown = time.monotonic()

    def told(done):
        nonlocal shown
        now = time.monotonic()
        if now - shown > 10 or done == count:
            shown = now
            left = (now - begun) * (count - done) / done
            progress.say(f"models beside the run: {int(done)} of {count}, {left:.0f} s left")

    return told
