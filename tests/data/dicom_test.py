"""fpu/data/dicom.py: rescaled, windowed, inverted; the patient becomes the group; nothing else is kept."""

import sys

import numpy as np
import pytest
from refusal import refused

from fpu import InputError, data

pydicom = pytest.importorskip("pydicom")


def scan(path, pixels, patient="P1", **more):
    """A DICOM file of grey pixels [h, w], uint16 or int16, or RGB [h, w, 3] uint8."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    made.PatientID, made.PatientName, made.PatientBirthDate = patient, "Doe^Jane", "19700101"
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    made.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    made.PlanarConfiguration = 0
    made.BitsAllocated = made.BitsStored = 8 * pixels.dtype.itemsize
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    made.PixelData = pixels.tobytes()
    for name, value in more.items():
        setattr(made, name, value)
    made.save_as(path, enforce_file_format=True)
    return path


def middle(tmp_path, value, dtype=np.uint16, **more):
    """The 8-bit value of a file whose pixels are all `value`."""
    scan(tmp_path / "a" / "1.dcm", np.full((28, 28), value, dtype), **more)
    scan(tmp_path / "b" / "1.dcm", np.zeros((28, 28), np.uint16))
    return int(data.load(tmp_path).images[0, 14, 14, 0])


@pytest.mark.parametrize(
    ("value", "header", "expected"),
    [
        (65535, {}, 255),  # no window: the whole range of the stored bits
        (-(2**15), {"dtype": np.int16}, 0),
        (2**15 - 1, {"dtype": np.int16}, 255),
        (2048, {"BitsStored": 12, "HighBit": 11}, 128),
        (2048, {"BitsStored": 12, "HighBit": 11, "PhotometricInterpretation": "MONOCHROME1"}, 127),
        (100, {"WindowCenter": 100.5, "WindowWidth": 101}, 128),
        (150, {"WindowCenter": [100.5, 0], "WindowWidth": [101, 9]}, 255),
        (50, {"WindowCenter": 100.5, "WindowWidth": 101}, 0),
        (9, {"WindowCenter": 100.5, "WindowWidth": 101}, 0),
        # CT: 1064 stored is 40 Hounsfield units, the middle of a window for soft tissue
        (1064, {"RescaleIntercept": -1024, "RescaleSlope": 1, "WindowCenter": 40.5, "WindowWidth": 401}, 128),
    ],
)  # fmt: skip
def test_rescaled_then_windowed_then_inverted(tmp_path, value, header, expected):
    assert middle(tmp_path, value, **header) == expected


def test_colour(tmp_path):
    red = np.full((28, 28, 3), [200, 10, 30], np.uint8)
    scan(tmp_path / "a" / "1.dcm", red)
    scan(tmp_path / "b" / "1.dcm", red)
    assert (data.load(tmp_path).images == [200, 10, 30]).all()


def test_patients_become_groups_and_nothing_else_of_the_header_is_kept(tmp_path):
    for i, patient in enumerate(["Anna", "Bert", "Anna", "Carl"]):
        name = f"{'ab'[i % 2]}/IM{i:04d}"  # without a suffix, as scanners write
        scan(tmp_path / name, np.full((28, 28), 1000 * i, np.uint16), patient)
    ds = data.load(tmp_path)
    assert ds.groups.tolist() == [0, 0, 1, 2]
    assert not any(word in repr(ds) for word in ("Anna", "Bert", "Doe", "1970"))


def test_files_without_a_patient_are_said_or_refused(tmp_path):
    for name in ("a/1.dcm", "b/1.dcm", "b/2.dcm"):
        scan(tmp_path / name, np.zeros((28, 28), np.uint16), patient="")
    ds = data.load(tmp_path)
    assert ds.groups is None
    assert any("no DICOM file has a PatientID" in line for line in ds.notes)
    scan(tmp_path / "b" / "2.dcm", np.zeros((28, 28), np.uint16), patient="P1")
    with pytest.raises(InputError, match="2 train images have no patient"):
        data.load(tmp_path)
    (tmp_path / "g.txt").write_text("file,group\na/1.dcm,x\nb/1.dcm,y\nb/2.dcm,x\n")
    assert data.load(tmp_path, groups=tmp_path / "g.txt").groups.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ({"Rows": 40_000, "Columns": 40_000}, "40,000 x 40,000 pixels"),
        ({"NumberOfFrames": 3}, "several frames"),
        ({"Rows": 29}, "a/1.dcm"),
    ],
)
def test_a_strange_header_is_one_line(tmp_path, header, says):
    with refused(says):
        middle(tmp_path, 0, **header)


def test_without_pydicom_the_extra_is_named(tmp_path, monkeypatch):
    scan(tmp_path / "a" / "1.dcm", np.zeros((28, 28), np.uint16))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(InputError, match="DICOM needs the extra `dicom`"):
        data.load(tmp_path)
