"""Where public images come from: a folder of the user, ~/.medmnist, the cache, or a download.

By every route the official bytes are checked: MedMNIST's files by their md5, MNIST's by the md5 of
their uncompressed content, because copies of the four .gz files differ in compression.
"""

import contextlib
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

_MEDMNIST = (  # those of 2-D images with one label each
    "pathmnist", "dermamnist", "octmnist", "pneumoniamnist", "retinamnist", "breastmnist",
    "bloodmnist", "tissuemnist", "organamnist", "organcmnist", "organsmnist",
)  # fmt: skip
MEDMNIST_NAMES = tuple(
    f"{name}{size}" for size in ("", "_64", "_128", "_224") for name in _MEDMNIST
)

# Field: stem of the idx file, md5 of its uncompressed content, name in Keras' mnist.npz.
MNIST = {
    "train_images": ("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb", "x_train"),
    "train_labels": ("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624", "y_train"),
    "test_images": ("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea", "x_test"),
    "test_labels": ("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637", "y_test"),
}


def _info() -> dict:
    """medmnist.INFO. Importing medmnist without torch prints a line, which is dropped here."""
    with contextlib.redirect_stdout(io.StringIO()):
        from medmnist import INFO
    return INFO


def facts(name: str) -> dict:
    """url, md5, class_names and citation of one of MEDMNIST_NAMES."""
    base, _, side = name.partition("_")
    info, size = _info()[base], side and f"_{side}"
    return {
        "url": info[f"url{size}"],
        "md5": info[f"MD5{size}"],
        "class_names": tuple(info["label"][str(k)] for k in range(len(info["label"]))),
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
