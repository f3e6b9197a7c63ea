"""What people say about the episodes of a session while it runs: "that was done", "that was not done".

A word is about one episode. Without saying which, it is about the one under way, or, between episodes and in the first
`REACTION_STEPS` steps of one, about the last one that ended: who has just seen it end needs a moment to say so. A word
about the episode under way ends it after the present step.

Each verdict is on the disk before the person is answered. Words come from any thread; the session reads them from its
own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from trajectories.errors import InvalidEpisodeError
from trajectories.kinds import was_displaced
from trajectories.types import Direction, Episode, Outcome
from trajectories.verdicts import Verdict, Word, require_said, that_holds

REACTION_STEPS = 10
"""Control steps of a new episode in which a word still is about the one before: 2 s at 5 Hz."""
LAST, RUNNING = "last", "running"
"""What `about` may be beside an episode's id."""
_REMEMBERED = 50
_SAID = {"success": "done", "failure": "not done", "unknown": "that it doesn't know"}


@dataclass(frozen=True)
class SpokenOf:
    """An episode that a person may speak about.

    Attributes:
        id: Of the episode.
        direction: Of the episode.
        step: Control steps so far.
        judged: What the judge said at its end; None while it is under way. The arm may still be on its way home.
        newest: What a person said last, also where it took back; None where nobody spoke.
    """

    id: str
    direction: Direction
    step: int = 0
    judged: Outcome | None = None
    newest: Verdict | None = None

    @property
    def verdict(self) -> Verdict | None:
        """What a person said that holds, or None."""
        return that_holds(self.newest)

    @property
    def outcome(self) -> Outcome | None:
        """By the person's word, else the judge's; None while it is under way and nobody has spoken."""
        said = None if self.verdict is None else self.verdict.outcome
        return self.judged if said is None else said


