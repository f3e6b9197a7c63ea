"""Pictures of a matrix: how the first episode of a cell began, and films of episodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from commands.evaluate.matrix_episode import FAULT, NOT_BEGUN, Measured
from commands.evaluate.trials import Trial, outcome_of, write_film
from trajectories.types import DIRECTIONS, UInt8


@dataclass(frozen=True)
class Pictures:
    """Of one cell, below the folder of its policy.

    Attributes:
        root: That folder.
        name: Task and change.
        digest: Of the cell's conditions.
        films: Episodes per direction and mode that have one.
    """

    root: Path
    name: str
    digest: str
    films: int

    @property
    def start(self) -> Path:
        """PNG of how the first episode began."""
        return self.root / "starts" / f"{self.digest}.png"

    def film(self, trial: Trial, success: bool | None) -> Path:
        """MP4 of an episode that ended so."""
        name = "_".join((self.name, trial.direction, trial.mode, str(trial.index), outcome_of(success)))
        return self.root / "videos" / f"{name}_{self.digest}.mp4"

    def keep(self, trial: Trial, success: bool | None, frames: UInt8) -> None:
        """Write what is wanted of an episode's frames uint8 (T + 1, H, W, 3)."""
        if (trial.index, trial.direction) == (0, DIRECTIONS[0]):
            self.start.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(frames[0]).save(self.start)
        if trial.index < self.films:
            path = self.film(trial, success)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_film(path, frames)

    def lacks(self, trial: Trial, episode: Mapping[str, Any]) -> bool:
        """Whether a kept episode has no film, and should; one that a fault ended has none."""
        if trial.index >= self.films or FAULT in episode or NOT_BEGUN in episode:
            return False
        return not self.film(trial, episode["success"]).is_file()

    def keep_later(self, trial: Trial, episode: Mapping[str, Any], again: Measured) -> str | None:
        """Film a kept episode that was run again for that; returns why not, where it did not end as it did before."""
        if again.episode == dict(episode) and again.frames is not None:
            self.keep(trial, episode["success"], again.frames)
            return None
        now = again.error if again.episode is None else _said(again.episode)
        return (
            f"{self.name}, {trial.direction}/{trial.mode}, episode {trial.index} has no film: run again for one, it "
            f"did not go as before. Then: {_said(episode)}. Now: {now}. The figures are those of then."
        )


def _said(episode: Mapping[str, Any]) -> str:
    why = episode.get(FAULT) or episode.get(NOT_BEGUN)
    ended = f"{outcome_of(episode['success'])} after {episode['steps']} steps, {episode['instruction']!r}"
    return ended if why is None else f"{ended} ({why})"
