"""Where public images come from: a folder of the user, ~/.medmnist, the cache, or a download.

Whatever the route, an official name means the official bytes: MedMNIST's files by their md5, MNIST
by the md5 of its uncompressed content, since copies of the four .gz files differ in packing only.
"""

import contextlib
import functools
import http.client
import io
import os
import shutil
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
import rich.console
import rich.progress

from fpu import InputError
from fpu.files import safe

# Name: classes, md5 of the 28x28 file, md5 of the 64x64 file. medmnist.INFO says the same and more;
# this table serves where medmnist is missing (it asks for torch) and is tested against it.
MEDMNIST = {
    "pathmnist": (9, "a8b06965200029087d5bd730944a56c1", "55aa9c1e0525abe5a6b9d8343a507616"),
    "dermamnist": (7, "0744692d530f8e62ec473284d019b0c7", "b70a2f5635c6199aeaa28c31d7202e1f"),
    "octmnist": (4, "c68d92d5b585d8d81f7112f81e2d0842", "e229e9440236b774d9f0dfef9d07bdaf"),
    "pneumoniamnist": (2, "28209eda62fecd6e6a2d98b1501bb15f", "8f4eceb4ccffa70c672198ea285246c6"),
    "retinamnist": (5, "bd4c0672f1bba3e3a89f0e4e876791e4", "afda852cc34dcda56f86ad2b2457dbcc"),
    "breastmnist": (2, "750601b1f35ba3300ea97c75c52ff8f6", "742edef2a1fd1524b2efff4bd7ba9364"),
    "bloodmnist": (8, "7053d0359d879ad8a5505303e11de1dc", "2b94928a2ae4916078ca51e05b6b800b"),
    "tissuemnist": (8, "ebe78ee8b05294063de985d821c1c34b", "123ece2eba09d0aa5d698fda57103344"),
    "organamnist": (11, "68e3f8846a6bd62f0c9bf841c0d9eacc", "2dcccc29b88e6da5a01161ef20cda288"),
    "organcmnist": (11, "b9ceb9546e10131b32923c5bbeaea2b1", "3ce34a8724ea6f548e6db4744d03b6a9"),
    "organsmnist": (11, "9ab87b696fb54e2a387ebe992d6ed5f1", "53a6d115339d874c25e309a994ff46d3"),
}
MEDMNIST_NAMES = (*MEDMNIST, *(f"{name}_64" for name in MEDMNIST))
URL = "https://zenodo.org/records/10519652/files/{}.npz?download=1"

# Field: stem of the idx file, md5 of its uncompressed content, name in Keras' mnist.npz.
MNIST = {
    "train_images": ("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb", "x_train"),
    "train_labels": ("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624", "y_train"),
    "test_images": ("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea", "x_test"),
    "test_labels": ("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637", "y_test"),
}


