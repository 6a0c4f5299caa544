"""fpu/files/storage.py, and a sweep whose records land in a bucket, held in memory behind the same client library."""

import json
import pathlib
import sys

import fsspec
import pytest
from absl import flags
from etils.epath import backend
from fake_records import record
from fsspec.implementations.memory import MemoryFileSystem

from fpu import InputError, report
from fpu.commands import report as command
from fpu.files import storage
from fpu.pipeline import run, sweep


class Bucket(MemoryFileSystem):
    """What gcsfs is, without a network."""

    protocol = "gs"
    cachable = False
    store, pseudo_dirs = {}, [""]

    @classmethod
    def _strip_protocol(cls, path):
        return "/" + path.removeprefix("gs://").strip("/")

    def glob(self, path, **_):  # gcsfs begins with the bucket
        return [found.removeprefix("/") for found in super().glob(path)]


@pytest.fixture
def clients():
    """Clients of buckets are remembered: not from test to test."""
    remembered = backend.fsspec_backend._get_filesystem
    remembered.cache_clear()
    yield
    remembered.cache_clear()


@pytest.fixture
def bucket(clients, monkeypatch):
    """() -> the paths of all objects."""
    monkeypatch.setattr(Bucket, "store", {})
    monkeypatch.setattr(fsspec, "filesystem", lambda name, **_: {"gcs": Bucket()}[name])
    return lambda: sorted(Bucket.store)


def test_addresses_are_of_this_machine_or_of_a_known_cloud(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert storage.place("~/records") == pathlib.Path("/somewhere/records")
    assert not storage.remote(storage.place("gs/records"))
    assert str(storage.place("gs://bucket/records/")) == "gs://bucket/records"
    with pytest.raises(InputError, match=r"http://x/y: name a folder .*gs://"):
        storage.place("http://x/y")


def test_a_record_on_this_machine_is_for_its_owner_alone(tmp_path):
    storage.write(tmp_path / "a.record.json", b"{}")
    assert (tmp_path / "a.record.json").stat().st_mode & 0o777 == 0o600


def test_a_record_in_a_bucket_is_read_again(bucket):
    folder = storage.place("gs://bucket/records")
    for seed in (0, 1):
        storage.write(folder / f"{seed}.record.json", json.dumps(record(seed=seed)).encode())
    storage.write(folder / "page.html", b"<html>")
    names = "0.record.json", "1.record.json", "page.html"
    assert bucket() == [f"/bucket/records/{name}" for name in names]
    one = "gs://bucket/records/1.record.json"
    assert [r["config"]["seed"] for r in report.read(["gs://bucket/records", one])] == [0, 1]
    with pytest.raises(InputError, match=r"gs://bucket/nothing: (cannot be r|no record)"):
        report.read(["gs://bucket/nothing"])


def test_a_sweep_goes_on_from_what_the_bucket_holds(bucket, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    done = []

    def one(options, siblings):
        del siblings
        done.append(options.seed)
        folder = pathlib.Path(options.workdir)
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps(record(seed=options.seed)))
        return folder

    monkeypatch.setattr(run, "run", one)
    wanted = sweep.cells(["model=gaussian", "eps=1", "seed=0,1,2"])
    out = storage.place("gs://bucket/records")
    assert (sweep.sweep(wanted[:1], out), sweep.sweep(wanted, out)) == (([], []), ([], []))
    assert done == [0, 1, 2]
    assert bucket() == sorted(f"/bucket/records/{sweep.name(o)}.record.json" for o in wanted)
    assert [p.name for p in tmp_path.iterdir()] == ["runs"]


def test_a_page_may_lie_beside_them(bucket, monkeypatch, capsys):
    storage.write(storage.place("gs://bucket/record.json"), json.dumps(record()).encode())
    monkeypatch.setattr(flags, "FLAGS", flags.FlagValues())
    flags.DEFINE_string("out", "gs://bucket/page.html", "", flag_values=flags.FLAGS)
    flags.DEFINE_string("folder", None, "", flag_values=flags.FLAGS)
    flags.FLAGS(["report"])
    command.main(["report", "gs://bucket/record.json"])
    assert capsys.readouterr().out.startswith("**digits")
    assert bucket() == ["/bucket/page.html", "/bucket/record.json"]


@pytest.mark.parametrize(
    "act",
    [storage.exists, storage.records, lambda p: storage.write(p, b""), lambda p: report.read([p])],
)
def test_a_bucket_that_cannot_be_reached_is_one_line(bucket, monkeypatch, act):
    def refuse(*_, **__):
        raise ConnectionError("no route\nto host")

    for name in ("info", "exists", "isdir", "open", "find", "ls", "glob"):
        monkeypatch.setattr(Bucket, name, refuse)
    words = r"^gs://bucket/x: cannot be reached \(no route to host\)$"
    with pytest.raises(InputError, match=words):
        act(storage.place("gs://bucket/x"))


def test_a_record_that_cannot_be_fetched_is_not_called_damaged(bucket, monkeypatch):
    storage.write(storage.place("gs://bucket/record.json"), b"{}")

    def refuse(*_, **__):
        raise ConnectionError("gone")

    monkeypatch.setattr(Bucket, "open", refuse)
    with pytest.raises(InputError, match=r"^gs://bucket/record.json: cannot be reached \(gone\)$"):
        report.read(["gs://bucket/record.json"])


def test_a_missing_client_says_what_to_install(clients, monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(InputError, match="install gcsfs"):
        storage.exists(storage.place("gs://bucket/x"))
