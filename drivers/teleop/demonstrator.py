"""The person of a `robot.demonstration.session.DemonstrationSession`, behind any input device."""

from __future__ import annotations

from dataclasses import replace

from drivers.teleop.interface import TeleopDevice
from drivers.teleop.keys import Key
from drivers.teleop.motion import Gripper, to_action
from robot.demonstration.words import Word
from trajectories.types import Float32

_WORDS = {
    Key.START: Word.START,
    Key.STOP: Word.STOP,
    Key.DISCARD: Word.DISCARD,
    Key.SUCCESS: Word.SUCCESS,
    Key.FAILURE: Word.FAILURE,
    Key.UNDO: Word.UNDO,
}


class Demonstrator:
    """A `robot.demonstration.types.Person` at a device.

    The other keys have no word: toggling the gripper is part of the action, the emergency hold latches a fault at once
    (`takeover.trip_on_hold`), and there is no policy to take over from.

    Args:
        device: Started before it is asked anything. Nobody else may call its `latest` and `pressed` meanwhile.
    """

    def __init__(self, device: TeleopDevice) -> None:
        self._device = device
        self._said: list[Word] = []
        self._toggles = 0
        self._problem: str | None = None

    def action(self, gripper_open: bool) -> Float32:
        """What the person wants now, float32 (7,); a hold while the device is at rest, silent or lost."""
        self._take_keys()
        motion = self._device.latest()
        self._problem = motion.problem
        if self._toggles % 2:
            motion = replace(motion, gripper=Gripper.CLOSED if gripper_open else Gripper.OPEN)
        self._toggles = 0
        return to_action(motion, gripper_open)

    def moving(self) -> bool:
        """Whether the device is being moved; taps and wishes of the gripper until now are forgotten."""
        motion = self._device.latest()
        self._problem = motion.problem
        self._take_keys()
        self._toggles = 0
        return motion.active

    def words(self) -> list[Word]:
        """What was said since the last call, oldest first."""
        self._take_keys()
        said, self._said = self._said, []
        return said

    @property
    def problem(self) -> str | None:
        """Why the device could not be relied on when it was last asked, or None."""
        return self._problem or self._device.status.problem

    def _take_keys(self) -> None:
        for key in self._device.pressed():
            if key is Key.GRIPPER:
                self._toggles += 1
            elif key in _WORDS:
                self._said.append(_WORDS[key])
