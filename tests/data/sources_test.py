"""fpu/data/sources.py and fpu/data/tfds_mnist.py: official images by every route, and nothing else."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import struct
import threading

import numpy as np
import pytest

from fpu import InputError, data
from fpu.data import sources
from fpu.files import cache, safe


def test_every_set_of_medmnist_with_one_label_an_image_is_known(capsys):
    info = sources._info()
    single = [k for k, v in info.items() if "multi-label" not in v["task"] and "3d" not in k]
    assert sorted(single) == sorted(name for name in sources.MEDMNIST_NAMES if "_" not in name)
    for name in sources.MEDMNIST_NAMES:
        facts = sources.facts(name)
        assert f"/{name}.npz" in facts["url"]
        assert len(facts["md5"]) == 32
    assert sources.facts("octmnist_64")["class_names"][0] == info["octmnist"]["label"]["0"]
    assert capsys.readouterr().out == ""


def info(name, url, md5, n_classes=4):
    """medmnist.INFO of one set that a test has made."""
    label = {str(k): str(k) for k in range(n_classes)}
    return {name: {"url": url, "MD5": md5, "label": label, "license": "none"}}


def test_medmnist_is_downloaded_once_checked_and_whole(tmp_path, monkeypatch, capsys):
    path = tmp_path / "remote.npz"
    data.save_npz(path, np.zeros((8, 28, 28, 1), np.uint8), np.arange(8) % 4, n_classes=4)
    known = info("octmnist", path.as_uri(), "0" * 32) | info("bloodmnist", "file:///none", "0", 8)
    monkeypatch.setattr(sources, "_info", lambda: known)
    with pytest.raises(InputError, match="wrong md5"):
        data.load("octmnist")
    assert not list(cache.folder().iterdir())

    known |= info("octmnist", path.as_uri(), safe.file_md5(path))
    first = data.load("octmnist")
    assert "downloading octmnist.npz" in capsys.readouterr().err  # no bar: this is no terminal
    path.unlink()
    assert np.array_equal(first.images, data.load("octmnist").images)
    with pytest.raises(InputError, match="--data_dir"):
        data.load("bloodmnist")
    assert [p.name for p in cache.folder().iterdir()] == ["octmnist.npz"]


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextlib.contextmanager
def served(handler, monkeypatch):
    """The address of a server on this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize("length", ["many", "-5", "9" * 5000, "1e3"])
def test_a_malformed_content_length_is_one_line(tmp_path, monkeypatch, length):
    class Handler(_Silent):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", length)
            self.end_headers()

    told = r"^x.npz: no download .*Content-Length.*--data_dir$"
    with served(Handler, monkeypatch) as url, pytest.raises(InputError, match=told):
        sources.download(f"{url}x.npz", tmp_path / "x.npz", "0" * 32)
    assert not list(tmp_path.iterdir())


def test_without_a_cache_nothing_is_downloaded_but_files_are(tmp_path, monkeypatch, tiny_mnist):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert same_mnist(data.load("mnist", write_idx(tmp_path / "idx", tiny_mnist)), tiny_mnist)
    for name in ("mnist", "octmnist"):
        with pytest.raises(InputError, match=f"^{name}: no folder to download .* XDG_CACHE_HOME"):
            data.load(name)


@pytest.fixture
def tiny_mnist(monkeypatch):
    """MNIST's four arrays, small, and the table of checksums made to fit."""
    rng = np.random.default_rng(0)
    made = {}
    for split, n in (("train", 40), ("test", 20)):
        made[f"{split}_images"] = rng.integers(0, 256, (n, 28, 28), np.uint8)
        made[f"{split}_labels"] = (np.arange(n) * 7 % 10).astype(np.uint8)
    for field, array in made.items():
        stem, _, keras = sources.MNIST[field]
        entry = (stem, hashlib.md5(idx_bytes(array)).hexdigest(), keras)
        monkeypatch.setitem(sources.MNIST, field, entry)
    return made


def idx_bytes(array):
    head = b"\0\0\x08" + bytes([array.ndim])
    return head + b"".join(struct.pack(">I", n) for n in array.shape) + array.tobytes()


def write_idx(folder, made, pack=gzip.compress, ending=".gz"):
    folder.mkdir(exist_ok=True)
    for field, array in made.items():
        (folder / (sources.MNIST[field][0] + ending)).write_bytes(pack(idx_bytes(array)))
    return folder


def same_mnist(ds, made):
    assert ds.name == "mnist"
    images = np.concatenate([made["train_images"], made["test_images"]])
    labels = np.concatenate([made["train_labels"], made["test_labels"]])
    return np.array_equal(ds.images[..., 0], images) and np.array_equal(ds.labels, labels)


def test_mnist_content_counts_not_its_packing(tmp_path, tiny_mnist):
    for i, level in enumerate((1, 9)):
        pack = functools.partial(gzip.compress, compresslevel=level)
        folder = write_idx(tmp_path / str(i), tiny_mnist, pack)
        assert same_mnist(data.load("mnist", folder), tiny_mnist)
    plain = write_idx(tmp_path / "plain", tiny_mnist, bytes, "")
    assert same_mnist(data.load("mnist", plain), tiny_mnist)
    keras = {sources.MNIST[field][2]: array for field, array in tiny_mnist.items()}
    (tmp_path / "keras").mkdir()
    np.savez(tmp_path / "keras" / "mnist.npz", **keras)
    assert same_mnist(data.load("mnist", tmp_path / "keras"), tiny_mnist)


def test_mnist_files_that_are_not_mnists_are_refused(tmp_path, tiny_mnist):
    changed = tiny_mnist | {"test_labels": tiny_mnist["test_labels"][::-1]}
    folder = write_idx(tmp_path / "a", changed)
    with pytest.raises(InputError, match="t10k-labels-idx1-ubyte does not hold"):
        data.load("mnist", folder)
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(InputError, match=r"lacks t10k-labels-idx1-ubyte\.gz"):
        data.load("mnist", folder)


def test_mnist_through_tensorflow_datasets_without_tensorflow(tmp_path, tiny_mnist, monkeypatch):
    import tensorflow_datasets as tfds

    from fpu.data import tfds_mnist

    handler = functools.partial(_Silent, directory=write_idx(tmp_path / "served", tiny_mnist))
    with served(handler, monkeypatch) as url:
        monkeypatch.setattr(tfds_mnist.MNIST, "URL", url)
        assert same_mnist(data.load("mnist"), tiny_mnist)
    # The stock reader opens what was prepared; the second load needs neither it nor the server.
    prepared = cache.folder() / "tensorflow_datasets"
    examples = tfds.data_source("mnist", split="test", data_dir=prepared, download=False)
    assert [e["label"] for e in examples] == tiny_mnist["test_labels"].tolist()
    assert np.array_equal(examples[3]["image"][..., 0], tiny_mnist["test_images"][3])
    with monkeypatch.context() as patched:
        patched.setattr(tfds_mnist, "read", None)
        assert same_mnist(data.load("mnist"), tiny_mnist)
    # Nothing cached, nobody answers: one line, at once.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    with pytest.raises(InputError, match=r"mnist: .*--data_dir"):
        data.load("mnist")
    assert "https://storage.googleapis.com" in next(iter(tfds_mnist.MNIST.url_infos))
