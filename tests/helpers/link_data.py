"""Episodes, weights and endpoints for the tests of link and actor."""

import threading
from pathlib import Path

import numpy as np

from robot.interfaces import Receipt
from robot.link.certificates import AUTHORITY, CERTIFICATE, KEY, run_pair
from robot.link.codec import make_weights
from robot.link.tls import TlsFiles
from trajectories.errors import CheckpointError
from trajectories.types import PROPRIO_NAMES, Episode, RobotSpec, Source, Weights
from trajectories.verdicts import Verdict

SPEC = RobotSpec(cameras={"front": (8, 12)})
POLICY = "policy-digest"


def make_episode(number: int = 0, steps: int = 3, outcome: str = "success", version: int = 0) -> Episode:
    """An episode whose values follow from `number`."""
    rng = np.random.default_rng(number)
    terminated = np.zeros(steps, bool)
    terminated[-1] = outcome == "success"
    return Episode(
        id=f"{number:020d}-{number:08x}",
        task="pot_pick_place",
        instruction="pot in the sink, überall ✓",
        direction="forward" if number % 2 == 0 else "backward",
        outcome=outcome,
        images={"front": rng.integers(0, 256, (steps + 1, 8, 12, 3), np.uint8)},
        proprio=rng.normal(size=(steps + 1, len(PROPRIO_NAMES))).astype(np.float32),
        t_ns={name: np.arange(steps + 1, dtype=np.int64) * 200_000_000 for name in ("joints", "front")},
        proposed=rng.uniform(-1, 1, (steps, 7)).astype(np.float32),
        executed=rng.uniform(-1, 1, (steps, 7)).astype(np.float32),
        rewards=np.where(terminated, 0, -1).astype(np.float32),
        terminated=terminated,
        truncated=np.zeros(steps, bool),
        source=np.full(steps, Source.POLICY, np.uint8),
        policy_version=np.full(steps, version, np.int64),
        success_probability=np.full(steps + 1, np.nan, np.float32),
        metadata={"seed": number, "evaluation": {"success": True}, "nested": [1, None, "x"]},
    )


def make_policy_weights(version: int) -> Weights:
    """Weights whose values follow from `version`."""
    rng = np.random.default_rng(version)
    return make_weights(
        version,
        {
            "actor/kernel": rng.normal(size=(4, 5)).astype(np.float32),
            "temperature": np.asarray(version, np.float32),
        },
    )


def tls_files(folder: Path, side: str) -> TlsFiles:
    """The certificate of a machine where a test has made one, else the pair of the run."""
    place = folder / "certificates" / side
    if not place.exists():
        return run_pair(folder)
    return TlsFiles(place / CERTIFICATE, place / KEY, place / AUTHORITY)


class MemoryEndpoint:
    """A learner without learning: keeps episodes in memory, publishes what a test sets."""

    def __init__(self, goal: int = 10**9):
        self.episodes: dict[str, Episode] = {}
        self.verdicts: list[Verdict] = []
        self.newest: Weights | None = None
        self.goal = goal
        self.allowed = threading.Event()
        self.allowed.set()
        self.failure: Exception | None = None
        self.hellos = 0
        self.actors, self.reports, self.heard_of = [], [], []

    def hello(self, spec, policy_digest, actor=None):
        SPEC.require_same(spec, "the actor")
        if policy_digest != POLICY:
            raise CheckpointError(f"the actor's policy is {policy_digest}, expected {POLICY}")
        self.hellos += 1
        self.actors.append(actor)
        return self.newest.version if self.newest else 0

    def put_episode(self, episode):
        if self.failure is not None:
            raise self.failure
        self.episodes[episode.id] = episode
        return self.receipt()

    def receipt(self):
        return Receipt(sum(map(len, self.episodes.values())), len(self.episodes))

    def put_verdict(self, verdict):
        if self.failure is not None:
            raise self.failure
        if verdict not in self.verdicts:
            self.verdicts.append(verdict)

    def weights(self, newer_than):
        return self.newest if self.newest and self.newest.version > newer_than else None

    def report(self, actor, report):
        self.reports.append((actor, report))

    def heard(self, actor):
        self.heard_of.append(actor)

    def may_act(self, timeout_s, actor=""):
        return self.allowed.wait(timeout_s)

    def finished(self, actor=""):
        return self.receipt() if len(self.episodes) >= self.goal else None


def assert_same_episode(a: Episode, b: Episode) -> None:
    for name in ("id", "task", "instruction", "direction", "outcome", "metadata"):
        assert getattr(a, name) == getattr(b, name), name
    for name in ("images", "t_ns"):
        left, right = getattr(a, name), getattr(b, name)
        assert set(left) == set(right)
        for key in left:
            np.testing.assert_array_equal(left[key], right[key], strict=True)
    for name in (
        "proprio", "proposed", "executed", "rewards", "terminated", "truncated", "source", "policy_version",
        "success_probability",
    ):  # fmt: skip
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name, strict=True)


class ScriptedStats:
    """Statistics of a `ScriptedSession`."""

    def __init__(self):
        self.helps = {}


class ScriptedSession:
    """Runs the episodes `first`, `first + 1`, ..., commits them by `keep` and asks for help at every fourth."""

    def __init__(self, first: int = 0, steps: int = 3, on_episode=lambda number: None, keep=lambda episode: None):
        self.stats = ScriptedStats()
        self.version = 0
        self._next = first
        self._steps = steps
        self._on_episode = on_episode
        self.keep = keep

    def run_episode(self):
        number = self._next
        self._next += 1
        self._on_episode(number)
        if number % 4 == 3:
            self.stats.helps["lost"] = self.stats.helps.get("lost", 0) + 1
        outcome = "success" if number % 3 else "failure"
        episode = make_episode(number, self._steps, outcome, self.version)
        self.keep(episode)
        return episode

    def load(self, weights):
        self.version = weights.version