def cache_dir():
    """Folder for downloads and decoded copies: $XDG_CACHE_HOME or ~/.cache, then fpu."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fpu"


@functools.cache
def _info():
    """medmnist.INFO, or nothing. Importing medmnist without torch prints a line: not ours."""
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            from medmnist import INFO
        except ImportError:
            return {}
    return INFO


def facts(name):
    """url, md5, class_names and citation of one of MEDMNIST_NAMES."""
    base, _, size = name.partition("_")
    n_classes, md5, md5_64 = MEDMNIST[base]
    known = {
        "url": URL.format(base),
        "url_64": URL.format(f"{base}_64"),
        "MD5": md5,
        "MD5_64": md5_64,
        "label": {str(k): str(k) for k in range(n_classes)},
        "license": "licence at medmnist.com",
    } | _info().get(base, {})
    size = size and f"_{size}"
    return {
        "url": known[f"url{size}"],
        "md5": known[f"MD5{size}"],
        "class_names": tuple(known["label"][str(k)] for k in range(n_classes)),
        "citation": f"{name}, MedMNIST (J. Yang et al., Scientific Data 10:41, 2023), "
        f"{known['license']}",
    }


def medmnist_file(name, data_dir=None):
    """Path of the official .npz: in data_dir, ~/.medmnist or the cache, else downloaded there.

    The first file of that name decides; with another md5 it is refused, not passed over.
    """
    known = facts(name)
    for folder in filter(None, (data_dir, Path.home() / ".medmnist", cache_dir())):
        path = Path(folder) / f"{name}.npz"
        if path.exists():
            if safe.file_md5(path) != known["md5"]:
                raise InputError(
                    f"{path}: not the official {name} (its md5 is not {known['md5']}); "
                    f"remove it, or use it as your own data with --dataset={path}"
                )
            return path
    path = cache_dir() / f"{name}.npz"
    download(known["url"], path, known["md5"])
    return path


def download(url, path, md5):
    """Fetch url into path, which appears only when whole and with this md5; else InputError."""
    host = urllib.parse.urlsplit(url).hostname
    terminal = sys.stderr.isatty()
    try:
        with safe.atomic(path) as part:
            with urllib.request.urlopen(url, timeout=60) as response, open(part, "wb") as file:
                size = int(response.headers.get("Content-Length") or 0)
                if not terminal:
                    print(
                        f"downloading {path.name} ({size / 1e6:.1f} MB) from {host}",
                        file=sys.stderr,
                    )
                with rich.progress.wrap_file(
                    response,
                    size,
                    description=f"downloading {path.name}",
                    console=rich.console.Console(stderr=True),
                    disable=not terminal,
                ) as stream:
                    shutil.copyfileobj(stream, file, 2**18)
            if safe.file_md5(part) != md5:
                raise InputError(f"{path.name} from {host}: wrong md5 (cut off?); try again")
    except (OSError, http.client.HTTPException) as error:
        raise InputError(
            f"{path.name}: no download from {host} ({error}); "
            "fetch it another way and give its folder with --data_dir"
        ) from error


def mnist(data_dir=None):
    """{train_images [60000, 28, 28], train_labels, test_images, test_labels}: uint8, file order.

    From the four idx files (gzipped or not) or Keras' mnist.npz in data_dir, else from the cache,
    else through tensorflow-datasets, decoded once into the cache. Raises InputError.
    """
    for folder in filter(None, (data_dir, cache_dir())):
        arrays = _mnist_in(Path(folder))
        if arrays:
            return _checked(arrays, folder)
    from fpu.data import tfds_mnist  # takes a second, and only this route needs it

    print("preparing mnist through tensorflow-datasets, once: about a minute", file=sys.stderr)
    arrays = _checked(tfds_mnist.read(cache_dir() / "tensorflow_datasets"), "tensorflow-datasets")
    with safe.atomic(cache_dir() / "mnist.npz") as part, open(part, "wb") as file:
        np.savez(file, **{MNIST[field][2]: array for field, array in arrays.items()})
    return arrays


def _mnist_in(folder):
    found = {}
    for field, (stem, _, _) in MNIST.items():
        paths = [p for p in (folder / f"{stem}.gz", folder / stem) if p.exists()]
        if paths:
            found[field] = paths[0]
    if len(found) == len(MNIST):
        return {field: safe.read_idx(path) for field, path in found.items()}
    if (folder / "mnist.npz").exists():
        return _keras(folder / "mnist.npz")
    if found:
        lacking = ", ".join(f"{MNIST[f][0]}.gz" for f in MNIST if f not in found)
        raise InputError(f"{folder} (--data_dir) lacks {lacking}: MNIST is four idx files")
    return {}


def _keras(path):
    headers = safe.npz_headers(path, [name for _, _, name in MNIST.values()])
    arrays = {}
    for field, (_, _, name) in MNIST.items():
        if name not in headers or headers[name][1] != np.uint8:
            raise InputError(f"{path}: {name} is missing or not uint8: not Keras' mnist.npz")
        arrays[field] = safe.npz_array(path, name)
    return arrays


def _checked(arrays, where):
    for field, (stem, md5, _) in MNIST.items():
        if safe.idx_md5(arrays[field]) != md5:
            raise InputError(
                f"{where}: {stem} does not hold MNIST's {field} (md5 of the content is not {md5}); "
                "get the four files again, or store your own images as an .npz for --dataset"
            )
    return arrays
