"""The judged episodes of a store, as a person reviews them: what was said, in which order, frame by frame."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from commands.review.ordering import Judged, in_order
from trajectories.errors import CorruptEpisodeError, InvalidEpisodeError, LinkError, StoreError
from trajectories.kinds import is_attempt, referee_of, was_displaced
from trajectories.manifest import EpisodeInfo
from trajectories.progress import progress_of
from trajectories.store import TrajectoryStore
from trajectories.types import Episode, Float32
from trajectories.verdicts import Verdict, VerdictBook, Word, require_said

_HELD = 8
"""Episodes whose frames are held in memory."""
_QUALITY = 90


class ReviewedStore:
    """Reads beside the store's writer and adds verdicts. Methods may be called from several threads.

    Attributes:
        store: The episodes.
        book: What people said about them.
    """

    def __init__(self, path: Path, threshold: float, frames: int, *, ask_referee: bool = False) -> None:
        """Open a store for reading.

        Args:
            path: Its folder.
            threshold: Of the judge.
            frames: Consecutive frames above it that a decision takes.
            ask_referee: Whether the twin's predicate, where an episode has it, counts as another opinion in the order.

        Raises:
            StoreError: There is none, or it can't be read.
        """
        self.store, self.book = TrajectoryStore(path, read_only=True), VerdictBook(path)
        self._threshold, self._frames, self._ask_referee = threshold, frames, ask_referee
        self._mutex = threading.Lock()
        self._probability: dict[str, Float32] = {}
        self._whole: OrderedDict[str, Episode] = OrderedDict()

    def refresh(self, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """See what came since, and read what the judge thought of it.

        Args:
            progress: Called with the number of new episodes that are read and that of all new ones.
        """
        with self._mutex:
            self.store.refresh()
            self.book.refresh()
            new = [info.id for info in self._infos() if info.id not in self._probability]
            for done, id in enumerate(new, 1):
                try:
                    self._probability[id] = self.store.read(id).success_probability
                except (CorruptEpisodeError, StoreError):
                    self._probability[id] = np.empty(0, np.float32)  # can't be shown; left out below
                progress(done, len(new))

    def overview(self) -> dict[str, Any]:
        """Every episode in the order in which a person should look at them, as plain JSON types."""
        with self._mutex:
            infos = {info.id: info for info in self._infos() if len(self._probability.get(info.id, ()))}
            ordered = in_order([self._judged(info) for info in infos.values()], self._threshold, self._frames)
            rows = []
            for judged, doubt in ordered:
                info, verdict = infos[judged.id], judged.verdict
                rows.append(
                    {
                        "id": info.id,
                        "direction": info.direction,
                        "instruction": info.instruction,
                        "outcome": info.outcome,
                        "frames": info.length + 1,
                        "probability": judged.probability,
                        "doubt": doubt.score,
                        "reasons": doubt.reasons,
                        "fault": str(info.metadata.get("fault") or ""),
                        "word": None if verdict is None else verdict.word,
                        "by": None if verdict is None else verdict.by,
                        "at_s": None if verdict is None else verdict.at_unix_ns / 1e9,
                    }
                )
        spec = self.store.spec
        return {
            "store": str(self.store.path),
            "threshold": self._threshold,
            "control_hz": spec.control_hz,
            "cameras": list(spec.cameras),
            "episodes": rows,
        }

    def frame(self, id: str, camera: str, index: int) -> bytes:
        """A frame of an episode as JPEG.

        Raises:
            LinkError: There is no such episode, camera or frame, or it is damaged.
        """
        episode = self._read(id)
        if camera not in episode.images or not 0 <= index <= len(episode):
            raise LinkError(
                f"There is no frame {index} of camera {camera[:80]!r}: episode {id} has frames 0 to {len(episode)} of "
                f"{', '.join(episode.images)}."
            )
        buffer = io.BytesIO()
        Image.fromarray(episode.images[camera][index]).save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
        return buffer.getvalue()

    def say(self, id: str, word: Word, by: str) -> Verdict:
        """Keep a verdict on an episode; it holds against all that was said before.

        Raises:
            LinkError: There is no such episode.
            InvalidEpisodeError: It is none, has no name, or takes back what nobody said.
            StoreError: What others said can't be listed.
            DiskError: The disk refuses.
        """
        if id not in self.store:
            raise LinkError(f"There is no episode {id[:80]!r} in {self.store.path}.")
        if was_displaced(self.store.info(id)):
            raise InvalidEpisodeError(f"Episode {id} came to no end: the arm set down elsewhere what it held.")
        with self._mutex:
            self.book.refresh()
            if word == "taken_back":
                require_said(self.book.of(id), id)
            verdict = Verdict.now(id, word, by=by, via="review", after=self.book.newest(id))
            self.book.add(verdict)
        return verdict

    # -- inside --

    def _infos(self) -> list[EpisodeInfo]:
        """The episodes whose end somebody may speak about."""
        return [info for info in self.store.infos() if is_attempt(info) and not was_displaced(info)]

    def _judged(self, info: EpisodeInfo) -> Judged:
        return Judged(
            id=info.id,
            direction=info.direction,
            outcome=info.outcome,
            probability=self._probability[info.id],
            cut_short="fault" in info.metadata,
            opinion=self._opinion(info),
            verdict=self.book.of(info.id),
        )

    def _opinion(self, info: EpisodeInfo) -> float | None:
        """Of an episode's end: the twin's predicate where it may be asked, else the judge's measure of progress."""
        referee = referee_of(info) if self._ask_referee else None
        if referee is not None:
            return float(referee)
        try:
            progress = progress_of(info.metadata, info.length, info.id)
        except InvalidEpisodeError:  # noted by something else
            return None
        return None if progress is None or np.isnan(progress[-1]) else float(progress[-1])

    def _read(self, id: str) -> Episode:
        with self._mutex:
            if id in self._whole:
                self._whole.move_to_end(id)
                return self._whole[id]
            try:
                episode = self.store.read(id)
            except StoreError as error:
                raise LinkError(str(error)) from error
            self._whole[id] = episode
            while len(self._whole) > _HELD:
                self._whole.popitem(last=False)
        return episode
