"""Where public images come from: a folder of the user, ~/.medmnist, the cache, or a download.

By every route the official bytes are checked: MedMNIST's files by their md5, MNIST's by the md5 of
their uncompressed content, because copies of the four .gz files differ in compression.
"""

import contextlib
import functools
import http.client
import io
import shutil
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
import rich.console
import rich.progress

from fpu import InputError
from fpu.files import cache, safe

# Name: classes, md5 of the 28x28 file, md5 of the 64x64 file. medmnist.INFO has the same and more. This
# table is used where medmnist is missing (it requires torch), and is tested against medmnist.INFO.
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
LARGER = {  # md5 of the 128x128 and of the 224x224 file
    "pathmnist": ("ac42d08fb904d92c244187169d1fd1d9", "2c51a510bcdc9cf8ddb2af93af1eadec"),
    "dermamnist": ("2defd784463fa5243564e855ed717de1", "8974907d8e169bef5f5b96bc506ae45d"),
    "octmnist": ("0a97e76651ace45c5d943ee3f65b63ae", "abc493b6d529d5de7569faaef2773ba3"),
    "pneumoniamnist": ("05b46931834c231683c68f40c47b2971", "d6a3c71de1b945ea11211b03746c1fe1"),
    "retinamnist": ("e48e916a24454daf90583d4e6efb1a18", "eae7e3b6f3fcbda4ae613ebdcbe35348"),
    "breastmnist": ("363e4b3f8d712e9b5de15470a2aaadf1", "b56378a6eefa9fed602bb16d192d4c8b"),
    "bloodmnist": ("adace1e0ed228fccda1f39692059dd4c", "b718ff6835fcbdb22ba9eacccd7b2601"),
    "tissuemnist": ("61b955355d7425a89687b06cca3ce0c2", "b077128c4a949f0a4eb01517f9037b9c"),
    "organamnist": ("eeae80d0a227a8d099027e1b3cfd3b60", "50747347e05c87dd3aaf92c49f9f3170"),
    "organcmnist": ("773c1f009daa3fe5d9a2a201b2a7ed94", "050f5e875dc056f6768abf94ec9995d1"),
    "organsmnist": ("ded0c5fa01a95dc4978b956f613e9b8e", "b354719e553fbbb2513d5533f52a4cb1"),
}
MEDMNIST_NAMES = tuple(f"{name}{size}" for size in ("", "_64", "_128", "_224") for name in MEDMNIST)
URL = "https://zenodo.org/records/10519652/files/{}.npz?download=1"

# Field: stem of the idx file, md5 of its uncompressed content, name in Keras' mnist.npz.
MNIST = {
    "train_images": ("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb", "x_train"),
    "train_labels": ("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624", "y_train"),
    "test_images": ("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea", "x_test"),
    "test_labels": ("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637", "y_test"),
}


@functools.cache
def _info() -> dict:
    """medmnist.INFO, or {}. Importing medmnist without torch prints a line, which is dropped here."""
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            from medmnist import INFO
        except ImportError:
            return {}
    return INFO


def facts(name: str) -> dict:
    """url, md5, class_names and citation of one of MEDMNIST_NAMES."""
    base, _, size = name.partition("_")
    n_classes, md5, md5_64 = MEDMNIST[base]
    info = {
        "url": URL.format(base),
        **{f"url_{side}": URL.format(f"{base}_{side}") for side in (64, 128, 224)},
        "MD5": md5,
        "MD5_64": md5_64,
        "MD5_128": LARGER[base][0],
        "MD5_224": LARGER[base][1],
        "label": {str(k): str(k) for k in range(n_classes)},
        "license": "licence at medmnist.com",
    } | _info().get(base, {})
    size = size and f"_{size}"
    return {
        "url": info[f"url{size}"],
        "md5": info[f"MD5{size}"],
        "class_names": tuple(info["label"][str(k)] for k in range(n_classes)),
        "citation": f"{name}, MedMNIST (J. Yang et al., Scientific Data 10:41, 2023), "
        f"{info['license']}",
    }


