"""The calibration of the arm that the settings name."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from robot.control.calibration import Calibration, CalibrationMark, newest_calibration


def calibration_in_use(config: DictConfig) -> Calibration | None:
    """The newest calibration of the arm that the settings name; None for one without, and in the twin.

    Raises:
        CalibrationError: When the newest file is damaged.
    """
    if config.robot.name != "widowx":
        return None
    return newest_calibration(Path(config.robot.get("calibrations") or "calibrations"), arm_name(config))


def mark_in_use(config: DictConfig) -> CalibrationMark | None:
    """What checkpoints remember of `calibration_in_use`."""
    calibration = calibration_in_use(config)
    return None if calibration is None else calibration.mark


def arm_name(config: DictConfig) -> str:
    """Name of the arm's model; "twin" in the twin, whose rehearsals must not be taken for an arm's."""
    return "twin" if config.robot.name == "twin" else str(config.robot.get("model") or config.robot.name)
