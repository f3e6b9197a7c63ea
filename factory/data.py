"""The run's recorded episodes, of one robot: what was rehearsed on another is never taken for its data."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from factory.arm import DEFAULT_ARM, arm_of
from factory.run_folders import data_folder
from factory.spec import spec_of
from trajectories.conditions import differences, keep_conditions, read_conditions, require_same_identity
from trajectories.errors import ConfigError
from trajectories.layout import HEADER, require_unwritten
from trajectories.s3.path import StorePath
from trajectories.store import TrajectoryStore

ROBOT_FILE = ".robot.json"
"""Beside the episodes: which robot recorded them."""
_ADVICE = "Give another run_dir for what this robot records and learns, or the robot of then."


def robot_of(config: DictConfig) -> dict[str, str]:
    """Which robot the settings name: the twin, virtual servos or an arm, and its model."""
    return {"robot": str(config.robot.name), "arm": arm_of(config).name}


def require_robot(config: DictConfig) -> None:
    """Refuse the run's data when another robot recorded them.

    Raises:
        ConfigError: Naming both.
    """
    require_recorded_by(data_folder(Path(config.run_dir)), config)


def require_recorded_by(folder: StorePath, config: DictConfig) -> None:
    """Refuse a store that another robot than the settings' recorded.

    Raises:
        ConfigError: Naming both.
    """
    recorded = recorded_by(folder)
    if recorded is not None:
        require_same_identity(recorded, robot_of(config), f"What is recorded in {folder}", _ADVICE, ConfigError)


def recorded_by(folder: StorePath) -> dict[str, str] | None:
    """Which robot recorded a store, as `robot_of` has it; None where that isn't known.

    Stores of earlier versions don't say; the jobs of `collect` are the twin's.
    """
    noted = read_conditions(folder / ROBOT_FILE)
    if noted:
        return noted[-1]
    if not (folder / HEADER).is_file():
        return None
    with TrajectoryStore(folder, read_only=True) as store:
        collected = [info for info in store.infos() if "job" in info.metadata]
    if not collected:
        return None
    arm = (collected[0].metadata.get("conditions") or {}).get("arm", DEFAULT_ARM)
    return {"robot": "twin", "arm": str(arm)}


def open_data(config: DictConfig, *, read_only: bool) -> TrajectoryStore:
    """Open the store that `collect` and `teleop` fill, of the settings' robot; a writer makes it where there is none.

    Raises:
        ConfigError: Another robot recorded it, or another process writes into it.
        SpecMismatchError, StoreError: See `TrajectoryStore`.
    """
    folder = data_folder(Path(config.run_dir))
    require_robot(config)
    if not read_only:
        require_unwritten(folder)
    store = TrajectoryStore(folder, spec_of(config), read_only=read_only)
    if not read_only:
        keep_conditions(folder / ROBOT_FILE, robot_of(config), f"What is recorded in {folder}", _ADVICE)
    return store


def other_robot(config: DictConfig) -> str:
    """A line for a person where the settings' robot goes on with what was learned from another's data; else empty."""
    recorded = recorded_by(data_folder(Path(config.run_dir)))
    if recorded is None:
        return ""
    found = [f"{name}={then}, not {now}" for name, then, now in differences(recorded, robot_of(config))]
    return f"What is in {config.run_dir} was learned from data of {', '.join(found)}." if found else ""