class PersonsWord:
    """Hears verdicts on the episode under way and on those that ended, the newest `_REMEMBERED` of this session.

    Args:
        keep: Puts a verdict on the disk, e.g. `VerdictBook.add` of the actor's outbox.
    """

    def __init__(self, keep: Callable[[Verdict], None]) -> None:
        self._keep = keep
        self._mutex = threading.Lock()
        self._running: SpokenOf | None = None
        self._ended: list[SpokenOf] = []
        self._corrected: list[SpokenOf] = []
        self._newest: str | None = None  # the episode that was spoken about last
        self._passed = False  # the episode before has no end to speak about

    # -- from the session's thread ------------------------------------------------------------------
    def begins(self, id: str, direction: Direction) -> None:
        """An episode is under way."""
        with self._mutex:
            self._running = SpokenOf(id, direction)

    def at(self, step: int) -> None:
        """So many control steps of it are over."""
        with self._mutex:
            if self._running is not None:
                self._running = replace(self._running, step=step)

    @property
    def ends_it(self) -> bool:
        """Whether somebody has said how the episode under way ended."""
        running = self._running
        return running is not None and running.verdict is not None

    def passes(self) -> bool:
        """The episode under way has no end to speak about (`was_displaced`), unless somebody has spoken; returns that.

        Until the next one has ended, what is said without naming an episode isn't about the one before it.
        """
        with self._mutex:
            self._passed = self._running is None or self._running.verdict is None
            self._running = None if self._passed else self._running
            return self._passed

    def acted(self, judged: Outcome) -> None:
        """The episode under way has taken its last step, as the judge sees it; the arm goes home and looks."""
        with self._mutex:
            if self._running is not None:
                self._running = replace(self._running, judged=judged)

    def ended(self, episode: Episode) -> Outcome:
        """The episode is over; returns the outcome that counts."""
        with self._mutex:
            running, self._running = self._running, None
            if was_displaced(episode):
                return episode.outcome
            self._passed = False
            spoken = SpokenOf(episode.id, episode.direction, len(episode), episode.outcome)
            if running is not None and running.id == episode.id:
                spoken = replace(spoken, newest=running.newest)
            self._ended = [*self._ended, spoken][-_REMEMBERED:]
        return episode.outcome if spoken.outcome is None else spoken.outcome

    def dropped(self) -> None:
        """The episode under way will never be stored: it had no steps yet."""
        with self._mutex:
            self._running = None

    def corrections(self) -> list[SpokenOf]:
        """Episodes whose outcome that counts was changed after their end, since the last call; oldest word first."""
        with self._mutex:
            found, self._corrected = self._corrected, []
        return found

    # -- from any thread ----------------------------------------------------------------------------
    @property
    def running(self) -> SpokenOf | None:
        """The episode under way."""
        return self._running

    @property
    def last(self) -> SpokenOf | None:
        """The last one that ended."""
        ended = self._ended
        return ended[-1] if ended else None

    def done(self, by: str, about: str = "", via: str = "console") -> str:
        """The task is, or was, done at the end of the episode.

        Args:
            by: Name of the person.
            about: Id of an episode, "last" or "running"; empty for the one that the module's rule gives.
            via: Where it was said.

        Returns:
            An answer for the person.

        Raises:
            InvalidEpisodeError: There is no such episode, or no name.
            DiskError: It can't be kept; it doesn't count then.
        """
        return self._say("done", by, about, via)

    def not_done(self, by: str, about: str = "", via: str = "console") -> str:
        """The task is, or was, not done at the end of the episode; arguments and errors as of `done`."""
        return self._say("not_done", by, about, via)

    def take_back(self, by: str, about: str = "", via: str = "console") -> str:
        """What was said before counts no more; without `about` of the episode that was spoken about last.

        Raises:
            InvalidEpisodeError: Nothing was said about it, there is no such episode, or no name.
            DiskError: It can't be kept; what was said before goes on counting then.
        """
        return self._say("taken_back", by, about or self._newest or LAST, via)

    def words(self) -> dict[str, Callable[..., str]]:
        """For a `Console`."""
        return {"done": self.done, "not_done": self.not_done, "take_back": self.take_back}

    # -- inside -------------------------------------------------------------------------------------
    def _say(self, word: Word, by: str, about: str, via: str) -> str:
        with self._mutex:
            spoken = self._find(about)
            if word == "taken_back":
                require_said(spoken.verdict, spoken.id)
            verdict = Verdict.now(spoken.id, word, by=by, via=via, after=spoken.newest)
            self._keep(verdict)
            changed = replace(spoken, newest=verdict)
            self._newest = spoken.id
            if self._running is not None and spoken.id == self._running.id:
                self._running = changed
            else:
                self._ended = [changed if one.id == spoken.id else one for one in self._ended]
                if changed.outcome != spoken.outcome:
                    self._corrected.append(changed)
        return _answer(spoken, verdict)

    def _find(self, about: str) -> SpokenOf:
        """The episode that is meant."""
        running, ended = self._running, self._ended
        over = running is not None and running.judged is not None
        at_once = running is not None and (over or running.step >= REACTION_STEPS or not ended or self._passed)
        if self._passed and running is None and not about:
            raise InvalidEpisodeError(
                "There is no end of this episode to speak about: the arm set down elsewhere what it held. "
                f"{LAST} is the one before it."
            )
        if about == RUNNING or (not about and at_once) or (about == LAST and over):
            found = running
        elif about in ("", LAST):
            found = ended[-1] if ended else None
        else:
            found = next((one for one in [*ended, running] if one is not None and one.id == about), None)
        if found is None:
            raise InvalidEpisodeError(
                f"There is no episode to speak about ({about or 'none has begun yet'}): expected {RUNNING} while one "
                f"is under way, {LAST}, or the id of one of the last {_REMEMBERED} of this session. `regrasp review` "
                "reaches all of them."
            )
        return found


def _answer(spoken: SpokenOf, verdict: Verdict) -> str:
    judged = "under way" if spoken.judged is None else f"the judge said {_SAID[spoken.judged]}"
    about = f"the {spoken.direction} episode {spoken.id} ({judged})"
    if verdict.word == "taken_back":
        return f"Taken back: about {about} the judge's word counts again."
    word = "was done" if verdict.word == "done" else "was not done"
    ends = " It ends now." if spoken.judged is None else ""
    return f"Noted: {about} {word}.{ends}"
