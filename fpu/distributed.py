"""Several devices and several processes: starting them, their mesh, and checks that all hold the same."""

import hashlib
import importlib.util
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax._src import distributed as jax_distributed  # nothing public gives the client
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from fpu import InputError

# What srun sets for each task, and jax needs.
_SLURM = tuple(
    f"SLURM_{name}" for name in ("JOB_ID", "STEP_NODELIST", "NTASKS", "PROCID", "LOCALID")
)


def initialize(coordinator: str | None = None, process_id: int = 0, num_processes: int = 1) -> None:
    """Join the processes of one run. Call it first, in every process; it does nothing for a single one.

    Without arguments it detects the tasks of one Slurm step (`srun`; one GPU a task) and the hosts of a
    TPU pod, through jax. (On a TPU host jax is always asked: the environment does not say.)

    jax.distributed by default catches SIGTERM for its preemption service, and the process lives on:
    that service is switched off here, as a run that was killed continues from its checkpoint.

    Args:
      coordinator: "host:port" of process 0, where it must be free.
      process_id: 0 to num_processes - 1.
      num_processes: all of them; 1 does nothing.

    Raises:
      InputError: the port is none, or taken.
      RuntimeError: jax has been used before this call.
    """
    if coordinator is None:
        return _detected()
    port = coordinator.rpartition(":")[2]
    if not (port.isdigit() and 0 < int(port) < 2**16):
        raise InputError(f"coordinator={coordinator}: write host:port")
    if num_processes > 1:
        if process_id == 0:
            _refuse_taken(coordinator, int(port))
        _start(coordinator, num_processes, process_id)


def _refuse_taken(coordinator: str, port: int) -> None:
    """InputError where process 0 cannot listen at the port: jax would end in a crash."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("", port))
        except OSError as error:
            raise InputError(
                f"coordinator={coordinator}: process 0 cannot listen there ({error.strerror}); name a free port"
            ) from error


def _detected() -> None:
    if all(name in os.environ for name in _SLURM) and int(os.environ["SLURM_NTASKS"]) > 1:
        _start()
    elif importlib.util.find_spec("libtpu"):
        try:
            _start()
        except ValueError as error:  # no TPU here, only its library
            if "coordinator_address" not in str(error):
                raise


def _start(*arguments) -> None:
    jax.config.update("jax_enable_preemption_service", False)
    # A process that has failed does not wait long for the others. (A run that succeeds ends with a barrier.)
    jax.distributed.initialize(*arguments, shutdown_timeout_seconds=10)


def mesh(cells: int = 1) -> Mesh:
    """All devices of all processes as a mesh ('cells', 'examples').

    Raises:
      InputError: the devices do not divide by `cells`.
    """
    count = jax.device_count()
    if count % cells:
        raise InputError(f"cells={cells}: does not divide the {count} devices")
    return jax.make_mesh((cells, count // cells), ("cells", "examples"), (AxisType.Auto,) * 2)


def is_first() -> bool:
    """Whether this process is process 0, which alone writes files and messages."""
    return jax.process_index() == 0


def any_process(flag: bool) -> bool:
    """Whether `flag` is true in any process. Call it in all of them."""
    if jax.process_count() == 1:
        return flag
    return bool(multihost_utils.process_allgather(np.array([flag])).any())


def barrier(name: str, patience: float) -> None:
    """Wait until every process has called it, at most `patience` seconds after the first.

    It waits at jax's coordination service, not in a collective, whose timeout is the backend's own.

    Args:
      name: of this barrier. No process may use it twice.

    Raises:
      jax.errors.JaxRuntimeError: some process has not called it in time, or has failed.
    """
    if jax.process_count() == 1:
        return
    client = jax_distributed.global_state.client
    assert client is not None, "several processes are joined by jax.distributed"
    client.wait_at_barrier(name, round(patience * 1000))


def broadcast(tree: Any) -> Any:
    """Process 0's pytree of arrays, whose shapes are equal in every process. Call it in all of them."""
    if jax.process_count() == 1:
        return tree
    return multihost_utils.broadcast_one_to_all(tree)


