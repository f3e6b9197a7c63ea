"""`regrasp evaluate` with `evaluate.tasks` or `evaluate.axes`: tasks x changes, beside a control on the same seeds.

evaluations/matrix/<policy>_<digest of it>/episodes/<digest of the conditions>.jsonl   episodes as they end
                                          /starts/<the same digest>.png               how the first one began
                                          /videos/*.mp4
                                          /<digest of the question>/matrix.json, .html, .svg

Episodes of one task under one change are kept by their conditions, so that whatever asks for them again, after an
interruption or for another matrix, runs only those that are not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from PIL import Image
from tqdm import tqdm

from commands.collect.parallel import run_jobs
from commands.evaluate.axes import CONTROL, Axis, axes_of
from commands.evaluate.conditions import Conditions
from commands.evaluate.journal import Journal
from commands.evaluate.matrix_figures import Question, Row, figures_of, matrix_table, require_not_shorter
from commands.evaluate.matrix_page import write_pages
from commands.evaluate.other_tasks import measured
from commands.evaluate.trials import Trial, TrialResult, require_amounts, run_in_twin, write_film
from commands.evaluate.understanding import require_understood
from factory.evaluated_policy import PolicySource, open_policy
from factory.run_folders import evaluations_folder
from factory.spec import spec_of
from factory.twin import TwinSettings, cached_twin
from sim.scene.spec import SHIFTS
from trajectories.conditions import short_digest
from trajectories.errors import ConfigError, SafetyError
from trajectories.types import DIRECTIONS, Direction, UInt8
from trajectories.writer_lock import only_writer


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
        RegraspError: The policy can't be opened or asked.
    """
    if str(config.robot.name) != "twin" or str(config.evaluate.judge) not in ("auto", "predicate"):
        raise ConfigError(
            "evaluate.tasks and evaluate.axes are measured in the twin by its physics predicate: leave robot= and "
            "evaluate.judge= as they are by default."
        )
    chosen = config.evaluate
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
        episodes = _measure(there, plan, source, root, int(config.workers))
        rows = [Row(c.task, c.axis.name, c.conditions.to_dict(), c.missing, episodes.get(c.digest, [])) for c in cells]
        figures = figures_of(question, rows)
        out.mkdir(parents=True, exist_ok=True)
        write_pages(out, figures, {(c.task, c.axis.name): _start(root, c.digest) for c in there})
    print(f"\n{matrix_table(figures)}\n\nMatrix: {out}/matrix.html, with matrix.json and matrix.svg")
    if any((root / "videos").glob("*.mp4")):
        print(f"Videos: {root}/videos/*.mp4")
    return out


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


def run_one(job: Job) -> tuple[TrialResult, UInt8 | None, str | None]:
    """One episode; what the robot's own limits end has failed, and the reason is returned with it."""
    settings, trial, _ = job
    try:
        result, frames = run_in_twin((settings, trial))
    except SafetyError as error:
        twin = cached_twin(settings)
        twin.clear_own_faults()
        said, share = twin.env.instruction, twin.share(trial.direction)
        failed = TrialResult(trial.direction, trial.mode, trial.index, False, trial.max_steps, said, share)
        return failed, None, str(error)
    return result, frames, None


def _measure(
    cells: Sequence[Cell], plan: Plan, source: PolicySource, root: Path, workers: int
) -> dict[str, list[dict[str, Any]]]:
    """Run what isn't there; digest of a cell -> its episodes, as many as the plan has, in its order."""
    journals = {cell.digest: Journal(root / "episodes" / f"{cell.digest}.jsonl", _held_for(cell)) for cell in cells}
    wanted = [(cell, trial) for cell in cells for trial in cell.trials(plan, source)]
    jobs = [
        (cell.settings, trial, cell)
        for cell, trial in wanted
        if (trial.direction, trial.mode, trial.index) not in journals[cell.digest].episodes
    ]
    if len(jobs) < len(wanted):
        tqdm.write(f"{len(wanted) - len(jobs)} of {len(wanted)} episodes are there already.")
    for (_, trial, cell), (result, frames, fault) in run_jobs(run_one, jobs, workers, f"evaluating {source.title}"):
        if frames is not None:
            _keep_pictures(root, cell, trial, result, frames, trial.index < plan.videos)
        journals[cell.digest].add(asdict(result) | ({} if fault is None else {"fault": fault}))
    found: dict[str, list[dict[str, Any]]] = {cell.digest: [] for cell in cells}
    for cell, trial in wanted:
        found[cell.digest].append(journals[cell.digest].episodes[trial.direction, trial.mode, trial.index])
    return found


def _held_for(cell: Cell) -> dict[str, Any]:
    """What the episodes of a cell hold for, with the numbers behind the name of its shift."""
    return {**cell.conditions.to_dict(), "varied": asdict(SHIFTS[cell.axis.shift])}


def _keep_pictures(root: Path, cell: Cell, trial: Trial, result: TrialResult, frames: UInt8, film: bool) -> None:
    """The start of a cell's first episode as a picture, and films of as many as are wanted."""
    if (trial.index, trial.direction) == (0, DIRECTIONS[0]):
        start = root / "starts" / f"{cell.digest}.png"
        start.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(frames[0]).save(start)
    if film:
        name = "_".join((cell.task, cell.axis.name, trial.direction, trial.mode, str(trial.index), result.outcome))
        path = root / "videos" / f"{name}_{cell.digest}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_film(path, frames)


def _start(root: Path, digest: str) -> bytes | None:
    path = root / "starts" / f"{digest}.png"
    return path.read_bytes() if path.is_file() else None
