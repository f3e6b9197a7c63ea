"""Counts, lengths and outcomes of many episodes, by task and direction, and one episode in words."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from trajectories.kinds import AFTERMATH, kind_of
from trajectories.manifest import EpisodeInfo
from trajectories.types import Direction, Episode, Outcome, Source, UInt16

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True)
class Summary:
    """What a group of episodes has in common and how they went.

    Attributes:
        task: Task name.
        direction: "forward" or "backward".
        looks_back: Whether they are looks at what was left (`trajectories.kinds.AFTERMATH`), no attempts.
        lengths: Number of steps of each episode, in the order given.
        outcomes: Number of episodes for each of success, failure and unknown, in this order.
    """

    task: str
    direction: Direction
    looks_back: bool
    lengths: tuple[int, ...]
    outcomes: tuple[int, int, int]

    @property
    def episodes(self) -> int:
        """Number of episodes."""
        return len(self.lengths)

    @property
    def steps(self) -> int:
        """Number of steps of all episodes."""
        return sum(self.lengths)

    @property
    def success_rate(self) -> float | None:
        """Successes among the episodes that were judged; None when none was."""
        success, failure, _ = self.outcomes
        return success / (success + failure) if success + failure else None


def summarise(infos: Iterable[EpisodeInfo]) -> list[Summary]:
    """One summary for each task and direction, sorted by task, forward before backward; then those of looks back."""
    groups: dict[tuple[bool, str, Direction], list[EpisodeInfo]] = {}
    for info in infos:
        groups.setdefault((kind_of(info) == AFTERMATH, info.task, info.direction), []).append(info)
    summaries = []
    order = sorted(groups.items(), key=lambda item: (*item[0][:2], item[0][2] != "forward"))
    for (looks_back, task, direction), group in order:
        counts = Counter(info.outcome for info in group)
        success, failure, unknown = (counts[outcome] for outcome in OUTCOMES)
        lengths = tuple(info.length for info in group)
        summaries.append(Summary(task, direction, looks_back, lengths, (success, failure, unknown)))
    return summaries


def summary_table(summaries: Sequence[Summary]) -> str:
    """The summaries as a text table with a line of totals of the attempts; looks back stand below it."""
    attempts = [summary for summary in summaries if not summary.looks_back]
    header = ["task", "direction", "episodes", "steps", *OUTCOMES, "success %", "length min/mean/max"]
    rows = [header, *(_row(summary) for summary in attempts)]
    if len(attempts) > 1:
        totals = [sum(summary.outcomes[i] for summary in attempts) for i in range(len(OUTCOMES))]
        counts = [sum(s.episodes for s in attempts), sum(s.steps for s in attempts), *totals]
        rows.append(["all", "", *(str(count) for count in counts), "", ""])
    return _align([*rows, *(_row(summary) for summary in summaries if summary.looks_back)])


def _row(summary: Summary) -> list[str]:
    """The cells of a group; the outcomes of looks back say how the scene was left, which is no rate of success."""
    rate, lengths = summary.success_rate, summary.lengths
    return [
        summary.task,
        summary.direction + (", looks back" if summary.looks_back else ""),
        str(summary.episodes),
        str(summary.steps),
        *(str(count) for count in summary.outcomes),
        "-" if rate is None or summary.looks_back else f"{100 * rate:.0f}",
        f"{min(lengths)}/{sum(lengths) / len(lengths):.1f}/{max(lengths)}",
    ]


def describe_episode(episode: Episode) -> str:
    """An episode in a few lines for a person."""
    sources = ", ".join(
        f"{int((episode.source == source).sum())} by {source.name.lower()}"
        for source in Source
        if (episode.source == source).any()
    )
    changed = int((episode.proposed != episode.executed).any(axis=1).sum())
    versions = np.unique(episode.policy_version[episode.policy_version >= 0])
    judged = episode.success_probability[~np.isnan(episode.success_probability)]
    lines = [
        f"Episode {episode.id}",
        f"  task         {episode.task}, {episode.direction}: {episode.instruction!r}",
        f"  outcome      {episode.outcome}, {_ending(episode)}, return {episode.rewards.sum():g}",
        f"  actions      {len(episode)}: {sources}; {changed} changed by safety",
        f"  policy       {'versions ' + ', '.join(map(str, versions)) if len(versions) else 'none'}",
        f"  reward model {f'{judged.min():.2f} ... {judged.max():.2f}' if len(judged) else 'none'}",
        *(f"  depth        {camera}: {_depth_range(depth)}" for camera, depth in episode.depth.items()),
        f"  metadata     {json.dumps(dict(episode.metadata))}",
    ]
    return "\n".join(lines)


def _depth_range(depth: UInt16) -> str:
    """Where uint16 (T + 1, H, W) mm was measured, and how far away."""
    measured = depth[depth > 0]
    share = f"{100 * measured.size / depth.size:.0f}% of the pixels measured"
    return f"{share}, {measured.min()} ... {measured.max()} mm" if measured.size else share


def _ending(episode: Episode) -> str:
    if episode.terminated[-1]:
        return "terminated by success"
    return "truncated" if episode.truncated[-1] else "stopped"


def _align(rows: Sequence[Sequence[str]]) -> str:
    """Columns of equal width; words to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
