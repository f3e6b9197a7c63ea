"""Jobs on the nodes of a Ray cluster; what a dying process or node had under way is done again by another one.

Ray is imported where a cluster is spoken to. Nodes need no shared disk: jobs, results and folders go through Ray, the
folders once to each node, and the command alone writes files.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from commands.engine.interface import NOTHING, Pool, WorkerError
from commands.engine.local import ONE_THREAD
from commands.engine.node import NodeError, Parcel, do, software
from commands.engine.nodes import Nodes
from factory.carried_folders import Files, files_of
from robot.link.tls import split_address
from trajectories.errors import MissingDependencyError, RegraspError

AUTO = "auto"
TRIES = 5
"""Times that a job is done again whose process or node died."""
_HANDED_ON = ("MUJOCO_GL", "OMP_WAIT_POLICY", "PYOPENGL_PLATFORM")
"""Variables that a job's process gets from the command."""
_REACH_S = 5.0
_ENDING_S = 10.0
"""What tasks get to end in that are given up: a cancellation that is still on its way is lost with the connection."""


class ClusterError(RegraspError):
    """A Ray cluster can't be reached, or is gone."""


@dataclass(frozen=True)
class RayEngine:
    """Processes on the nodes of a cluster that runs already.

    Attributes:
        address: "HOST:PORT" of its head, or "auto" for the cluster that this machine belongs to.
        workers: Jobs at a time; None for as many as the cluster has processors.
    """

    address: str
    workers: int | None = None

    @contextlib.contextmanager
    def pool(
        self, function: Callable[[Any], Any], count: int, title: str, folders: Mapping[Path, Sequence[str]] = NOTHING
    ) -> Iterator[Pool]:
        """See `commands.engine.interface.Engine`.

        Raises:
            MissingDependencyError: Ray is not installed.
            ClusterError: The cluster can't be reached, or its head is gone.
            NodeError: A node lacks Regrasp, or has another version.
        """
        ray = _ray()
        if count == 0:
            yield Pool(_none_expected, lambda: 1)
            return
        with _connected(ray, self.address), Nodes(ray, title) as nodes:
            nodes.require_same_software()
            parcels = [_parcel(ray, folder, names) for folder, names in folders.items()]
            remote = ray.remote(num_cpus=1, max_retries=TRIES)(do)
            submitted = _Submitted(ray, title)
            try:
                yield Pool(
                    lambda job: submitted.add(remote.remote(function, job, software(), parcels)),
                    lambda: self._window(nodes.processors),
                )
            except BaseException:
                submitted.give_up()
                raise

    def _window(self, processors: int) -> int:
        if self.workers is None or self.workers > processors:
            return max(2 * processors, 1)
        return self.workers


class _Submitted:
    """Tasks under way, and what they came to as plain futures."""

    def __init__(self, ray: Any, title: str) -> None:
        self._ray, self._title = ray, title
        self._refs: dict[Future[Any], Any] = {}

    def add(self, ref: Any) -> Future[Any]:
        """A future of the task's result, or of what the job raised."""
        mine: Future[Any] = Future()
        self._refs[mine] = ref
        ref.future().add_done_callback(partial(self._pass_on, mine))
        return mine

    def give_up(self) -> None:
        """End the tasks, those that have begun, too."""
        refs = list(self._refs.values())
        with contextlib.suppress(Exception):  # whatever it is, the connection is closed next
            for ref in refs:
                self._ray.cancel(ref, force=True)
            self._ray.wait(refs, num_returns=len(refs), timeout=_ENDING_S)

    def _pass_on(self, mine: Future[Any], done: Future[Any]) -> None:
        self._refs.pop(mine, None)
        error = done.exception()
        if error is None:
            mine.set_result(done.result())
        else:
            mine.set_exception(self._meaning(error))

    def _meaning(self, error: BaseException) -> BaseException:
        errors = self._ray.exceptions
        cause = error.cause if isinstance(error, errors.RayTaskError) else None
        if isinstance(cause, BaseException) and not isinstance(cause, errors.RayError):
            cause.__cause__ = _Remote(str(error))
            return cause
        meant: RegraspError
        if isinstance(cause, errors.RaySystemError):  # while it read the job
            meant = NodeError(
                f"{self._title}: a node of the cluster can't load a job ({_first_line(cause)}). It needs what this "
                "machine has, packages with arms or tasks of your own, too (docs/cluster.md)."
            )
            meant.__cause__ = error
            return meant
        if isinstance(error, _deaths(errors)):
            meant = WorkerError(
                f"{self._title}: the processes that did one job died {TRIES + 1} times, perhaps for lack of memory. "
                "What is done stays; go on with fewer at a time (engine.workers=). Ray says: "
                f"{str(error).strip()}"
            )
            meant.__cause__ = error
            return meant
        if isinstance(error, errors.RayError):
            meant = ClusterError(f"{self._title}: the cluster can't do a job. Ray says: {str(cause or error).strip()}")
            meant.__cause__ = error
            return meant
        return error


