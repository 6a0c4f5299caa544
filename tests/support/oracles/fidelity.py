"""Frozen numbers of other people's fidelity metrics, on features that need no random stream.

    uv venv /tmp/oracle
    uv pip install --python /tmp/oracle/bin/python torch-fidelity==0.4.0 prdc==0.2 vendi-score==0.0.3
    /tmp/oracle/bin/python tests/support/oracles/fidelity.py

Writes fidelity.json beside this file.
"""

import json
import pathlib

import numpy as np
import prdc
import torch
import waves
from torch_fidelity import metric_fid, metric_kid
from vendi_score import vendi


def kid(real, fake):
    """One subset that is the whole set: the plain unbiased estimate. Theirs needs equal counts."""
    n = len(real)
    found = metric_kid.kid_features_to_metric(
        torch.tensor(real), torch.tensor(fake), kid_subsets=1, kid_subset_size=n, verbose=False
    )
    return found[metric_kid.KEY_METRIC_KID_MEAN]


def fd(real, fake):
    fitted = [metric_fid.fid_features_to_statistics(torch.tensor(x)) for x in (real, fake)]
    return metric_fid.fid_statistics_to_metric(*fitted, verbose=False)[metric_fid.KEY_METRIC_FID]


def vendi_by_class(fake):
    labels = np.resize(waves.LABELS, len(fake))
    return [float(vendi.score_X(fake[labels == k])) for k in np.unique(labels)]


def main():
    frozen = {}
    for name, size in waves.PAIRS.items():
        real, fake = waves.pair(*size)
        neighbours = prdc.compute_prdc(real, fake, nearest_k=5)
        frozen[name] = {key: float(value) for key, value in neighbours.items()}
        frozen[name] |= {"fd": fd(real, fake), "vendi": vendi_by_class(fake)}
        if len(real) == len(fake):
            frozen[name]["kid"] = kid(real, fake)
    file = pathlib.Path(__file__).parent / "fidelity.json"
    file.write_text(json.dumps(frozen, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
