"""The robot of the table: virtual arm and camera behind the real drivers, a policy, a person, a session's loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_module
from omegaconf import DictConfig

from drivers.widowx.process import ProcessWidowX
from factory.device_robot import DeviceStation, open_virtual
from factory.virtual_robot import world_settings
from robot.control.faults import Clearance, Fault, caused, reason_of
from robot.interfaces import ArmState
from robot.rollout.environment import RobotEnv
from robot.rollout.policy_watch import WatchedPolicy
from robot.rollout.recovery import RECOVERABLE, Recovery
from sim.virtual.client import VirtualWorld
from trajectories.errors import DeviceError, SafetyError
from trajectories.numbers import NS_PER_S
from trajectories.types import Direction, Float32, Observation, Weights

CAMERA = "front"
PERSON = "the person at the bench"
_TARGET = slice(9, 12)  # of the proprioception: where the tip was told to be
_PLACES = ((0.24, -0.05, 0.14), (0.29, 0.05, 0.17))  # m
_ACTION_M = 0.05  # what an action of 1 means
_STEP = 0.25  # of it
_NEAR_M = 1e-3
_MOST_STEPS = 50
_STAY = np.array([0, 0, 0, 0, 0, 0, 1], dtype=np.float32)


class Pacer:
    """A policy that goes to and fro between two places, gently, until it is told to misbehave.

    Attributes:
        version: Of its weights; there are none.
        arrivals: How often it got to a place.
        nonsense: Whether it answers NaN.
        silent_until_ns: Monotonic ns until which it thinks.
    """

    def __init__(self) -> None:
        self.version = self.arrivals = self.silent_until_ns = 0
        self.nonsense = False

    def act(self, observation: Observation, deterministic: bool = False) -> Float32:
        """float32 (7,): towards the present place."""
        time.sleep(max(0.0, (self.silent_until_ns - time.monotonic_ns()) / NS_PER_S))
        if self.nonsense:
            return np.full(7, np.nan, dtype=np.float32)
        away = np.array(_PLACES[self.arrivals % len(_PLACES)]) - observation.proprio[_TARGET]
        self.arrivals += bool(np.abs(away).max() < _NEAR_M)
        step = (away / _ACTION_M).clip(-_STEP, _STEP)
        return np.array([*step, 0.0, 0.0, 0.0, 1.0], dtype=np.float32)

    def load(self, weights: Weights) -> None:
        """Nothing to load."""


class Person:
    """Stands beside the arm: clears a fault once the cause is gone (`robot.interfaces.Operator`).

    Attributes:
        gone: Set when the cause is removed.
        reasons: Why somebody was asked to clear.
        ends_holds: Whether it was this person who said hold, so that it may end that, too.
    """

    def __init__(self) -> None:
        self.gone = threading.Event()
        self.reasons: list[str] = []
        self.ends_holds = False

    def trouble(self) -> None:
        """None."""

    def help(self, reason: str, direction: Direction) -> None:
        """Not asked for here."""

    def recover(self, faults: Sequence[Fault]) -> Clearance | None:
        """Wait until the cause is removed, then take responsibility for what it caused, and for a hold of one's own."""
        self.reasons.append(reason_of(faults) or "")
        self.gone.wait()
        mine = tuple(fault.id for fault in faults) if self.ends_holds else caused(faults)
        return Clearance(PERSON, mine) if mine else None

    def resume(self, reason: str) -> None:
        """Step back at once."""


def settings(*overrides: str) -> DictConfig:
    """Those of `regrasp actor robot=virtual`."""
    with initialize_config_module("configs", version_base="1.3"):
        return compose("actor", overrides=["robot=virtual", *overrides])


class Bench:
    """A virtual world, and a station on it as `regrasp actor robot=virtual` opens it.

    Args:
        folder: Of a running world; None: one is started.
        overrides: Settings that shall differ.

    Attributes:
        world: The virtual robot, in a process of its own.
        policy: Who acts.
        person: Who clears faults.
        told: Every line for people, with its monotonic ns.
    """

    def __init__(self, folder: Path | None = None, overrides: Sequence[str] = ()) -> None:
        self.policy, self.person = Pacer(), Person()
        self.told: list[tuple[int, str]] = []
        self._config = settings(*overrides)
        self._rng = np.random.default_rng(0)
        self._stack, self._devices = ExitStack(), ExitStack()
        world = VirtualWorld.start(world_settings(self._config)) if folder is None else VirtualWorld.attach(folder)
        self.world = self._stack.enter_context(world)
        self._config.robot.world = str(self.world.folder)
        self._station: DeviceStation | None = None
        self.watched = WatchedPolicy(self.policy, self.tell)

    # -- the robot ----------------------------------------------------------------------------------
    def open(self) -> None:
        """Open drivers and environment on the world."""
        stop = threading.Event()
        self._station = self._devices.enter_context(open_virtual(self._config, lambda line: None, stop))
        self.recovery = Recovery(self.env, self.person, self.tell, stop, most=100)
        try:
            self.station.wake()
        except RECOVERABLE as error:  # something stands from before
            self.recovery.after(error)
            self.station.wake()

    def shut(self) -> None:
        """Close them as a session does; the world goes on."""
        self._devices.close()
        self._station = None

    def close(self) -> None:
        """End everything."""
        try:
            self.shut()
        finally:
            self._stack.close()

    def ready(self) -> None:
        """Forget what was said and asked in the row before."""
        self.told.clear()
        self.person.reasons.clear()
        self.person.gone.clear()

    def arm_state(self) -> ArmState:
        """The driver's joint state.

        Raises:
            RegraspError: When there is none, or it is too old.
        """
        return self.arm.read()

    @property
    def station(self) -> DeviceStation:
        """The open station.

        Raises:
            DeviceError: When there is none.
        """
        if self._station is None:
            raise DeviceError("The bench has no station open; call open() first.")
        return self._station

    @property
    def env(self) -> RobotEnv:
        """The robot as a session sees it."""
        return self.station.env

    @property
    def arm(self) -> ProcessWidowX:
        """The arm's driver."""
        arm = self.station.arm
        assert isinstance(arm, ProcessWidowX)
        return arm

    # -- the session --------------------------------------------------------------------------------
    def tell(self, line: str) -> None:
        """A line for people."""
        self.told.append((time.monotonic_ns(), line))

    def step(self) -> None:
        """One control step."""
        self.env.apply(self.watched.act(self.env.observe()))

    def drive(self, done: Callable[[], bool]) -> None:
        """Run the loop until `done`, with recovery after errors as in a session.

        Raises:
            RegraspError: When the robot can't be brought back.
        """
        while not done():
            try:
                self.step()
            except RECOVERABLE as error:
                self.recovery.after(error)

    def reach(self) -> float:
        """Go home and from there to a place, as a session begins an episode; returns mm between tip and target.

        Raises:
            SafetyError: When the robot doesn't get there.
            RegraspError: When something is wrong again; the session's recovery would be next.
        """
        self.env.go_home(self._rng)
        arrivals = self.policy.arrivals
        for _ in range(_MOST_STEPS):
            self.step()
            if self.policy.arrivals > arrivals:
                self.env.apply(_STAY)
                self.env.apply(_STAY)
                return 1e3 * float(np.linalg.norm(self.world.state()["tip"] - self.env.target.pose.position))
        raise SafetyError(f"The arm didn't get to its place within {_MOST_STEPS} control steps.")