def _deaths(errors: Any) -> tuple[type[BaseException], ...]:
    """What Ray raises when what did a job has died too often, or what it came to was lost with its node."""
    return (
        errors.WorkerCrashedError, errors.NodeDiedError, errors.LocalRayletDiedError, errors.OutOfMemoryError,
        errors.ObjectLostError,
    )  # fmt: skip


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


class _Remote(Exception):
    """Where an error was raised on a node, as text."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def _none_expected(job: Any) -> Future[Any]:
    raise RuntimeError(f"no job was expected, got {job!r}")


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_gcs_server_request_timeout_seconds", "20")  # Ray's name for how long a cluster may take
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError(
            f"engine=ray needs Ray, which does not load ({error}). `bash setup.sh` installs it; elsewhere "
            "`pip install '.[ray]'` in the checkout does. It has to be here and on the cluster's nodes."
        ) from error
    return ray


def _parcel(ray: Any, folder: Path, names: Sequence[str]) -> Parcel:
    files = files_of(folder, names)
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return Parcel(folder, digest.hexdigest(), _Stored(ray.put(files)))


@dataclass(frozen=True)
class _Stored:
    """Files in the cluster's object store, fetched when they are asked for."""

    ref: Any

    def __call__(self) -> Files:
        import ray

        files: Files = ray.get(self.ref)
        return files


@contextlib.contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """Be a driver of the cluster for a while; signals stay the command's."""
    _require_reachable(address)
    variables = {name: os.environ[name] for name in _HANDED_ON if name in os.environ} | ONE_THREAD
    heard = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address,
            runtime_env={"env_vars": variables},
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
        )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ClusterError(
            f"engine.address={address}: no Ray cluster answers there, or this machine isn't one of its nodes "
            f"({error}). Start one with `ray start`, as docs/cluster.md says, on this machine, too."
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, heard)
    try:
        yield
    finally:
        ray.shutdown()


def _require_reachable(address: str) -> None:
    """Ask the head's port first: Ray itself tries for long, and then ends the process.

    Raises:
        ClusterError: Nothing listens there.
    """
    if address == AUTO:
        address = os.environ.get("RAY_ADDRESS", AUTO)
    if address == AUTO:
        return
    host, port = split_address(address, f"engine.address={address}", "10.0.0.1:6379")
    try:
        with socket.create_connection((host, port), _REACH_S):
            pass
    except (OSError, UnicodeError) as error:
        raise ClusterError(
            f"engine.address={address}: nothing answers there ({getattr(error, 'strerror', None) or error}). Start the "
            "cluster's head with `ray start --head` (docs/cluster.md), and look at the address and the firewall."
        ) from error
    if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
        return
    with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            grpc.channel_ready_future(channel).result(_REACH_S)
        except grpc.FutureTimeoutError as error:
            raise ClusterError(
                f"engine.address={address}: whatever listens there is no head of a Ray cluster. Expected the address "
                "that its `ray start --head` printed (port 6379 unless it was given another)."
            ) from error
