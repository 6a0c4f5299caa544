"""fpu/data/datasets.py, listing.py, folders.py, pictures.py: a folder of images becomes the same Dataset as an .npz."""

import unicodedata
import zlib

import numpy as np
import pytest
from PIL import Image
from refusal import refused

from fpu import InputError, data
from fpu.data import folders, pictures, sizes


def picture(path, value=0, size=(28, 28), mode="L", **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path, **more)
    return path


def grey(folder, names, size=(28, 28)):
    """Files of these names, each of a grey of its own: 10, 11, 12, ..."""
    for value, name in enumerate(names, 10):
        picture(folder / name, value, size)
    return folder


def values(dataset):
    """The grey in the middle of each image."""
    height, width, _ = dataset.shape
    return dataset.images[:, height // 2, width // 2, 0].tolist()


def test_a_subfolder_is_a_class_whatever_its_script_and_depth(tmp_path):
    names = ["b/2.png", "b/deep/er/1.tif", "\u03b1 \u0431/x.PNG", "a/1.jpeg", "a/.hidden.png"]
    grey(tmp_path / "scans", names)
    (tmp_path / "scans" / "a" / "Thumbs.db").write_text("x")
    ds = data.load(tmp_path / "scans")
    assert (ds.name, ds.class_names) == ("scans", ("a", "b", "\u03b1 \u0431"))
    assert (ds.labels.tolist(), values(ds)) == ([0, 1, 1, 2], [13, 10, 11, 12])
    assert (ds.split == 0).all()
    assert ds.groups is None
    assert ds.source.startswith("own folder scans, SHA-256")
    counts = "4 images in scans: a 1, b 2, \u03b1 \u0431 1"
    assert ds.notes == (counts, "files that are no images are left out: 1 .db")


def test_train_val_and_test_are_splits(tmp_path):
    grey(tmp_path, ["test/a/1.png", "train/a/1.png", "train/b/1.png", "validation/b/1.png"])
    ds = data.load(tmp_path)
    assert (ds.split.tolist(), values(ds)) == ([0, 0, 1, 2], [11, 12, 13, 10])
    picture(tmp_path / "test" / "c" / "1.png")
    with pytest.raises(InputError, match="train has no image of class c, yet test has"):
        data.load(tmp_path)


TABLE = "\ufeffFile;Label;group;split;age\nx/1.png;ill;7;train;3\n\n 2.png ; well;8;;4\n3.png;well;8;test;5\n"


def test_a_table_names_file_label_group_and_split(tmp_path):
    grey(tmp_path, ["2.png", "x/1.png", "3.png", "unlisted.png"])
    (tmp_path / "scans.csv").write_text(TABLE, encoding="utf-8")
    ds = data.load(tmp_path)
    assert ds.class_names == ("ill", "well")
    assert (ds.labels.tolist(), ds.split.tolist()) == ([0, 1, 1], [0, 0, 2])
    assert (values(ds), ds.groups.tolist()) == ([11, 10, 12], [0, 1, -1])
    for line in ("1 images that scans.csv does not list", "not used: age", "1 groups are in train"):
        assert any(line in note for note in ds.notes)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("File", "name"), "no column file"),
        ((";Label", ";diagnosis"), "no column label"),
        ((";group", ";patient_id"), "patient_id looks like patients.*rename it to group"),
        ((";ill;", ";;"), "line 2: its label is empty"),
        ((";7;", "; ;"), "line 2: its group is empty"),
        ((";test;", ";tset;"), "line 5: split is tset; write train, val or test"),
        ((" 2.png ", "../2.png"), "line 4: file is ../2.png; write a name below the folder"),
        ((" 2.png ", "/etc/2.png"), "line 4: file is /etc/2.png"),
        ((" 2.png ", "C:\\2.png"), "line 4: file is"),
        ((" 2.png ", ""), "line 4: file is empty"),
        ((" 2.png ", "3.png"), "line 5: 3.png is there twice"),
        ((" 2.png ", "4.png"), "1 file is unreadable: 4.png .No such file"),
        (("3.png;well", "3.png"), "line 5: has 4 cells, the header 5"),
        (("age", "split"), "two columns are called split"),
        (("ill", "well"), "one class only .well."),
        ((";age", ';"age'), "scans.csv: not a CSV file"),
    ],
)
def test_a_bad_table_is_one_line(tmp_path, change, says):
    grey(tmp_path, ["2.png", "x/1.png", "3.png"])
    (tmp_path / "scans.csv").write_text(TABLE.replace(*change), encoding="utf-8")
    with refused(match=says):
        data.load(tmp_path)


