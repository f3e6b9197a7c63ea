"""Keep the values of a device's controls, and compute the motion that they ask for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from drivers.teleop.axes import AxisMap
from drivers.teleop.keys import Key, parse_keys, require_control
from drivers.teleop.motion import Gripper, Motion
from drivers.teleop.response import Response
from trajectories.numbers import NS_PER_S, positive

Report = Iterable[tuple[str, float]]
"""Controls that changed and their values: axes -1 ... 1, buttons and triggers 0 ... 1."""
_PRESSED_ABOVE = 0.5
_RELEASED_BELOW = 0.4
_MOST_KEYS = 64


@dataclass(frozen=True)
class ControlsConfig:
    """What the controls of a device mean.

    Attributes:
        axes: Axis of the arm -> signed controls, see `AxisMap`.
        keys: Button -> session key, the value of a `Key`; a trigger or hat pulled past half counts as pressed.
        enable: The device only moves the arm while this button is held; None: without.
        fine: Fine motion while this is held; None: without.
        gripper_open: Opens the gripper; None: without.
        gripper_close: Closes it; None: without.
        response: Dead zone, curve and scale.
        stale_s: A device that sends all the time while deflected, silent for longer than this, is no longer believed;
            None for devices that only send changes.
    """

    axes: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    enable: str | None = None
    fine: str | None = None
    gripper_open: str | None = None
    gripper_close: str | None = None
    response: Response = field(default_factory=Response)
    stale_s: float | None = None

    def __post_init__(self) -> None:
        if self.stale_s is not None:
            positive("controls.stale_s (seconds, or null)", self.stale_s)


class Controls:
    """Values of all controls. Not for several threads at once: the reader guards it with its lock.

    A button that is pressed and let go between two calls of `motion` still counts in the next one: a tap on a key is a
    step of the arm, and a short pull on the gripper's trigger isn't missed. An enable button must be held.
    """

    def __init__(self, config: ControlsConfig, names: frozenset[str], buttons: frozenset[str]) -> None:
        """Check the configuration against the device's controls.

        Args:
            config: What they mean.
            names: Names of all controls.
            buttons: Those that are only ever pressed or not.

        Raises:
            ConfigError: Naming the setting and the valid names.
        """
        self._axes = AxisMap(config.axes, names)
        self._keys = parse_keys(config.keys, names)
        for setting in ("enable", "fine", "gripper_open", "gripper_close"):
            button = getattr(config, setting)
            if button is not None:
                require_control(button, names, setting)
        self._config = config
        self._values: dict[str, float] = {}
        self._held: set[str] = set()
        self._buttons = buttons
        self._tapped: dict[str, float] = {}
        self._pressed: deque[Key] = deque(maxlen=_MOST_KEYS)
        self._newest_ns = 0

    def reset(self, t_ns: int) -> None:
        """Forget every value: nothing is deflected or held. Keys that were pressed before stay."""
        self._values.clear()
        self._held.clear()
        self._tapped.clear()
        self._newest_ns = t_ns

    def update(self, report: Report, t_ns: int) -> list[Key]:
        """Take a report; returns the session keys that it pressed (they are queued as well)."""
        self._newest_ns = t_ns
        keys = []
        for name, value in report:
            self._values[name] = value
            if name in self._held:
                if abs(value) < _RELEASED_BELOW:
                    self._held.discard(name)
            elif abs(value) > _PRESSED_ABOVE:
                self._held.add(name)
                self._tapped[name] = value
                if name in self._keys:
                    keys.append(self._keys[name])
        self._pressed.extend(keys)
        return keys

    def drain(self) -> list[Key]:
        """Keys pressed since the last call, oldest first."""
        keys = list(self._pressed)
        self._pressed.clear()
        return keys

    def motion(self, now_ns: int) -> Motion:
        """What the person wants now."""
        config = self._config
        tapped, self._tapped = self._tapped, {}
        values = self._values | {n: v for n, v in tapped.items() if n in self._buttons and n not in self._held}
        rates = config.response.rates(self._axes.deflections(values), config.fine in self._held)
        moved = any(rates)
        motion = Motion(gripper=self._wish(self._held | set(tapped)), t_ns=self._newest_ns)
        silent_s = (now_ns - self._newest_ns) / NS_PER_S
        if config.stale_s is not None and moved and silent_s > config.stale_s:
            return replace(
                motion,
                gripper=Gripper.UNCHANGED,
                problem=f"no event for {silent_s:.1f} s although it was deflected: the arm holds. Let go and push "
                "again; if that happens while you push, see stale_s in its settings.",
            )
        active = moved if config.enable is None else config.enable in self._held
        if not active:
            return motion
        dx, dy, dz, droll, dpitch, dyaw = rates
        return replace(motion, dx=dx, dy=dy, dz=dz, droll=droll, dpitch=dpitch, dyaw=dyaw, active=True)

    def _wish(self, down: set[str]) -> Gripper:
        opens, closes = self._config.gripper_open in down, self._config.gripper_close in down
        if opens == closes:
            return Gripper.UNCHANGED
        return Gripper.OPEN if opens else Gripper.CLOSED
