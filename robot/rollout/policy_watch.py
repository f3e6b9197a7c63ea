"""Report a policy that is silent or returns invalid actions. How the robot reacts is decided elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from robot.control.safety_inputs import action_numbers
from robot.interfaces import Policy
from trajectories.types import Float32, Observation, Weights

_SILENT_S = 1.0
_TELL_AGAIN_S = 15.0


class WatchedPolicy:
    """Another policy, with lines for people when it says nothing or nonsense (`robot.interfaces.Policy`).

    The controller holds the arm in both cases, by itself.

    Args:
        policy: Who acts.
        notify: Gets the lines, for a silence from another thread.
        silent_s: A policy that thinks for longer is called silent.

    Attributes:
        nonfinite: Actions that weren't seven finite numbers.
        silences: Times that it was silent.
    """

    def __init__(self, policy: Policy, notify: Callable[[str], None], silent_s: float = _SILENT_S) -> None:
        self.nonfinite = self.silences = 0
        self._policy, self._notify, self._silent_s = policy, notify, silent_s
        self._told_s = -_TELL_AGAIN_S

    @property
    def version(self) -> int:
        """Version of the policy's weights."""
        return self._policy.version

    @version.setter
    def version(self, version: int) -> None:
        self._policy.version = version

    def act(self, observation: Observation, deterministic: bool = False) -> Float32:
        """What the policy says."""
        alarm = threading.Timer(self._silent_s, self._tell_silence)
        alarm.daemon = True
        alarm.start()
        try:
            action = self._policy.act(observation, deterministic)
        finally:
            alarm.cancel()
        if action_numbers(action) is None:
            self.nonfinite += 1
            self._tell_nonsense()
        return action

    def load(self, weights: Weights) -> None:
        """Into the policy."""
        self._policy.load(weights)

    # -- inside -------------------------------------------------------------------------------------
    def _tell_silence(self) -> None:
        self.silences += 1
        self._notify(
            f"The policy has said nothing for {self._silent_s:g} s: the arm holds until it does. Is the computer "
            "overloaded, or does the policy hang? If it stays so, end the session."
        )

    def _tell_nonsense(self) -> None:
        """At once, and again now and then while it goes on."""
        now = time.monotonic()
        if now - self._told_s < _TELL_AGAIN_S:
            return
        self._told_s = now
        self._notify(
            f"The policy's action is not seven finite numbers (policy version {self.version}, {self.nonfinite} times "
            "so far): the arm holds instead. If it stays so, end the session and go back to an older checkpoint."
        )