def test_names_match_however_their_accents_are_stored(tmp_path):
    name = "b\u00e9b\u00e9.png"
    grey(tmp_path, [unicodedata.normalize("NFD", name), "2.png"])
    (tmp_path / "t.csv").write_text(f"file,label\n{name},a\n2.png,b\n", encoding="utf-8")
    assert values(data.load(tmp_path)) == [10, 11]


def test_a_whole_image_is_scaled_into_the_middle_of_black(tmp_path):
    picture(tmp_path / "a" / "wide.png", 200, (100, 50))
    picture(tmp_path / "b" / "high.png", 200, (10, 20))
    ds = data.load(tmp_path, side=20)
    wide, high = ds.images[..., 0]
    assert (wide[5:15] == 200).all()
    assert (wide[:5] == 0).all()
    assert (wide[15:] == 0).all()
    assert (high[:, 5:15] == 200).all()
    assert high.sum() == wide.sum() == 200 * 200
    assert any("scaled to 20x20, whole, on black" in line for line in ds.notes)
    assert data.load(tmp_path).shape == (28, 28, 1)


def test_shrinking_averages():
    checks = (np.indices((64, 64)).sum(0) % 2 * 200).astype(np.uint8)[..., None]
    assert np.abs(sizes.fit(checks, 16, 16)[2:-2, 2:-2] - 100).max() < 1


def test_grey_of_every_depth_is_the_same_grey(tmp_path):
    eight = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    made = {
        "grey.png": Image.fromarray(eight),
        "sixteen.png": Image.fromarray(eight.astype(np.uint16) * 257),
        "sixteen.tif": Image.fromarray(eight.astype(np.uint16) * 257),
        "float.tif": Image.fromarray((eight / 255).astype(np.float32)),
        "bits.png": Image.fromarray(eight > 127),
        "alpha.png": Image.merge("LA", [Image.fromarray(eight)] * 2),
    }
    for name, image in made.items():
        (tmp_path / name).mkdir()
        image.save(tmp_path / name / name)
    ds = data.load(tmp_path)
    assert ds.shape == (28, 28, 1)
    for name, image in zip(ds.class_names, ds.images[..., 0], strict=True):
        expected = (eight > 127) * 255 if name == "bits.png" else eight
        np.testing.assert_array_equal(image, expected, err_msg=name)
    assert any("16-bit pixels go up to 65,535: read as 16 bits" in line for line in ds.notes)
    assert any("alpha channel was dropped from 1 images" in line for line in ds.notes)


def test_twelve_bits_in_sixteen_are_not_black(tmp_path):
    for name, top in (("a/1.tif", 4095), ("b/1.tif", 1000)):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(np.full((28, 28), top, np.uint16)).save(tmp_path / name)
    ds = data.load(tmp_path)
    assert values(ds) == [255, 62]
    assert any("read as 12 bits" in line for line in ds.notes)


def test_colour_in_any_file_makes_all_colour(tmp_path):
    picture(tmp_path / "a" / "1.png", 9)
    picture(tmp_path / "b" / "1.jpg", (200, 10, 10), mode="RGB", quality=95)
    picture(tmp_path / "b" / "2.png", (200, 10, 10, 0), mode="RGBA")
    picture(tmp_path / "b" / "3.tif", (0, 0, 0, 0), mode="CMYK")
    ds = data.load(tmp_path)
    assert (ds.shape, ds.images[0].tolist()) == ((28, 28, 3), [[[9] * 3] * 28] * 28)
    assert np.abs(ds.images[1].astype(int) - [200, 10, 10]).max() < 6
    assert (ds.images[2] == [200, 10, 10]).all()
    assert (ds.images[3] == 255).all()
    assert any("1 images are grey and 3 RGB" in line for line in ds.notes)


