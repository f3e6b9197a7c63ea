"""`regrasp evaluate` with `evaluate.tasks` or `evaluate.axes`: tasks x changes, beside a control on the same seeds.

evaluations/matrix/<policy>_<digest of it>/episodes/<digest of the conditions>.jsonl   episodes as they end
                                          /starts/<the same digest>.png               how the first one began
                                          /videos/*.mp4
                                          /<digest of the question>/matrix.json, .html, .svg

Episodes of one task under one change are kept by their conditions, so that whatever asks for them again, after an
interruption or for another matrix, runs only those that are not there, and those that it wants a film of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from tqdm import tqdm

from commands.engine.engine import engine_of
from commands.engine.interface import Engine
from commands.engine.jobs import run_jobs
from commands.evaluate.axes import CONTROL, Axis, axes_of
from commands.evaluate.conditions import Conditions
from commands.evaluate.journal import Journal
from commands.evaluate.matrix_episode import Measured, counts, measure
from commands.evaluate.matrix_figures import Question, Row, figures_of, matrix_table, require_not_shorter
from commands.evaluate.matrix_page import write_pages
from commands.evaluate.matrix_pictures import Pictures
from commands.evaluate.other_tasks import measured
from commands.evaluate.trials import Trial, require_amounts
from commands.evaluate.understanding import require_understood
from factory.evaluated_policy import PolicySource, open_policy
from factory.run_folders import evaluations_folder
from factory.spec import spec_of
from factory.twin import TwinSettings
from sim.scene.spec import SHIFTS
from trajectories.conditions import short_digest
from trajectories.errors import CheckpointError, ConfigError, RegraspError
from trajectories.types import DIRECTIONS, Direction
from trajectories.writer_lock import only_writer


class UnmeasuredError(RegraspError):
    """Parts of a matrix ended with an error; the others are written."""


@dataclass(frozen=True)
class Cell:
    """One task under one change, or none.

    Attributes:
        task: Its name.
        axis: What is changed; `CONTROL` for nothing.
        conditions: What its episodes hold for.
        settings: The twin that they run in.
        instructions: Direction -> wordings of the task, or the held-out ones that take their place.
        missing: Why the change isn't one in this task; None where it is.
    """

    task: str
    axis: Axis
    conditions: Conditions
    settings: TwinSettings
    instructions: Mapping[Direction, Sequence[str]]
    missing: str | None = None

    @property
    def digest(self) -> str:
        """Of the conditions; the name of its files."""
        return self.conditions.digest

    def trials(self, amount: Plan, source: PolicySource) -> Iterator[Trial]:
        """Its episodes, those that begin alike one after the other."""
        for index, direction, mode in product(range(amount.episodes), DIRECTIONS, amount.modes):
            yield Trial(
                source,
                direction,
                mode,
                index,
                amount.seed,
                self.conditions.max_steps,
                index < max(amount.videos, 1),
                self.axis.action_delay,
                self.axis.picture_delay,
                tuple(self.instructions[direction]) if self.axis.rewords else (),
            )


@dataclass(frozen=True)
class Plan:
    """How much of each cell: episodes and films per direction and mode, modes, seed of the starts."""

    episodes: int
    modes: tuple[str, ...]
    seed: int
    videos: int

    def __post_init__(self) -> None:
        require_amounts(self.episodes, self.modes, self.videos)


def evaluate_matrix(config: DictConfig, source: PolicySource) -> Path:
    """Measure what isn't there yet, write the matrix and say it; returns the folder of its files.

    Raises:
        ConfigError: A setting can't be, another process measures the same policy, or a longer matrix is there.
        UnmeasuredError: Parts of it ended with an error; the others are written.
        RegraspError: The policy can't be opened, or is gone.
    """
    if str(config.robot.name) != "twin" or str(config.evaluate.judge) not in ("auto", "predicate"):
        raise ConfigError(
            "evaluate.tasks and evaluate.axes are measured in the twin by its physics predicate: leave robot= and "
            "evaluate.judge= as they are by default."
        )
    engine, chosen = engine_of(config), config.evaluate
    plan = Plan(int(chosen.episodes), tuple(chosen.modes), int(chosen.seed), int(chosen.videos))
    cells = cells_of(config)
    there = [cell for cell in cells if cell.missing is None]
    source = require_understood(config, source, there)
    policy = open_policy(source)
    root = evaluations_folder(config) / "matrix" / source.label(Path(config.run_dir))
    question = Question(
        policy=source.where,
        policy_digest=policy.digest,
        policy_version=policy.version,
        episodes=plan.episodes,
        modes=plan.modes,
        seed=plan.seed,
        control_hz=spec_of(config).control_hz,
        axes={cell.axis.name: cell.axis.meaning for cell in cells},
    )
    asked = [[cell.task, cell.axis.name, cell.digest] for cell in cells]
    out = root / short_digest({"cells": asked, "modes": list(plan.modes)})
    with only_writer(root):
        require_not_shorter(out, question)
        found = _measure(there, plan, source, root, engine, policy.digest)
        figures = figures_of(question, [_row(cell, found) for cell in cells])
        out.mkdir(parents=True, exist_ok=True)
        write_pages(out, figures, {(c.task, c.axis.name): _pictures(root, c).start for c in there})
    print(f"\n{matrix_table(figures)}\n\nMatrix: {out}/matrix.html, with matrix.json and matrix.svg")
    if any((root / "videos").glob("*.mp4")):
        print(f"Videos: {root}/videos/*.mp4")
    for note in found.notes:
        print(note)
    _require_whole(there, found)
    return out


def _row(cell: Cell, found: _Found) -> Row:
    episodes, error = found.episodes.get(cell.digest, []), found.errors.get(cell.digest)
    return Row(cell.task, cell.axis.name, cell.conditions.to_dict(), cell.missing, episodes, error)


def _require_whole(cells: Sequence[Cell], found: _Found) -> None:
    """Say what has no figures because of an error; everything else is written.

    Raises:
        UnmeasuredError: Naming all.
    """
    failed = [
        f"{cell.task} under {cell.axis.name}: {found.errors[cell.digest]}"
        for cell in cells
        if cell.digest in found.errors
    ]
    if failed:
        raise UnmeasuredError(
            f"{len(failed)} of {len(cells)} parts of the matrix ended with an error and have no figures; the others "
            "are written. The same command tries them again.\n  " + "\n  ".join(failed)
        )


def cells_of(config: DictConfig) -> list[Cell]:
    """Every task's control, then its changes.

    Raises:
        ConfigError: For a task that there isn't, or that is named twice, and see `axes_of`.
    """
    axes = (Axis(CONTROL, "nothing is changed"), *axes_of(config))
    names = [str(name) for name in config.evaluate.tasks] or [str(config.task.name)]
    if len(set(names)) < len(names):
        raise ConfigError(f"evaluate.tasks names one twice: {', '.join(names)}. Name each once.")
    cells = []
    for name in names:
        usual, twin, task = measured(config, name)
        for axis in axes:
            held_out = axis.wordings(task)
            conditions = replace(
                usual,
                shift=axis.shift,
                action_delay=axis.action_delay,
                picture_delay=axis.picture_delay,
                wordings="\n".join(text for way in DIRECTIONS for text in held_out.get(way, ())),
            )
            shifted = replace(twin, seed=usual.seed, shift=axis.shift)
            cells.append(Cell(name, axis, conditions, shifted, held_out or task.instructions, axis.missing(task)))
    return cells


Job = tuple[TwinSettings, Trial, Cell]
"""Twin, episode, and the cell that it is one of."""


def run_one(job: Job) -> Measured:
    """One episode."""
    return measure(*job[:2])


@dataclass(frozen=True)
class _Found:
    """What there is of a matrix.

    Attributes:
        episodes: Digest of a cell -> its episodes in the plan's order.
        errors: Digest of a cell -> what ended it, for those that have no figures.
        notes: Said at the end.
    """

    episodes: Mapping[str, list[dict[str, Any]]]
    errors: Mapping[str, str]
    notes: Sequence[str]


def _measure(
    cells: Sequence[Cell], plan: Plan, source: PolicySource, root: Path, engine: Engine, policy_digest: str
) -> _Found:
    """Run what isn't there, and again what is to be filmed later; an error ends its cell alone."""
    journals = {cell.digest: Journal(root / "episodes" / f"{cell.digest}.jsonl", _held_for(cell)) for cell in cells}
    wanted = [(cell, trial) for cell in cells for trial in cell.trials(plan, source)]
    broken: dict[str, dict[Trial, str]] = {}
    notes = []

    def kept(cell: Cell, trial: Trial) -> dict[str, Any] | None:
        episode = journals[cell.digest].episodes.get(trial.key)
        return episode if counts(episode) else None

    pictures = {cell.digest: _pictures(root, cell, plan.videos) for cell in cells}
    jobs = []
    for cell, trial in wanted:
        episode = kept(cell, trial)
        if episode is None:
            jobs.append((cell.settings, trial, cell))
        elif pictures[cell.digest].lacks(trial, episode):
            jobs.append((cell.settings, replace(trial, video=True), cell))
    there = sum(kept(cell, trial) is not None for cell, trial in wanted)
    if there:
        tqdm.write(f"{there} of {len(wanted)} episodes are there already.")
    title = f"evaluating {source.title}"
    ended = run_jobs(run_one, jobs, engine, title, skip=lambda job: job[2].digest in broken, folders=source.folders)
    for (_, trial, cell), got in ended:
        if got.episode is None and got.of_link:
            _require_there(source, policy_digest)
        before = kept(cell, trial)
        if before is not None:
            notes.append(pictures[cell.digest].keep_later(trial, before, got))
        elif got.episode is not None:
            if got.frames is not None:
                pictures[cell.digest].keep(trial, got.episode["success"], got.frames)
            journals[cell.digest].add(got.episode)
        else:
            broken.setdefault(cell.digest, {})[trial] = got.error
    found: dict[str, list[dict[str, Any]]] = {cell.digest: [] for cell in cells}
    errors: dict[str, str] = {}
    for cell, trial in wanted:
        if cell.digest not in broken:
            found[cell.digest].append(journals[cell.digest].episodes[trial.key])
        elif trial in broken[cell.digest] and cell.digest not in errors:  # the first, with any number of workers
            place = f"{trial.direction}/{trial.mode}, episode {trial.index}"
            errors[cell.digest] = f"{broken[cell.digest][trial]} ({place})"
    return _Found(found, errors, [note for note in notes if note is not None])


def _require_there(source: PolicySource, policy_digest: str) -> None:
    """Ask the policy's server anew who it is, after an answer that was none.

    Raises:
        LinkError: It is gone: nothing else can be measured either.
        CheckpointError: It serves another policy by now.
    """
    open_policy.cache_clear()
    digest = open_policy(source).digest
    if digest != policy_digest:
        raise CheckpointError(
            f"{source.where} serves another policy by now: its digest was {policy_digest!r} and is {digest!r}. What "
            "was measured so far belongs to the first: serve that again, or start anew."
        )


def _pictures(root: Path, cell: Cell, films: int = 0) -> Pictures:
    return Pictures(root, f"{cell.task}_{cell.axis.name}", cell.digest, films)


def _held_for(cell: Cell) -> dict[str, Any]:
    """What the episodes of a cell hold for, with the numbers behind the name of its shift."""
    return {**cell.conditions.to_dict(), "varied": asdict(SHIFTS[cell.axis.shift])}
