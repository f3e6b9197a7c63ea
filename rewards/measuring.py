"""What a judge reads from recordings whose truth is known: single frames, and a run's whole stream of episodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rewards.certificate import highest_rate, lowest_rate
from rewards.frames import SUCCESS, UNKNOWN, label_aftermath, label_frames
from rewards.intervals import CONFIDENCE, JudgedFrames
from rewards.kind import LoadedReward, Seen, counting, observations_of, readings_of
from robot.interfaces import ConcludingReward
from trajectories.errors import ConfigError
from trajectories.kinds import AFTERMATH, kind_of, referee_of
from trajectories.manifest import EpisodeInfo
from trajectories.types import Episode
from trajectories.verdicts import VERDICT_KEY, VerdictBook, was_missed

ONLINE = "online"
"""Kind of a session's episodes."""
Row = tuple[bool, float, bool, str, Mapping[str, str]]
"""Truth of a frame, probability, above, episode, groups: as `JudgedFrames.of` takes them."""


def rows_of(
    seen: Seen, episode: str, rows: Sequence[int], done: Sequence[bool], groups: Mapping[str, str]
) -> list[Row]:
    """Some observations of an episode, with the truth of each (`done`), whose reading there is."""
    return [
        (truth, seen.readings[row].probability, seen.readings[row].above, episode, groups)
        for row, truth in zip(rows, done, strict=True)
        if row in seen.readings
    ]


def look_at(reward: LoadedReward, episode: Episode) -> Seen:
    """Have a judge look at a whole episode as in a session, which begins anew after the first observation."""
    first, *others = observations_of(episode)
    readings = readings_of(reward, [first])
    reward.reset(episode.instruction)
    readings += [reward.update(observation) for observation in others]
    if isinstance(reward, ConcludingReward):
        conclusion, last = reward.conclude(), len(episode)
        if conclusion is None:
            return Seen({}, None, unsure=True)
        return Seen({last: conclusion}, last if conclusion.done else None, conclusion.unsure)
    stop = next((i for i, reading in enumerate(readings) if reading.done), None)
    return Seen(dict(enumerate(readings)), stop, readings[-1 if stop is None else stop].unsure)


def truth_of(episode: Episode | EpisodeInfo) -> str | None:
    """Success or failure: by a person's verdict, else the referee's word, else by who marked a recording.

    None where nobody knows: a session's own outcome is the word of its judge.
    """
    if VERDICT_KEY not in episode.metadata:
        said = referee_of(episode)
        if said is not None:
            return "success" if said else "failure"
        if kind_of(episode) == ONLINE:
            return None
    return None if episode.outcome == "unknown" else episode.outcome


def judged_alone(infos: Iterable[EpisodeInfo], book: VerdictBook) -> set[str]:
    """Ids of a session's episodes that only its judge has spoken about: neither a person in `book` nor a referee."""
    return {
        info.id for info in infos if kind_of(info) == ONLINE and referee_of(info) is None and book.of(info.id) is None
    }


@dataclass(frozen=True)
class StreamErrors:
    """How a judge's word stands to the truth, over a stream of episodes.

    Attributes:
        done: Episodes called done.
        false_done: Of these, those that weren't.
        not_done: Episodes called not done.
        false_not_done: Of these, those that were.
    """

    done: int
    false_done: int
    not_done: int
    false_not_done: int

    @staticmethod
    def over(pairs: Iterable[tuple[bool, bool]]) -> StreamErrors:
        """Of (judge's word, truth) pairs."""
        counted = list(pairs)
        of_done = [truth for said, truth in counted if said]
        of_others = [truth for said, truth in counted if not said]
        return StreamErrors(len(of_done), of_done.count(False), len(of_others), of_others.count(True))

    def figures(self) -> dict[str, Any]:
        """Counts and shares with Clopper-Pearson intervals, as plain JSON; a share of nothing is None."""
        return {
            **vars(self),
            "false_done_share": _share(self.false_done, self.done),
            "false_not_done_share": _share(self.false_not_done, self.not_done),
        }

    def words(self) -> str:
        """A line for a person."""
        done = f"{self.false_done} of {self.done} called done were not{share_words(self.false_done, self.done)}"
        others = share_words(self.false_not_done, self.not_done)
        return f"{done}, {self.false_not_done} of {self.not_done} called not done were{others}"


def judged_store(
    reward: LoadedReward, episodes: Iterable[Episode], success_frames: int = 3, gap: int = 4
) -> tuple[JudgedFrames, StreamErrors]:
    """Every frame of recorded episodes whose label follows from the outcome (`rewards.frames`), and a session's stream.

    Groups of the frames: "kind" (success, failure and how, aftermath), "camera" and "direction". The truth of an
    episode is that of `truth_of`, not the word of the judge of then. The stream is the judge's decisions on those
    episodes of a session after which a referee spoke; a recorded episode ends where the judge of then said done, so
    another one that needs longer is counted as not done.

    Raises:
        ConfigError: When no frame's truth is known.
    """
    found: list[Row] = []
    stream: list[tuple[bool, bool]] = []
    for episode in episodes:
        outcome, referee = truth_of(episode), referee_of(episode)
        if outcome is None:
            continue
        seen = look_at(reward, episode)
        if referee is not None and kind_of(episode) == ONLINE:
            stream.append((seen.stop is not None, referee))
        if kind_of(episode) == AFTERMATH:
            labels, kind = label_aftermath(len(episode), outcome), AFTERMATH
        else:
            missed, counts = was_missed(episode), counting(reward, episode)
            labels = label_frames(len(episode), outcome, success_frames, gap, missed=missed, counts=counts)
            kind = "success" if outcome == "success" else f"failure: {episode.metadata.get('failure') or 'other'}"
        rows = [int(row) for row in (labels != UNKNOWN).nonzero()[0]]
        groups = {"kind": kind, "camera": reward.camera, "direction": episode.direction}
        found += rows_of(seen, episode.id, rows, [bool(labels[row] == SUCCESS) for row in rows], groups)
    return JudgedFrames.of(found), StreamErrors.over(stream)


def recorded_stream(infos: Iterable[EpisodeInfo]) -> StreamErrors:
    """The session's own judge, as it decided then, against the referee; episodes without both are left out."""
    pairs = []
    for info in infos:
        said = referee_of(info)
        if said is not None and info.outcome != "unknown" and kind_of(info) == ONLINE:
            pairs.append((info.outcome == "success", said))
    return StreamErrors.over(pairs)


def _share(count: int, of: int) -> list[float] | None:
    """Share with its interval."""
    if not of:
        return None
    each = (1.0 + CONFIDENCE) / 2  # of the two bounds
    return [count / of, lowest_rate(count, of, each), highest_rate(count, of, each)]


def share_words(count: int, of: int) -> str:
    """The share in percent with its interval, in brackets; "" of nothing."""
    share = _share(count, of)
    return "" if share is None else " ({:.1f} %, {:.1f} to {:.1f})".format(*(100 * one for one in share))


def require_frames_by_frames(reward: LoadedReward, what: str) -> None:
    """Refuse a judge that says nothing of single frames.

    Raises:
        ConfigError: Naming `what` needs them.
    """
    if isinstance(reward, ConcludingReward):
        raise ConfigError(f"{what} judges single pictures, and this judge only says how an episode ended.")