def test_unreadable_files_are_listed_refused_and_can_be_skipped(tmp_path):
    grey(tmp_path, [f"{c}/{i}.png" for c in "ab" for i in range(3)])
    (tmp_path / "a" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    cut = (tmp_path / "a" / "1.png").read_bytes()
    (tmp_path / "a" / "1.png").write_bytes(cut[: len(cut) // 2])
    (tmp_path / "b" / "text.jpg").write_text("no image")
    pages = [Image.new("L", (9, 9))] * 2
    pages[0].save(tmp_path / "b" / "pages.tif", save_all=True, append_images=pages[1:])
    words = r"4 files are unreadable: a/0.png .*a/1.png .*skip"
    with pytest.raises(InputError, match=words) as told:
        data.load(tmp_path)
    assert "several pages" in str(told.value)
    ds = data.load(tmp_path, skip_unreadable=True)
    assert values(ds) == [12, 13, 14, 15]
    assert any("left out: 4 files are unreadable: a/0.png" in line for line in ds.notes)
    (tmp_path / "a" / "2.png").write_text("")
    with pytest.raises(InputError, match="one class only"):
        data.load(tmp_path, skip_unreadable=True)


@pytest.mark.parametrize("size", [(40_000, 40_000), (10_000, 10_000), (1, 2**27)])
def test_a_huge_image_is_refused_before_it_is_decoded(tmp_path, monkeypatch, size):
    monkeypatch.setattr(pictures, "_pixels", None)  # never called
    header = picture(tmp_path / "a" / "1.png").read_bytes()
    width, height = (side.to_bytes(4, "big") for side in size)
    head = b"IHDR" + width + height + header[24:29]
    made = header[:12] + head + zlib.crc32(head).to_bytes(4, "big") + header[33:]
    (tmp_path / "a" / "1.png").write_bytes(made)
    picture(tmp_path / "b" / "1.png")
    with pytest.raises(InputError, match=r"a/1.png .*pixels"):
        data.load(tmp_path)


def test_links_out_of_the_folder_are_refused_and_those_inside_followed(tmp_path):
    folder = grey(tmp_path / "scans", ["a/1.png", "b/1.png"])
    (folder / "b" / "2.png").symlink_to(folder / "a" / "1.png")
    assert values(data.load(folder)) == [10, 11, 10]
    outside = picture(tmp_path / "secret.png")
    for place, target in (("b/3.png", outside), ("c", tmp_path)):
        link = folder / place
        link.symlink_to(target)
        with pytest.raises(InputError, match=f"{place}: is a link out of"):
            data.load(folder, skip_unreadable=True)
        link.unlink()


def test_a_folder_that_is_no_data_set_says_what_is_missing(tmp_path):
    with pytest.raises(InputError, match=r"holds no image .*make one subfolder a class"):
        data.load(tmp_path)
    picture(tmp_path / "1.png")
    with pytest.raises(InputError, match="lies in no subfolder of a class"):
        data.load(tmp_path)
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text("file,label\n")
    with pytest.raises(InputError, match=r"several .csv files .a.csv, b.csv."):
        data.load(tmp_path)
    (tmp_path / "b.csv").unlink()
    with pytest.raises(InputError, match="lists no image"):
        data.load(tmp_path)


def test_a_changed_file_is_read_again(tmp_path):
    grey(tmp_path, ["a/1.png", "b/1.png"])
    assert values(data.load(tmp_path)) == [10, 11]
    picture(tmp_path / "a" / "1.png", 99, (30, 30))
    assert values(data.load(tmp_path)) == [99, 11]


def test_too_many_pixels_for_the_memory_are_refused(tmp_path, monkeypatch):
    grey(tmp_path, ["a/1.png", "b/1.png"])
    monkeypatch.setattr(folders.safe, "MAX_BYTES", 4000)
    with pytest.raises(InputError, match="use a smaller --side"):
        data.load(tmp_path)