def broadcast_key(key: jax.Array) -> jax.Array:
    """Process 0's key in every process; typed keys of one shape. It travels over the network.

    Noise must be the same draw on every process, and so must the sample: each process makes or reads
    a secret key of its own, and process 0's is used.
    """
    words = broadcast(jax.random.key_data(key))
    return jax.random.wrap_key_data(jnp.asarray(words), impl=jax.random.key_impl(key))


def check_same(**values: Any) -> None:
    """Make sure that all processes hold the same values: pytrees of arrays, keys, and constants.

    Compares SHA-256 of each leaf. (multihost_utils.assert_equal and device_put compare too, but print
    what they compare, and that includes the secret key.)

    Raises:
      InputError: names the leaf that differs, and shows nothing of it.
    """
    if jax.process_count() == 1:
        return
    leaves = jax.tree_util.tree_leaves_with_path(values)
    digests = np.stack([_digest(leaf) for _, leaf in leaves])
    gathered = multihost_utils.process_allgather(digests)  # [processes, leaves, 8]
    for number, (path, _) in enumerate(leaves):
        if (gathered[:, number] != gathered[0, number]).any():
            raise InputError(
                f"{jax.tree_util.keystr(path, simple=True, separator='.')}: differs between processes; "
                "give all of them process 0's (for a secret key: distributed.broadcast_key)"
            )


def _digest(leaf: Any) -> np.ndarray:
    """SHA-256 as uint32 [8]."""
    if not isinstance(leaf, jax.Array | np.ndarray):
        content = repr(leaf).encode()
    else:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        array = np.asarray(leaf)
        content = f"{array.shape} {array.dtype} ".encode() + array.tobytes()
    return np.frombuffer(hashlib.sha256(content).digest(), np.uint32)


def place(tree: Any, mesh: Mesh, spec: PartitionSpec) -> Any:
    """Arrays and typed keys that every process holds, as arrays over the mesh."""
    sharding = NamedSharding(mesh, spec)

    def one(leaf):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            words = one(jax.random.key_data(leaf))
            return jax.random.wrap_key_data(words, impl=jax.random.key_impl(leaf))
        array = np.asarray(leaf)
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return jax.tree.map(one, tree)


def gather(tree: Any) -> Any:
    """Arrays spread over devices and processes, complete on this process's first device.

    Call it in all processes.
    """
    device = jax.local_devices()[0]
    if jax.process_count() == 1:
        return jax.device_put(tree, device)

    def one(leaf):
        here = not isinstance(leaf, jax.Array) or leaf.is_fully_addressable
        if not (here or leaf.is_fully_replicated):
            leaf = multihost_utils.process_allgather(leaf, tiled=True)
        return jax.device_put(np.asarray(leaf), device)

    return jax.tree.map(one, tree)


def map_rows(
    function: Callable, fixed: tuple, *rows: Any, devices: Sequence[Any] | None = None
) -> Any:
    """function(*fixed, *rows), its rows split over devices.

    Args:
      function: jitted. Row i of its result depends on `fixed`, on row i of `rows` and on i, not on the number
        of rows. (Draws do, whose random bits are counted by row: JAX's partitionable Threefry.)
      devices: None: all devices of all processes; then all processes must call it. jax.local_devices() for
        what other processes may not need at the same time.

    Returns: what one device would, up to f32 rounding, complete in every process.
    """
    devices = devices or jax.devices()
    if len(devices) == 1:
        return function(*fixed, *rows)
    mesh = Mesh(np.array(devices), "examples")
    count = len(rows[0])
    index = np.arange(-(-count // len(devices)) * len(devices)) % count  # as many on each device
    split = [place(np.asarray(x)[index], mesh, PartitionSpec("examples")) for x in rows]
    result = function(*place(fixed, mesh, PartitionSpec()), *split)
    return jax.tree.map(lambda x: x[:count], gather(result))


def layout(slice_size: int = 1) -> dict:
    """What decides the f32 rounding of a training besides its inputs, as JSON can hold it."""
    kind = jax.devices()[0].device_kind
    return {"slice_size": slice_size, "devices": jax.device_count(), "device_kind": kind}
