"""The environment of the tests and of the processes that they start. conftest.py imports it before all else.

What is compiled, by XLA or by Python, is kept in a folder of the session, for the files and processes that come after.
"""

import atexit
import contextlib
import ctypes
import gc
import importlib.metadata
import os
import shutil
import sys
import tempfile
from pathlib import Path

if "FPU_TEST_FOLDER" not in os.environ:  # the first process; workers and subprocesses inherit it
    os.environ["FPU_TEST_FOLDER"] = tempfile.mkdtemp(prefix="fpu-tests-")
    atexit.register(shutil.rmtree, os.environ["FPU_TEST_FOLDER"], ignore_errors=True)
FOLDER = Path(os.environ["FPU_TEST_FOLDER"])

# Cheap passes of XLA where it is asked for any (see conftest.py).
_FLAGS = "--xla_backend_optimization_level=1"
if importlib.metadata.version("jaxlib").startswith("0.10."):
    # Newer versions do not have the flag, and end the process that names it.
    _FLAGS += " --xla_cpu_use_fusion_emitters=false"
    # A program in one piece: to cut it into 32 for as many threads takes a fifth more time in all.
    _FLAGS += " --xla_cpu_parallel_codegen_split_count=1"
for _name, _value in {
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": _FLAGS,
    # Threads that wait for others spin: two processes of two threads keep two cores busy with waiting.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
}.items():
    os.environ.setdefault(_name, _value)

# One folder a worker: an entry is not written at once, and another process might read half of it. Workers inherit the
# name of the first process's folder.
_CACHE = "JAX_COMPILATION_CACHE_DIR"
if _CACHE not in os.environ or Path(os.environ[_CACHE]).parent == FOLDER:
    os.environ[_CACHE] = str(FOLDER / os.environ.get("PYTEST_XDIST_WORKER", "xla"))

if sys.dont_write_bytecode:  # each subprocess would compile every module that it imports
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(FOLDER / "bytecode")
    sys.dont_write_bytecode = False


def exchange() -> None:
    """Between two files: give the other workers what this one has compiled, and take theirs, each a whole file."""
    own, everyones = Path(os.environ[_CACHE]), FOLDER / "compiled"
    if "PYTEST_XDIST_WORKER" not in os.environ or own.parent != FOLDER or not own.exists():
        return
    everyones.mkdir(exist_ok=True)
    for source, target in ((own, everyones), (everyones, own)):
        for name in set(os.listdir(source)) - set(os.listdir(target)):
            with contextlib.suppress(FileExistsError):
                os.link(source / name, target / name)


# Bytes that a process may hold between two files; more of it saves time, and two hold 3 GB.
ENOUGH = 1000 * 2**20


def forget() -> None:
    """Free the compiled programs of this process, and give their memory back."""
    import jax

    jax.clear_caches()
    gc.collect()
    if sys.platform == "linux":  # whose C library keeps what was freed
        ctypes.CDLL(None).malloc_trim(0)


def resident() -> int:
    """Bytes of memory that this process holds; more than ENOUGH where the system does not tell."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        return ENOUGH + 1
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
