"""Frozen features of torch-fidelity's Inception-v3, with made-up weights; small files of torch.save.

    uv venv /tmp/oracle
    uv pip install --python /tmp/oracle/bin/python torch==2.15.0 torch-fidelity==0.4.0
    /tmp/oracle/bin/python tests/oracles/inception.py

Writes inception.json, zipped.pth and legacy.pth beside this file.
"""

import hashlib
import json
import pathlib
from unittest import mock

import numpy as np
import torch
import waves
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

HERE = pathlib.Path(__file__).parent


def network():
    """torch-fidelity's network without its download; the weights follow the order of its names."""
    with (
        mock.patch("torch.load", return_value={}),
        mock.patch.object(FeatureExtractorInceptionV3, "load_state_dict"),
    ):
        net = FeatureExtractorInceptionV3("made-up", ["2048"], "none")
    state = net.state_dict()
    left_out = "fc.bias", "num_batches_tracked"  # say nothing about features
    shapes = {n: tuple(x.shape) for n, x in sorted(state.items()) if not n.endswith(left_out)}
    held = waves.inception(shapes)
    net.load_state_dict({n: torch.tensor(held[n]) if n in held else x for n, x in state.items()})
    return net, shapes


def main():
    net, shapes = network()
    colour = waves.images()
    grey = np.repeat(colour[..., :1], 3, -1)
    both = torch.tensor(np.concatenate([colour, grey])).permute(0, 3, 1, 2)
    found = net(both)[0].numpy().astype(float)
    frozen = {
        "shapes": hashlib.md5(json.dumps(shapes).encode()).hexdigest(),
        "colour": found[0, ::16].tolist(),
        "grey": found[1, ::16].tolist(),
    }
    (HERE / "inception.json").write_text(json.dumps(frozen, indent=0) + "\n", encoding="utf-8")

    whole = torch.tensor(waves.wave((5, 4), 0.0), dtype=torch.float32)
    state = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2)).state_dict()
    state["0.weight"] = torch.tensor(waves.wave((2, 1, 3, 3), 1.0), dtype=torch.float32)
    state["0.bias"] = whole[3, :2]  # a part of a storage
    state["rows"] = whole[1:3]  # of the same
    state["turned"] = whole.t()
    state["half"], state["double"] = whole[0].half(), whole[0].double()
    torch.save(state, HERE / "zipped.pth")
    torch.save(state, HERE / "legacy.pth", _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    main()
