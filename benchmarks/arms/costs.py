"""Measure what an episode, a published policy, a store and waiting arms cost a learner."""

from __future__ import annotations

import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.store import fill
from policies.learner.run_folder import EPISODES, METRICS, REPLAY
from policies.policy import load_policy
from policies.replay.dataset import for_replay
from policies.replay.replay_memory import slot_bytes
from policies.replay.replay_parts import INDEX
from policies.replay.shaping import NO_SHAPING
from robot.fleet import ActorIdentity, ActorReport
from robot.interfaces import Receipt
from robot.link.certificates import run_pair
from robot.link.client import LearnerClient
from robot.link.codec import decode_episode, encode_episode, encode_weights, make_weights
from robot.link.server import LinkServer
from trajectories.catalogue import CATALOGUE
from trajectories.store import TrajectoryStore
from trajectories.types import Episode, RobotSpec, Weights
from trajectories.verdicts import Verdict

_GAMMA = 0.97
Figures = dict[str, float]


def _ms(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What a call gives, its milliseconds, and those of the processor in this thread."""
    start, cpu = time.perf_counter(), time.thread_time()
    result = work()
    return result, 1e3 * (time.perf_counter() - start), 1e3 * (time.thread_time() - cpu)


def an_episode(folder: Path, pretrained: Path, most: int) -> Figures:
    """Bytes of an episode, and milliseconds that the learner spends on it; medians.

    Args:
        folder: Of a fine-tuning that has episodes.
        pretrained: The policy that it began with.
        most: Episodes to measure on, the newest ones.
    """
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    with (
        TrajectoryStore(folder / EPISODES, read_only=True) as store,
        tempfile.TemporaryDirectory(dir=folder) as place,
        TrajectoryStore(Path(place) / "store", store.spec) as into,
    ):
        perception, spec = load_policy(pretrained, store.spec).perception, store.spec
        for id in tqdm(store.ids()[-most:], desc="episodes", unit="episode", dynamic_ncols=True):
            episode, root = store.read(id), folder / EPISODES / "episodes" / id
            note("steps", len(episode))
            note("bytes on the wire", len(encode_episode(episode)))
            note("bytes on the disk", sum(entry.size for entry in store.manifest(id).files.values()))
            note("files and folders", 1 + sum(1 for _ in root.rglob("*")))
            message, _, cpu = _ms(partial(encode_episode, episode))
            note("actor: encode, ms of processor", cpu)
            _, _, cpu = _ms(partial(decode_episode, message, spec))
            note("learner: decode, ms of processor", cpu)
            _, ms, cpu = _ms(partial(into.commit, episode))
            note("learner: commit, ms of processor", cpu)
            note("learner: commit with its syncs, ms", ms)
            _, _, cpu = _ms(partial(for_replay, episode, perception, _GAMMA, NO_SHAPING, gains=False))
            note("learner: encode for replay, ms of processor", cpu)
        fields, infos = perception.fields, store.infos()
    metrics = sum(path.stat().st_size for path in (folder / METRICS).rglob("*") if path.is_file())
    return {name: float(median(values)) for name, values in found.items()} | {
        "bytes of a frame in replay, with its transition": slot_bytes(fields),
        "bytes of metrics an episode": metrics / max(1, len(infos)),
        "bytes of the replay's index an episode": (folder / REPLAY / INDEX).stat().st_size / max(1, len(infos)),
        "metrics: files": sum(path.is_file() for path in (folder / METRICS).rglob("*")),
    }


def a_policy(folder: Path, pretrained: Path) -> Figures:
    """Bytes of a published policy, and milliseconds to put it on the wire for one arm."""
    with TrajectoryStore(folder / EPISODES, read_only=True) as store:
        state = load_policy(pretrained, store.spec)._actor.state_dict()
    tensors = {name: np.ascontiguousarray(tensor.detach().numpy()) for name, tensor in state.items()}
    weights = make_weights(1, tensors)
    _, _, cpu = _ms(partial(encode_weights, weights))
    return {"bytes of a published policy": len(encode_weights(weights)), "learner: a policy for an arm, ms": cpu}


def a_store(folder: Path, sizes: Sequence[int]) -> list[Figures]:
    """How long stores of so many episodes of one step take to open for writing.

    Args:
        folder: Where they are made, one after the other, and deleted.
        sizes: Episodes.
    """
    rows = []
    for episodes in sizes:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            path = Path(place) / "store"
            fill(path, episodes, 1)
            unknown, known = _opening(path, catalogued=False), _opening(path, catalogued=True)
            tracemalloc.start()
            store = TrajectoryStore(path, read_only=True)
            memory, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            rows.append(
                {
                    "episodes": episodes,
                    "not in the catalogue, s": unknown[0],
                    "not in the catalogue, s of processor": unknown[1],
                    "in the catalogue, s": known[0],
                    "in the catalogue, s of processor": known[1],
                    "bytes of memory an episode": memory / episodes,
                    "bytes of the catalogue an episode": (path / CATALOGUE).stat().st_size / episodes,
                }
            )
            del store
    return rows


def _opening(path: Path, *, catalogued: bool) -> tuple[float, float]:
    """Seconds, and those of the processor, of the faster of two openings for writing."""
    found = []
    for _ in range(2):
        if not catalogued:
            (path / CATALOGUE).unlink(missing_ok=True)
        start, cpu = time.perf_counter(), time.process_time()
        store = TrajectoryStore(path)
        found.append((time.perf_counter() - start, time.process_time() - cpu))
        store.close()
    return min(found)


class _Behind:
    """A `FleetEndpoint` that is behind for ever: every arm waits. Notes how long it hears nothing of each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reported: dict[str, float] = {}
        self.gaps: dict[str, float] = {}
        self.reports = 0

    def hello(self, spec: RobotSpec, policy_digest: str, actor: ActorIdentity | None = None) -> int:
        return 0

    def report(self, actor: str, report: ActorReport) -> None:
        now = time.monotonic()
        with self._lock:
            self.reports += 1
            if actor in self._reported:
                self.gaps[actor] = max(self.gaps.get(actor, 0.0), now - self._reported[actor])
            self._reported[actor] = now

    def heard(self, actor: str) -> None:
        del actor

    def put_episode(self, episode: Episode) -> Receipt:
        return Receipt(0, 0)

    def put_verdict(self, verdict: Verdict) -> None:
        del verdict

    def weights(self, newer_than: int) -> Weights | None:
        return None

    def may_act(self, timeout_s: float, actor: str = "") -> bool:
        time.sleep(timeout_s)
        return False

    def finished(self, actor: str = "") -> None:
        return None


def waiting_arms(folder: Path, arms: int, seconds: float) -> Figures:
    """How often reports of arms arrive that all wait for their turn, as threads of this process.

    Args:
        folder: Gets the certificates.
        arms: How many.
        seconds: That they wait.
    """
    endpoint, pair, over = _Behind(), run_pair(folder), threading.Event()

    def wait(client: LearnerClient) -> None:
        client.hello(RobotSpec(), "policy")
        while not over.is_set():
            client.may_act(2.0)

    with LinkServer(endpoint, "127.0.0.1:0", pair) as server:
        clients = [
            LearnerClient(server.address, pair, interrupt=over, identity=ActorIdentity(f"arm{number}"))
            for number in range(arms)
        ]
        threads = [threading.Thread(target=wait, args=(client,), daemon=True) for client in clients]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        reports, gaps = endpoint.reports, sorted(endpoint.gaps.values())
        handles = sum(1 for _ in Path("/proc/self/fd").iterdir())
        count = threading.active_count()
        over.set()
        for thread in threads:
            thread.join()
        for client in clients:
            client.close()
    return {
        "arms": arms,
        "reports an arm and second": reports / arms / seconds,
        "longest silence of an arm, median, s": median(gaps) if gaps else seconds,
        "longest silence of an arm, s": gaps[-1] if gaps else seconds,
        "arms of which two reports came": len(gaps),
        "open files of both ends": handles,
        "threads of both ends": count,
    }
