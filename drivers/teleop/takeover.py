"""A person takes over from the policy and hands back, in the middle of an episode.

`Takeover` is the `takeover` of `ResetFreeSession`: asked once a control step, it answers with the person's action while
the person acts, else with None. The session records such steps with `Source.PERSON`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from drivers.teleop.interface import TeleopDevice
from drivers.teleop.keys import Key
from drivers.teleop.motion import Gripper, Motion, to_action
from robot.control.faults import FaultLatch
from trajectories.errors import ConfigError
from trajectories.numbers import NS_PER_S
from trajectories.types import PROPRIO_NAMES, Float32, Observation, Source

_GRIPPER = PROPRIO_NAMES.index("gripper_command")
_WAYS = ("motion", "key")


@dataclass(frozen=True)
class TakeoverConfig:
    """How control changes hands.

    Attributes:
        take_over_by: "motion": by moving the device or by key; "key": by key only.
        still_s: Hand back after the person was still for this long; None: by key only.
        hand_back_when_lost: Whether stillness counts while the device is lost. By default a person who took over keeps
            control, and the arm holds, until the device is back.
    """

    take_over_by: Literal["motion", "key"] = "motion"
    still_s: float | None = 2.0
    hand_back_when_lost: bool = False

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigError: Naming the setting.
        """
        if self.take_over_by not in _WAYS:
            raise ConfigError(
                f"device.takeover.take_over_by is {self.take_over_by!r}, expected one of {', '.join(_WAYS)}."
            )
        if self.still_s is not None and not 0.0 < self.still_s <= 3600.0:
            raise ConfigError(f"device.takeover.still_s is {self.still_s!r}, expected seconds above 0, or null.")


class Takeover:
    """Decides who acts, and turns the person's wishes into actions.

    The gripper keeps what it was commanded last, by whomever, until the person wants otherwise: the observation holds
    that command, so neither the switch nor a new episode moves it.

    After a hand-back the device must come to rest before moving it takes over again.

    An emergency hold keeps the arm where it is, whoever acted, until a person takes over or hands back by key. On its
    own it only acts at control steps, not on the way home between episodes: open the device with `trip_on_hold`, too.
    """

    def __init__(
        self,
        device: TeleopDevice,
        config: TakeoverConfig | None = None,
        *,
        on_key: Callable[[Key], None] | None = None,
        on_change: Callable[[Source, str], None] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Wait for the person.

        Args:
            device: Started. Nobody else may call its `latest` and `pressed` meanwhile.
            config: How control changes hands.
            on_key: Gets the keys that don't concern the takeover (start, stop, mark success ...), from the control
                loop's thread.
            on_change: Told who acts from now on, and why.
            clock: Monotonic ns of the control loop: the wall's, or the twin's.
        """
        self._device, self._config = device, config if config is not None else TakeoverConfig()
        self._on_key, self._on_change, self._clock = on_key, on_change, clock
        self._acting = Source.POLICY
        self._emergency = False
        self._rested = True  # since control was handed back: only then does moving take over again
        self._active_ns = 0

    @property
    def acting(self) -> Source:
        """Who acts: PERSON or POLICY."""
        return self._acting

    @property
    def emergency(self) -> bool:
        """Whether an emergency hold is on."""
        return self._emergency

    def __call__(self, observation: Observation) -> Float32 | None:
        """The person's action for this control step, float32 (7,), or None while the policy acts."""
        motion = self._device.latest()
        toggles = self._take_keys(self._device.pressed(), motion)
        if self._emergency:
            return to_action(Motion(), _commanded_open(observation))
        now = self._clock()
        if self._acting is Source.POLICY:
            if not self._moves_in(motion):
                self._rested = self._rested or not motion.active
                return None
            self._give_to(Source.PERSON, "the device was moved")
        if motion.active or motion.gripper is not Gripper.UNCHANGED or toggles:
            self._active_ns = now
        elif self._has_let_go(motion, now):
            self._give_to(Source.POLICY, f"still for {self._config.still_s:g} s")
            return None
        if toggles % 2:
            wish = Gripper.CLOSED if _commanded_open(observation) else Gripper.OPEN
            motion = replace(motion, gripper=wish)
        return to_action(motion, _commanded_open(observation))

    def _take_keys(self, keys: list[Key], motion: Motion) -> int:
        """Act on the keys in order; returns how often the person, when acting, toggled the gripper."""
        toggles = 0
        for key in keys:
            if key is Key.HOLD:
                self._emergency = True
                self._give_to(Source.PERSON, "emergency hold")
            elif key is Key.TAKE_OVER:
                self._emergency = False
                self._give_to(Source.PERSON, "by key")
            elif key is Key.HAND_BACK:
                self._emergency = False
                self._give_to(Source.POLICY, "by key")
                toggles = 0
            elif key is Key.GRIPPER:
                toggles += self._acting is Source.PERSON or self._moves_in(motion)
            elif self._on_key is not None:
                self._on_key(key)
        return toggles

    def _moves_in(self, motion: Motion) -> bool:
        """Whether a person who doesn't act yet takes over in this very step by moving."""
        return motion.active and self._rested and self._config.take_over_by == "motion"

    def _has_let_go(self, motion: Motion, now: int) -> bool:
        if self._config.still_s is None:
            return False
        if motion.problem is not None and not self._config.hand_back_when_lost:
            self._active_ns = now
            return False
        return now - self._active_ns >= self._config.still_s * NS_PER_S

    def _give_to(self, source: Source, why: str) -> None:
        self._active_ns = self._clock()
        if source is Source.POLICY:
            self._rested = False
        if source is not self._acting:
            self._acting = source
            if self._on_change is not None:
                self._on_change(source, why)


def trip_on_hold(faults: FaultLatch) -> Callable[[Key], None]:
    """The `on_key` of a device that latches a hold the moment the emergency hold is pressed.

    The next command that anybody sends, also on the way home, is refused with a `SafetyError` and the arm holds, until
    a person clears this hold (`RobotEnv.clear_faults`).
    """

    def on_key(key: Key) -> None:
        if key is Key.HOLD:
            faults.trip("a person pressed the emergency hold", "hold")

    return on_key


def _commanded_open(observation: Observation) -> bool:
    """Whether the gripper was last told to be open.

    Raises:
        ConfigError: When the observation has other proprioception than `PROPRIO_NAMES`.
    """
    if len(observation.proprio) != len(PROPRIO_NAMES):
        raise ConfigError(
            f"The takeover reads the gripper's last command from proprioception with {len(PROPRIO_NAMES)} entries, "
            f"got {len(observation.proprio)}; use the proprioception of RobotEnv."
        )
    return bool(observation.proprio[_GRIPPER] > 0.0)
