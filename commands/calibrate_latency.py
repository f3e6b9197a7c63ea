"""`regrasp calibrate calibrate.what=latency`: from light to receipt, of every camera, by the arm's own motion."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from tqdm import tqdm

from commands.attendance import attended
from drivers.cameras.latency import Latency
from factory.device_robot import DeviceStation
from robot.rollout.environment import RobotEnv
from trajectories.errors import ConfigError, RegraspError
from trajectories.types import ACTION_SIZE

_STEPS = 60
"""Control steps of motion; at 5 Hz 12 s."""
_PAUSE = 0.25
"""Share of the steps in which the arm rests: regular motion looks alike at many latencies."""


def calibrate_latency(config: DictConfig, ask: Callable[[str], None]) -> dict[str, Latency]:
    """Move the arm irregularly and say of each camera how late it is; those of which that can't be told are left out.

    Args:
        config: Settings of a robot with real devices, or of the virtual arm.
        ask: Waits for a person who lets the arm move.

    Raises:
        ConfigError: In the twin, whose pictures have no latency.
        SafetyError, StaleDataError: See `RobotEnv.apply`.
    """
    from drivers.cameras.motion_recording import MotionRecording

    if str(config.robot.name) == "twin":
        raise ConfigError("Pictures of the twin have no latency: give robot=widowx, or robot=virtual to rehearse.")
    rng = np.random.default_rng(int(config.seed))
    ask("The arm will rise and move to and fro, small and irregular. Clear its way and everything else that moves.")
    found: dict[str, Latency] = {}
    with attended(config, Path(config.run_dir), print, threading.Event(), max_steps=0) as around:
        station = around.station
        if not isinstance(station, DeviceStation):
            raise ConfigError(f"robot={config.robot.name} has no cameras of its own to measure.")
        station.env.go_home(rng)
        with MotionRecording(station.arm, station.cameras) as recording:
            wander(station.env, float(config.calibrate.speed), rng)
        for name in station.cameras:
            try:
                found[name] = recording.latency(name)
            except RegraspError as error:
                print(f"{name}: {error}")
            else:
                print(describe(name, found[name]))
    return found


def wander(env: RobotEnv, speed: float, rng: np.random.Generator, steps: int = _STEPS) -> None:
    """Move about where the arm is, in a random direction each step, with pauses; the gripper stays open.

    Args:
        env: The arm.
        speed: Largest fraction of an action.
        rng: Of directions and pauses.
        steps: Control steps.

    Raises:
        SafetyError, StaleDataError: See `RobotEnv.apply`.
    """
    away = np.zeros(3)
    for _ in tqdm(range(steps), desc="moving the arm", unit="step", dynamic_ncols=True):
        action = np.zeros(ACTION_SIZE, dtype=np.float32)
        action[6] = 1.0
        if rng.random() >= _PAUSE:
            action[:3] = np.clip(rng.uniform(-1.0, 1.0, 3) - 0.3 * away, -1.0, 1.0) * speed
            away += action[:3] / speed
        env.apply(action)


def describe(name: str, latency: Latency) -> str:
    """One camera's latency as a line for a person, with the setting."""
    milliseconds = latency.latency_ns / 1e6
    return (
        f"{name}: {milliseconds:.0f} ms from light to receipt (correlation {latency.correlation:.2f}). "
        f"Set robot.cameras.{name}.latency_ms={max(0.0, milliseconds):.0f}"
    )
