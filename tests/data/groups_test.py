"""fpu/data/groups.py: --groups names the patient or scan of every train image."""

import numpy as np
import pytest
import toy
from PIL import Image
from refusal import refused

from fpu import InputError, data

HEAD = "index,group\n"


def npz(tmp_path):
    """12 train, 6 val and 6 test images."""
    np.savez(tmp_path / "mine.npz", **toy.arrays())
    return tmp_path / "mine.npz"


def table(tmp_path, text):
    (tmp_path / "groups.csv").write_text(text, encoding="utf-8")
    return tmp_path / "groups.csv"


def test_an_index_counts_within_its_split(tmp_path):
    rows = [f"train,{i},p{i // 4}" for i in range(12)] + ["test,0,p1", "test,1,new"]
    ds = data.load(npz(tmp_path), groups=table(tmp_path, "split,index,group\n" + "\n".join(rows)))
    assert ds.groups.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [-1] * 12
    assert any(line.startswith("1 groups are in train and in val or test") for line in ds.notes)
    rows = "".join(f"{i},{i // 3}\n" for i in range(1437))
    digits = data.load("digits", groups=table(tmp_path, HEAD + rows))
    assert digits.groups[digits.split == 0].tolist() == [i // 3 for i in range(1437)]
    assert (digits.groups[digits.split != 0] == -1).all()
    assert len(data.units(digits, data.partition(digits, n_per_class=5).members)[1]) == 50


def test_medmnists_own_files_name_the_scan(tmp_path):
    rows = [f"train,{i},train-{100 + i // 6}-8-axial-{i:03d}" for i in range(12)]
    path = table(tmp_path, "split,index,image_id\n" + "\n".join(rows))
    assert data.load(npz(tmp_path), groups=path).groups[:12].tolist() == [0] * 6 + [1] * 6
    with pytest.raises(InputError, match=r"image_id .* does not say which scan"):
        data.load(npz(tmp_path), groups=table(tmp_path, "split,index,image_id\ntrain,0,x.png\n"))


def test_files_of_a_folder_by_name(tmp_path):
    for i in range(4):
        place = tmp_path / "scans" / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), i).save(place / f"{i}.png")
    path = table(tmp_path, "file;group\na/0.png;x\nb/1.png;y\nb\\3.png;x\na/2.png;x\n")
    ds = data.load(tmp_path / "scans", groups=path)  # a/0, a/2, b/1, b/3
    assert ds.groups.tolist() == [0, 0, 1, 0]


ROWS = "".join(f"{i},g\n" for i in range(12))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("index\n0\n", "needs the columns index and group; it has index"),
        ("file,group\na,b\n", "needs the columns index and group"),
        (HEAD + ROWS.replace("5,g\n", ""), "12 train images have no group, the first is index 5"),
        (HEAD + ROWS.replace("5,g", "5,"), "line 7: its group is empty"),
        (HEAD + ROWS.replace("5,g", "12,g"), "line 7: the data have no image 12"),
        (HEAD + ROWS.replace("5,g", "-1,g"), "line 7: the data have no image -1"),
        (HEAD + ROWS.replace("5,g", "six,g"), "line 7: the data have no image six"),
        (HEAD + ROWS + "5,h\n", "5 is in two groups, g and h"),
        ("", "is empty"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path, text, says):
    with refused(says, "groups.csv"):
        data.load(npz(tmp_path), groups=table(tmp_path, text))


def test_two_sources_of_groups_are_refused_and_an_absent_file(tmp_path):
    np.savez(tmp_path / "own.npz", **toy.arrays(), train_groups=np.arange(12))
    with pytest.raises(InputError, match="has train_groups already"):
        data.load(tmp_path / "own.npz", groups=table(tmp_path, HEAD + ROWS))
    with pytest.raises(InputError, match=r"none.csv: cannot be read"):
        data.load(npz(tmp_path), groups=tmp_path / "none.csv")
