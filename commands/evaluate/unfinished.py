"""Episodes of an evaluation that isn't whole yet: whatever ends it, the same command runs what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from commands.evaluate.conditions import Conditions
from commands.evaluate.journal import Journal
from commands.evaluate.trials import Trial, TrialResult
from trajectories.types import UInt8

Ended = tuple[Trial, tuple[TrialResult, UInt8 | None]]
"""An episode, what happened in it, and its frames where they were asked for."""
Run = Callable[[Sequence[Trial]], Iterable[Ended]]
"""Runs episodes and gives them as they end."""
_PATTERN = "unfinished_*.jsonl"


def unfinished(folder: Path, conditions: Conditions, policy_digest: str) -> Journal:
    """What is there already of a policy's evaluation that will be in `folder`.

    Raises:
        ConfigError: It is damaged.
    """
    path = folder / _PATTERN.replace("*", policy_digest[:12])
    return Journal(path, {**conditions.to_dict(), "policy_digest": policy_digest})


def going_on(trials: Sequence[Trial], journal: Journal, run: Run) -> Iterator[Ended]:
    """The episodes of the journal, without frames, then the others, which it keeps once the receiver is done with them.

    Raises:
        OSError: The disk refuses.
    """
    there = [(trial, journal.episodes.get(trial.key)) for trial in trials]
    kept = [(trial, episode) for trial, episode in there if episode is not None]
    if kept:
        tqdm.write(f"{len(kept)} of {len(there)} episodes are there already.")
    for trial, episode in kept:
        yield trial, (TrialResult(**episode), None)
    for trial, (result, frames) in run([trial for trial, episode in there if episode is None]):
        yield trial, (result, frames)
        journal.add(asdict(result))


def forget(folder: Path) -> None:
    """Remove what was kept of evaluations in `folder`; one is whole now."""
    for path in folder.glob(_PATTERN):
        path.unlink()
