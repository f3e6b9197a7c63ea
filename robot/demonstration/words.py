"""What a person may say while demonstrating, and what it means when: the state machine of a demonstration.

    phase        start     success    failure    stop         discard    undo
    preparing    -         -          -          end          -          undo the last one
    waiting      begin     -          -          end          skip       undo the last one
    recording    -         success    failure    ask          drop       -
    asking       -         success    failure    keep as is   drop       -

A dash changes nothing, and the person is told so (not while preparing: the person may have talked to somebody else).
A verdict ends the phase: what else was said in the same breath is dropped, so that a second press never hits a question
that the person hasn't seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from trajectories.numbers import NS_PER_S, positive


class Word(Enum):
    """What a person says by pressing a key."""

    START = "start"
    SUCCESS = "mark success"
    FAILURE = "mark failure"
    STOP = "stop"
    DISCARD = "discard"
    UNDO = "undo"


class Phase(Enum):
    """Where a demonstration is."""

    PREPARING = "the scene is being prepared"
    WAITING = "the arm waits for the start"
    RECORDING = "recording"
    ASKING = "the arm waits for your mark"


class Verdict(Enum):
    """What a word brings about."""

    BEGIN = "begin to record"
    SUCCEED = "end the episode as a success"
    FAIL = "end it as a failure"
    ASK = "stop the motion and ask for the mark"
    KEEP = "end it without a mark"
    DROP = "drop the episode under way"
    SKIP = "another scene"
    UNDO = "remove the last episode"
    END = "end the session"


_TABLE: dict[Phase, dict[Word, Verdict]] = {
    Phase.PREPARING: {Word.STOP: Verdict.END, Word.UNDO: Verdict.UNDO},
    Phase.WAITING: {
        Word.START: Verdict.BEGIN,
        Word.STOP: Verdict.END,
        Word.DISCARD: Verdict.SKIP,
        Word.UNDO: Verdict.UNDO,
    },
    Phase.RECORDING: {
        Word.SUCCESS: Verdict.SUCCEED,
        Word.FAILURE: Verdict.FAIL,
        Word.STOP: Verdict.ASK,
        Word.DISCARD: Verdict.DROP,
    },
    Phase.ASKING: {
        Word.SUCCESS: Verdict.SUCCEED,
        Word.FAILURE: Verdict.FAIL,
        Word.STOP: Verdict.KEEP,
        Word.DISCARD: Verdict.DROP,
    },
}


def meaning(phase: Phase, word: Word) -> Verdict | None:
    """What `word` brings about in `phase`; None when nothing."""
    return _TABLE[phase].get(word)


class Listener:
    """Takes the words of a person in order, repeated ones once.

    A word that comes again within the pause counts as the same press, however often it comes: a contact that bounces,
    a key that repeats while it is held, an impatient second push.
    """

    def __init__(self, pause_s: float = 0.5) -> None:
        """Hear nothing yet.

        Args:
            pause_s: A word counts again when it was not said for this long.

        Raises:
            ConfigError: When that is not above 0.
        """
        positive("debounce_s (seconds)", pause_s)
        self._pause_ns = round(pause_s * NS_PER_S)
        self._last_ns: dict[Word, int] = {}

    def hear(self, phase: Phase, words: Iterable[Word], now_ns: int) -> tuple[Verdict | None, list[Word]]:
        """The first verdict, and the words before it that mean nothing in this phase.

        Args:
            phase: Where the demonstration is.
            words: Said since the last call, oldest first.
            now_ns: Time of the control loop.
        """
        idle: list[Word] = []
        verdict: Verdict | None = None
        for word in words:
            last_ns = self._last_ns.get(word)
            self._last_ns[word] = now_ns
            if verdict is not None or (last_ns is not None and now_ns - last_ns < self._pause_ns):
                continue
            verdict = meaning(phase, word)
            if verdict is None:
                idle.append(word)
        return verdict, idle
