"""fpu/release/pack.py and scan.py: a release holds what may be handed out, and is refused for anything else."""

import csv
import dataclasses
import json
import math
import re
import shutil
import struct
import zlib

import numpy as np
import pytest
import tiny
import tiny_prior
from PIL import Image
from refusal import refused

from fpu import InputError, data
from fpu.dp.plan import DPSGD, Plan, Release
from fpu.release import card, generators, pack, scan, texts
from fpu.report import samples_png

PLAN = Plan(1e-3, (Release(4.0), DPSGD(60, 0.5, 10, 9.0, 60)), "image")
RNG = np.random.default_rng(0)
LABELS = np.arange(12) % 3
IMAGES = RNG.integers(0, 256, (12, 8, 8, 1), np.uint8)
PRIVATE = RNG.integers(0, 256, (9, 8, 8, 1), np.uint8), np.arange(9) % 3, np.zeros(9, np.int8)
REAL = data.Dataset("scans", *PRIVATE, None, ("nothing", "something", "a | b"), "tests")


def generator(seed=0):
    config = dataclasses.asdict(tiny.smallest("vae"))
    names, params = REAL.class_names, tiny.params("vae", seed)
    return generators.Generator("vae", config, tiny.SPEC, names, params)


def picture(path):
    samples_png(path, IMAGES, LABELS, REAL.class_names)


def packed(tmp_path, images=IMAGES, plan=PLAN, dataset=REAL, seed=0):
    folder = tmp_path / "release"
    guarantee = texts.privacy(plan, False)
    pack.write(folder, guarantee, images, LABELS, dataset, generator(seed), picture)
    return folder