def medmnist_file(name: str, data_dir: Path | None = None) -> Path:
    """Path of the official .npz: in data_dir, ~/.medmnist or the cache, else downloaded into the cache.

    The first file of that name is taken; if its md5 is another it is refused, and no other is looked for.
    """
    official = facts(name)
    home, cached = cache.home(), cache.folder(write=False)
    for folder in filter(None, (data_dir, home and home / ".medmnist", cached)):
        path = folder / f"{name}.npz"
        if path.exists():
            if safe.file_md5(path) != official["md5"]:
                raise InputError(
                    f"{path}: not the official {name} (its md5 is not {official['md5']}); "
                    f"remove it, or use it as your own data with --dataset={path}"
                )
            return path
    path = _place(name, cached) / f"{name}.npz"
    download(official["url"], path, official["md5"])
    return path


def _place(name: str, cached: Path | None) -> Path:
    """The cache, needed for a download."""
    if cached is None:
        raise InputError(
            f"{name}: no folder to download it into; set XDG_CACHE_HOME to one you may write to, or give the folder "
            "that holds it with --data_dir"
        )
    return cached


def download(url: str, path: Path, md5: str) -> None:
    """Fetch url into path, which appears only when whole and with this md5; else InputError."""
    host = urllib.parse.urlsplit(url).hostname
    terminal = sys.stderr.isatty()
    try:
        with safe.atomic(path) as part:
            with urllib.request.urlopen(url, timeout=60) as response, open(part, "wb") as file:
                size = _size(response.headers.get("Content-Length"))
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


def _size(content_length: str | None) -> int:
    """Bytes that a server announces; 0 where it announces none."""
    text = content_length or "0"
    if not text.isdecimal() or len(text) > 18:
        raise http.client.HTTPException(f"Content-Length is {text[:40]!r}")
    return int(text)


def mnist(data_dir: Path | None = None) -> dict[str, np.ndarray]:
    """{train_images [60000, 28, 28], train_labels, test_images, test_labels}: uint8, file order.

    From the four idx files (gzipped or not) or Keras' mnist.npz in data_dir, else from the cache,
    else through tensorflow-datasets, decoded once into the cache. Raises InputError.
    """
    cached = cache.folder(write=False)
    for folder in filter(None, (data_dir, cached)):
        arrays = _mnist_in(folder)
        if arrays:
            return _checked(arrays, folder)
    cached = _place("mnist", cached)
    from fpu.data import tfds_mnist  # takes a second, and only this route needs it

    print("preparing mnist through tensorflow-datasets, once: about a minute", file=sys.stderr)
    arrays = _checked(tfds_mnist.read(cached / "tensorflow_datasets"), "tensorflow-datasets")
    keras = {MNIST[field][2]: array for field, array in arrays.items()}
    safe.write_npz(cached / "mnist.npz", keras, compressed=False)
    return arrays


def _mnist_in(folder: Path) -> dict[str, np.ndarray]:
    paths = {}
    for field, (stem, _, _) in MNIST.items():
        present = [p for p in (folder / f"{stem}.gz", folder / stem) if p.exists()]
        if present:
            paths[field] = present[0]
    if len(paths) == len(MNIST):
        return {field: safe.read_idx(path) for field, path in paths.items()}
    if (folder / "mnist.npz").exists():
        return _keras(folder / "mnist.npz")
    if paths:
        missing = ", ".join(f"{MNIST[field][0]}.gz" for field in MNIST if field not in paths)
        raise InputError(f"{folder} (--data_dir) lacks {missing}: MNIST is four idx files")
    return {}


def _keras(path: Path) -> dict[str, np.ndarray]:
    headers = safe.npz_headers(path, [name for _, _, name in MNIST.values()])
    arrays = {}
    for field, (_, _, name) in MNIST.items():
        if name not in headers or headers[name][1] != np.uint8:
            raise InputError(f"{path}: {name} is missing or not uint8: not Keras' mnist.npz")
        arrays[field] = safe.npz_array(path, name)
    return arrays


def _checked(arrays: dict[str, np.ndarray], where: object) -> dict[str, np.ndarray]:
    for field, (stem, md5, _) in MNIST.items():
        if safe.idx_md5(arrays[field]) != md5:
            raise InputError(
                f"{where}: {stem} does not hold MNIST's {field} (md5 of the content is not {md5}); "
                "get the four files again, or store your own images as an .npz for --dataset"
            )
    return arrays
