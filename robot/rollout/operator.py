"""`PersonOperator`: the person beside the arm, who is asked and answers with a word.

The words come from `regrasp watch`, `regrasp say` or a teleoperation device, never from the learner's link.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from trajectories.errors import SafetyError, StoppedError
from trajectories.types import Direction

_POLL_S = 0.2


class PersonOperator:
    """Waits for the words "ready" and "clear" (`robot.interfaces.Operator`).

    Args:
        instructions: Direction -> wordings, to say which state the scene shall be brought into.
        notify: Gets lines for the person.
        stop: Set when the session shall end; waiting ends then.

    Attributes:
        waiting_for: What the person is asked to do, or None.
    """

    def __init__(
        self, instructions: Mapping[Direction, Sequence[str]], notify: Callable[[str], None], stop: threading.Event
    ) -> None:
        self.waiting_for: str | None = None
        self._instructions, self._notify, self._stop = dict(instructions), notify, stop
        self._answer = threading.Condition()
        self._word: str | None = None
        self._name = ""

    # -- robot.interfaces.Operator -----------------------------------------------------------------
    def trouble(self) -> None:
        """A person says so by holding the arm; nothing is seen here."""

    def help(self, reason: str, direction: Direction) -> None:
        """Ask for a start state of `direction` and return when the person is ready.

        Raises:
            StoppedError: When the session is stopped meanwhile.
        """
        self._wait_for(
            "ready",
            f"{reason}: please arrange the scene so that {self._instructions[direction][0]!r} can be done, step back, "
            "and say ready.",
        )

    def recover(self, reason: str) -> str:
        """Return the name of the person who looked at the arm and takes responsibility.

        Raises:
            StoppedError: When the session is stopped meanwhile.
        """
        return self._wait_for("clear", f"look at the arm, remove the cause, then clear the fault: {reason}")

    # -- the person's words -------------------------------------------------------------------------
    def ready(self, by: str) -> str:
        """The scene is arranged."""
        return self._say("ready", by)

    def clear(self, by: str) -> str:
        """A person looked at the arm.

        Raises:
            SafetyError: Without a name.
        """
        if not by.strip():
            raise SafetyError("A fault can only be cleared by a person who gives a name.")
        return self._say("clear", by)

    # -- inside -------------------------------------------------------------------------------------
    def _say(self, word: str, by: str) -> str:
        with self._answer:
            if self._word != word:
                return f"Nobody waits for {word!r} now."
            self._word, self._name = None, by
            self._answer.notify_all()
        return f"Thank you; the session goes on ({word})."

    def _wait_for(self, word: str, what: str) -> str:
        self._notify(f"Waiting for a person: {what} (`regrasp watch`, or `regrasp say word={word}`)")
        with self._answer:
            self._word, self.waiting_for = word, what
            try:
                while self._word is not None:
                    if self._stop.is_set():
                        raise StoppedError(f"The session was stopped while it waited for a person ({word}).")
                    self._answer.wait(_POLL_S)
                return self._name
            finally:
                self._word, self.waiting_for = None, None
