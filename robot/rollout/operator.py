"""`PersonOperator`: the person beside the arm, who is asked and answers with a word.

The word comes from `regrasp watch`, `regrasp say` or a teleoperation device, never from the learner's link.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from robot.control.faults import Fault
from trajectories.errors import StoppedError
from trajectories.types import Direction

_POLL_S = 0.2


class PersonOperator:
    """Waits for the word "ready" (`robot.interfaces.Operator`); the session itself waits for "clear".

    Args:
        instructions: Direction -> wordings, to say which state the scene shall be brought into.
        notify: Gets lines for the person.
        stop: Set when the session shall end; waiting ends then.
        reconnects: How often a camera has been connected anew so far: a person may have a hand at its cable.

    Attributes:
        waiting_for: What the person is asked to do, or None.
    """

    def __init__(
        self,
        instructions: Mapping[Direction, Sequence[str]],
        notify: Callable[[str], None],
        stop: threading.Event,
        reconnects: Callable[[], int] = lambda: 0,
    ) -> None:
        self.waiting_for: str | None = None
        self._instructions, self._notify, self._stop = dict(instructions), notify, stop
        self._reconnects, self._seen = reconnects, reconnects()
        self._answer = threading.Condition()
        self._word: str | None = None

    # -- robot.interfaces.Operator -----------------------------------------------------------------
    def trouble(self) -> str | None:
        """That a camera was connected anew since a person last said ready; of the scene nothing is seen here."""
        return "a camera was connected anew" if self._reconnects() != self._seen else None

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

    def recover(self, faults: Sequence[Fault]) -> None:
        """Nobody here clears anything: the session waits for the word of a person."""

    def resume(self, reason: str) -> None:
        """Where a camera was connected anew, ask the person to step back, and return when the person is ready.

        Raises:
            StoppedError: When the session is stopped meanwhile.
        """
        if self.trouble() is not None:
            self._wait_for("ready", f"a camera was connected anew ({reason}); step back, and say ready.")

    # -- the person's word --------------------------------------------------------------------------
    def ready(self, by: str) -> str:
        """The scene is arranged, and nobody is in the arm's way."""
        with self._answer:
            if self._word != "ready":
                return "Nobody waits for 'ready' now."
            self._word = None
            self._answer.notify_all()
        return "Thank you; the session goes on (ready)."

    # -- inside -------------------------------------------------------------------------------------
    def _wait_for(self, word: str, what: str) -> None:
        self._notify(f"Waiting for a person: {what} (`regrasp watch`, or `regrasp say word={word}`)")
        seen = self._reconnects()
        with self._answer:
            self._word, self.waiting_for = word, what
            try:
                while self._word is not None:
                    if self._stop.is_set():
                        raise StoppedError(f"The session was stopped while it waited for a person ({word}).")
                    self._answer.wait(_POLL_S)
            finally:
                self._word, self.waiting_for = None, None
        self._seen = seen
