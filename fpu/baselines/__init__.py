"""Generators that are not trained: what a trained one must beat, and the two ends of the scale.

gaussian  one DP release of class means and covariances, then a normal draw for each image: seconds
merf      one DP release of class means of random features, then a generator fitted to them (DP-MERF)
prior     one DP release in the space of a public prior, then draws made of its images (fpu/priors/)
merf_prior  the same as merf, of codes in the space of a public prior; draws made of its images
pe        Private Evolution: rounds of noised votes for images of a public prior, then variations of the last ones
copycat   the members themselves: best fidelity, no privacy
fresh     held-out real images: what a perfect generator would make
noise     uniform pixels, whatever the data: the other end of every scale

To add a one-shot release, write one file here with `fit`, `sample` and PARAMETERS as in gaussian.py, and give it a
line in RELEASES and in BASELINES.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

from fpu.baselines import gaussian, merf, merf_prior, pe, real
from fpu.models import Spec
from fpu.priors import Prior, draws, release


class Baseline(NamedTuple):
    """A generator without steps.

    fit(pool, denominator, noise_multiplier, key) -> params. `pool` is a training.Pool of the members,
        or of the non-members where `source` says so; `denominator` is the public number of units.
    sample(params, key, labels [n]) -> float32 [n, H, W, C] in [0, 1]
    """

    source: str  # whose images `fit` is given: members or nonmembers
    private: bool  # whether `fit` goes through the Gaussian mechanism
    fit: Callable
    sample: Callable


def one_shot(module, spec: Spec, *prior: Prior, drawn=None) -> Baseline:
    """The baseline of a module as gaussian.py: one DP release of the members, and draws from it.

    With a public prior both take it first, and run on the host. `drawn`: the module whose `sample` draws, if another.
    """
    fit = functools.partial(module.fit, *prior, spec)
    sample = functools.partial((drawn or module).sample, *prior, spec)
    return Baseline("members", True, fit, sample)


def _not_private(source: str, fit: Callable, sample: Callable, spec: Spec) -> Baseline:
    return Baseline(source, False, functools.partial(fit, spec), functools.partial(sample, spec))


OF_PRIOR = {"prior": release, "pe": pe, "merf_prior": merf_prior}  # drawn of a prior's images
RELEASES = {"gaussian": gaussian, "merf": merf, **OF_PRIOR}  # modules with PARAMETERS
BASELINES: dict[str, Callable[..., Baseline]] = {  # (spec) -> Baseline; of OF_PRIOR (spec, prior)
    "gaussian": functools.partial(one_shot, gaussian),
    "merf": functools.partial(one_shot, merf),
    "prior": functools.partial(one_shot, release, drawn=draws),
    "pe": functools.partial(one_shot, pe),
    "merf_prior": functools.partial(one_shot, merf_prior),
    "copycat": functools.partial(_not_private, "members", real.fit, real.sample),
    "fresh": functools.partial(_not_private, "nonmembers", real.fit, real.sample),
    "noise": functools.partial(_not_private, "members", real.fit_nothing, real.uniform),
}