def content(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_release_holds_the_files_it_names_and_passes_its_scan(tmp_path):
    folder = packed(tmp_path)
    assert {p.name for p in folder.iterdir()} == {*scan.FILES, *scan.TEXTS, "images"}
    assert [p.name for p in tmp_path.iterdir()] == ["release"]
    scan.scan(folder)
    np.testing.assert_array_equal(data.load_images(folder / "synthetic.npz")[0], IMAGES)


def test_a_repeated_run_leaves_its_release_as_it_is(tmp_path):
    folder = packed(tmp_path)
    (folder / "README.md").write_text("as first written")
    packed(tmp_path)
    assert (folder / "README.md").read_text() == "as first written"
    assert [p.name for p in tmp_path.iterdir()] == ["release"]


def test_the_texts_tell_of_the_prior_and_of_nothing_where_there_is_none(tmp_path):
    def texts_of(name, draws_with_it=False):
        prior = name and tiny_prior.prior(tiny.SPEC)._replace(name=name)
        guarantee = texts.privacy(PLAN, False, prior)
        sheet = texts.datasheet(guarantee, LABELS, REAL, "vae", draws_with_it)
        return texts.privacy_page(guarantee), sheet

    for text in texts_of(None):
        assert "prior" not in text
    for text in (*texts_of("squares"), *texts_of("images:letters"), *texts_of("my:scans")):
        assert "version 1" in text
        assert "no public images: squares drawn by a test" in text
    assert "nothing here protects an image among them" in texts_of("images:letters")[0]
    assert "code of the maker" in texts_of("my:scans")[0]
    assert "--prior=" not in texts_of("my:scans")[1]  # this model draws without its prior
    assert "--release=THIS_FOLDER --prior=my:scans --n=1000" in texts_of("my:scans", True)[1]
    assert "--release=THIS_FOLDER --n=1000" in texts_of("squares", True)[1]


def test_another_release_never_replaces_it(tmp_path):
    folder = packed(tmp_path)
    before, others = content(folder), IMAGES.copy()
    others[3, 0, 0] ^= 1
    less = dataclasses.replace(PLAN, stages=PLAN.stages[:1])
    for change in ({"images": others}, {"seed": 1}, {"plan": less}):
        with pytest.raises(InputError, match=r"another release.*name another --workdir"):
            packed(tmp_path, **change)
    assert (content(folder), [p.name for p in tmp_path.iterdir()]) == (before, ["release"])


def test_what_a_killed_run_left_half_written_is_written_again(tmp_path):
    shutil.copytree(packed(tmp_path), tmp_path / ".release.part")
    shutil.rmtree(tmp_path / "release")
    (tmp_path / ".release.part" / "samples.png").write_bytes(b"half")
    scan.scan(packed(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["release"]


def test_writing_a_private_release_does_not_depend_on_the_private_images(tmp_path):
    """Also not where one of them is in it: a refusal would tell."""
    same = dataclasses.replace(REAL, images=IMAGES[:9])
    folders = [packed(tmp_path / name, dataset=ds) for name, ds in (("a", REAL), ("b", same))]
    assert content(folders[0]) == content(folders[1])


def test_the_guarantee_is_that_of_the_plan(tmp_path):
    folder = packed(tmp_path)
    guarantee = json.loads((folder / "privacy.json").read_text())
    assert (guarantee["eps"], guarantee["delta"]) == (PLAN.epsilon(), 1e-3)
    assert [m["noise_multiplier"] for m in guarantee["mechanisms"]] == [4.0, 9.0]
    assert guarantee["mechanisms"][1]["sampling"] == "Poisson"
    assert guarantee["private"]
    text = (folder / "PRIVACY.md").read_text()
    assert PLAN.statement() in text
    stated = float(text.split("(")[1].split(",")[0])
    assert PLAN.epsilon() <= stated <= PLAN.epsilon() + 1e-4  # never rounded down


@pytest.mark.parametrize(
    ("eps", "delta", "words"),
    [
        (1100.8423, 1e-5, "(1100.9, 1e-05)"),
        (3.14159, 8.3333e-5, "(3.1416, 8.34e-05)"),
        (3.0, 0.000100001, "(3, 0.000101)"),
        (1e-5, 1e-300, "(1e-05, 1e-300)"),
    ],
)
def test_eps_and_delta_are_rounded_up(eps, delta, words):
    guarantee = texts.privacy(PLAN, False) | {"eps": eps, "delta": delta}
    assert texts.privacy_page(guarantee).startswith(f"# {words}-differential privacy\n")


def test_without_a_guarantee_the_release_says_so(tmp_path):
    text = (packed(tmp_path, plan=Plan(1e-3, ())) / "PRIVACY.md").read_text()
    assert text.startswith("# NOT private")
    # Whoever knows the noise seed can undo the noise.
    assert not texts.privacy(PLAN, True)["private"]


def test_advice_that_rests_on_real_images_is_in_no_release(tmp_path):
    written = [p.read_text() for p in packed(tmp_path).iterdir() if p.suffix in (".md", ".json")]
    assert len(written) == 4  # privacy.yaml says what privacy.json does
    assert not any("--model=" in text or "accurac" in text for text in written)


def test_an_epsilon_above_20_is_nominal_not_private():
    at_20, above = (Plan(1e-3, (Release(noise),)) for noise in (0.26, 0.24))
    assert 18 < at_20.epsilon() <= 20 < above.epsilon() < 23
    assert texts.privacy(at_20, False)["private"]
    guarantee = texts.privacy(above, False)
    assert not guarantee["private"]
    assert texts.privacy_page(guarantee).startswith("# NOT private")
    assert "nominal" in texts.privacy_page(guarantee)
    assert guarantee["statement"].startswith("Nominal")


def test_the_page_says_what_is_public_and_what_a_row_of_the_file_costs(tmp_path):
    guarantee = texts.privacy(PLAN, False)
    text = texts.privacy_page(guarantee)
    assert "whose contribution is there or is absent" in text
    for word in ("The list of members", "number n", "number K", "every setting"):
        assert word in text.split("## Public")[1].split("## Not covered")[0]
    eps, delta = PLAN.epsilon(), PLAN.delta
    pairs = re.findall(r"the guarantee is \(([^,]+), ([^)]+)\)", guarantee["row_of_the_file"])
    (one, own), (two, twice) = [(float(a), float(b)) for a, b in pairs]
    assert (one, own) == (pytest.approx(eps, rel=1e-4), delta)
    assert two == pytest.approx(2 * eps, rel=1e-4)
    assert twice == pytest.approx((1 + math.exp(eps)) * delta, rel=1e-2)
    assert (eps, 2 * eps, (1 + math.exp(eps)) * delta) <= (one, two, twice)
    for count in ("one or several", "each shaped by those before"):
        assert count in guarantee["statement"]


def test_the_datasheet_of_real_images_does_not_call_them_synthetic(tmp_path):
    folder = tmp_path / "release"
    guarantee = texts.privacy(Plan(1e-3, ()), False)
    pack.write(folder, guarantee, REAL.images, REAL.labels, REAL, None, picture)
    text = (folder / "README.md").read_text().replace("synthetic.npz", "")
    assert text.partition("\n---\n\n")[2].startswith(
        "# A baseline for scans: real images handed out, or noise\n"
    )
    assert "ynthetic" not in text
    assert "# Synthetic images after scans\n" in texts.datasheet(guarantee, LABELS, REAL, "vae")


def test_a_refuted_release_is_withdrawn_and_says_so(tmp_path):
    folder = packed(tmp_path)
    withdrawn = pack.withdraw(folder, "its audit shows eps >= 3")
    assert not folder.exists()
    assert withdrawn == folder.with_name("release.refuted")
    assert (withdrawn / "PRIVACY.md").read_text().startswith("# NOT private")
    for name in ("PRIVACY.md", "README.md", "privacy.json"):
        assert "REFUTED" in (withdrawn / name).read_text()
    assert "differential-privacy" not in (withdrawn / "README.md").read_text()
    assert not (withdrawn / "privacy.yaml").exists()
    guarantee = json.loads((withdrawn / "privacy.json").read_text())
    assert (guarantee["private"], guarantee["eps"]) == (False, "inf")
    assert pack.withdraw(folder, "again") is None


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
        with np.load(folder / name) as stored:
            np.savez(folder / name, **(dict(stored) | arrays))

    return put


def field(folder):
    guarantee = json.loads((folder / "privacy.json").read_text())
    (folder / "privacy.json").write_text(json.dumps(guarantee | {"auc_of_attack": 0.7}))


def rows(folder, change):
    path = folder / "labels.csv"
    with path.open(newline="") as file:
        table = list(csv.reader(file))
    change(table)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(table)


def image(folder):
    return folder / "images/train/0-nothing/0000000.png"


def registered(change):
    def put(folder):
        record = card.record(folder)
        change(record)
        (folder / "privacy.yaml").write_text(card.dumped(record))

    return put


LEAKS = {
    "a secret key": lambda f: (f / "secret.key").write_bytes(bytes(8)),
    "a folder": lambda f: (f / "checkpoints").mkdir(),
    "a link": lambda f: (
        (f / "generator.npz").unlink() or (f / "generator.npz").symlink_to("/etc/passwd")
    ),
    "member indices": array("synthetic.npz", members=np.arange(4)),
    "real images in test": array("synthetic.npz", test_images=IMAGES[:1, ..., 0]),
    "optimizer state": array("generator.npz", **{"opt_state/mu": np.zeros(3, np.float32)}),
    "an index in the generator": array("generator.npz", **{"private/members": np.arange(4)}),
    "a comment in the picture": comment,
    "bytes after the picture": trailing,
    "a metric of private data": field,
    "a file beside the images": lambda f: (f / "images/train/0-nothing/me.txt").write_text("17"),
    "a folder beside the classes": lambda f: (f / "images/test").mkdir(),
    "another image": lambda f: Image.fromarray(np.zeros((8, 8), np.uint8)).save(image(f)),
    "a missing image": lambda f: image(f).unlink(),
    "a link for an image": lambda f: image(f).unlink() or image(f).symlink_to(f / "samples.png"),
    "a comment": lambda f: image(f).write_bytes(image(f).read_bytes() + b"member 17"),
    "a column": lambda f: rows(f, lambda t: [row.append("17") for row in t]),
    "a row": lambda f: rows(f, lambda t: t.append(t[-1])),
    "a label": lambda f: rows(f, lambda t: t[1].__setitem__(slice(1, 3), ["1", "something"])),
    "a name": lambda f: rows(f, lambda t: t[1].__setitem__(2, "member 17")),
    "a path": lambda f: rows(f, lambda t: t[1].__setitem__(0, "images/train/../../x.png")),
    "a folder for the list": lambda f: (f / "labels.csv").unlink() or (f / "labels.csv").mkdir(),
    "a file for the images": lambda f: (
        shutil.rmtree(f / "images") or (f / "images").write_text("17")
    ),
    "a smaller eps": registered(
        lambda r: r["deployment"]["privacy_loss"]["privacy_parameters"].update(epsilon=0.1)
    ),
    "a measurement": registered(lambda r: r["deployment"]["basic"].update(accuracy="0.93")),
    "members": registered(lambda r: r["deployment"]["administrative"].update(sources=[1, 2])),
    "a section": registered(lambda r: r["deployment"].update(members={})),
    "a status": registered(lambda r: r.update(status="Approved")),
    "no record": lambda f: (f / "privacy.yaml").unlink(),
    "a field of the head": lambda f: (f / "README.md").write_text(
        (f / "README.md").read_text().replace("license:", "members: [17]\nlicense:")
    ),
}


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    folder = packed(tmp_path_factory.mktemp("runs"))
    scan.scan(folder)
    return folder


@pytest.mark.parametrize("leak", LEAKS)
def test_whatever_does_not_belong_is_refused(release, tmp_path, leak):
    folder = shutil.copytree(release, tmp_path / "release")
    LEAKS[leak](folder)
    with refused(str(folder)):
        scan.scan(folder)
