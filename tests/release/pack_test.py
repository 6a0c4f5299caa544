"""fpu/release/pack.py: a pack holds what may leave, and is refused for anything else."""

import json
import struct
import zlib

import jax
import numpy as np
import pytest
import tiny

from fpu import InputError, data
from fpu.dp.plan import DPSGD, Plan, Release
from fpu.release import generators, pack
from fpu.report import samples_png

pytestmark = pytest.mark.usefixtures("quick_compiles")

PLAN = Plan(1e-3, (Release(4.0), DPSGD(60, 0.5, 10, 9.0, 60)), "image")
RNG = np.random.default_rng(0)
LABELS = np.arange(12) % 3
IMAGES = RNG.integers(0, 256, (12, 8, 8, 1), np.uint8)
REAL = data.Dataset(
    "scans",
    RNG.integers(0, 256, (9, 8, 8, 1), np.uint8),
    np.arange(9) % 3,
    np.zeros(9, np.int8),
    None,
    ("nothing", "something", "a | b"),
    "tests",
)


def generator():
    config = {"net": "mixer", "patch": 4, "width": 8, "depth": 1, "latent": 4}
    params = tiny.model("vae").init(jax.random.key(0))
    return generators.Generator("vae", config, tiny.SPEC, REAL.class_names, params)


def picture(path):
    samples_png(path, IMAGES, LABELS, REAL.class_names)


def packed(tmp_path, images=IMAGES, plan=PLAN):
    folder = tmp_path / "release"
    guarantee = pack.privacy(plan, False)
    pack.write(folder, guarantee, images, LABELS, REAL, generator(), picture)
    return folder


def test_a_pack_holds_the_files_it_names_and_passes_its_scan(tmp_path):
    folder = packed(tmp_path)
    assert {p.name for p in folder.iterdir()} == {*pack.FILES, *pack.TEXTS}
    assert [p.name for p in tmp_path.iterdir()] == ["release"]
    pack.scan(folder, REAL.images)
    np.testing.assert_array_equal(data.load_images(folder / "synthetic.npz")[0], IMAGES)
    packed(tmp_path)  # a pack that is there is replaced


def test_the_guarantee_is_that_of_the_plan(tmp_path):
    folder = packed(tmp_path)
    held = json.loads((folder / "privacy.json").read_text())
    assert held["eps"] == PLAN.epsilon()
    assert held["delta"] == 1e-3
    assert [m["noise_multiplier"] for m in held["mechanisms"]] == [4.0, 9.0]
    assert held["mechanisms"][1]["sampling"] == "Poisson"
    assert held["private"]
    text = (folder / "PRIVACY.md").read_text()
    assert PLAN.statement() in text
    stated = float(text.split("(")[1].split(",")[0])
    assert PLAN.epsilon() <= stated <= PLAN.epsilon() + 1e-4  # never rounded down


def test_without_a_guarantee_the_pack_says_so(tmp_path):
    text = (packed(tmp_path, plan=Plan(1e-3, ())) / "PRIVACY.md").read_text()
    assert text.startswith("# NOT private")
    assert not pack.privacy(PLAN, True)[
        "private"
    ]  # whoever knows the noise seed can undo the noise


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def comment(folder):
    png = (folder / "samples.png").read_bytes()
    (folder / "samples.png").write_bytes(png[:33] + chunk(b"tEXt", b"k\0member 17") + png[33:])


def trailing(folder):
    with (folder / "samples.png").open("ab") as file:
        file.write(b"0123456789abcdef")


def array(name, **arrays):
    def put(folder):
        with np.load(folder / name) as held:
            np.savez(folder / name, **(dict(held) | arrays))

    return put


def field(folder):
    held = json.loads((folder / "privacy.json").read_text())
    (folder / "privacy.json").write_text(json.dumps(held | {"auc_of_attack": 0.7}))


LEAKS = {
    "a secret key": lambda folder: (folder / "secret.key").write_bytes(bytes(8)),
    "a folder": lambda folder: (folder / "checkpoints").mkdir(),
    "a link": lambda folder: (
        (folder / "generator.npz").unlink() or (folder / "generator.npz").symlink_to("/etc/passwd")
    ),
    "member indices": array("synthetic.npz", members=np.arange(4)),
    "real images in test": array("synthetic.npz", test_images=IMAGES[:1, ..., 0]),
    "optimizer state": array("generator.npz", **{"opt_state/mu": np.zeros(3, np.float32)}),
    "an index in the generator": array("generator.npz", **{"private/members": np.arange(4)}),
    "a comment in the picture": comment,
    "bytes after the picture": trailing,
    "a metric of private data": field,
}


@pytest.mark.parametrize("leak", LEAKS)
def test_whatever_does_not_belong_is_refused(tmp_path, leak):
    folder = packed(tmp_path)
    LEAKS[leak](folder)
    with pytest.raises(InputError) as error:
        pack.scan(folder, REAL.images)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_real_image_stops_the_release_and_leaves_nothing(tmp_path):
    images = IMAGES.copy()
    images[7] = REAL.images[3]
    with pytest.raises(InputError, match="real image"):
        packed(tmp_path, images)
    assert not list(tmp_path.iterdir())


def test_blank_images_are_alike_and_no_leak(tmp_path):
    images, real = IMAGES.copy(), REAL.images.copy()
    images[0] = real[0] = 0
    pack.scan(packed(tmp_path, images), real)
