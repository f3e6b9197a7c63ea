"""A walker for Gymnasium-Robotics' point mazes: shortest paths between cells, steered with more or less noise."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from policies.gym.environment import FlatEnv
from trajectories.errors import ConfigError
from trajectories.types import Float32, Float64

Cell = tuple[int, int]
_WALL = 1
_STIFFNESS, _DAMPING = 10.0, 3.5
_ARRIVED = 0.35
"""Distance (cells) from a cell's middle at which the walker turns to the next."""


def shortest_path(maze: Sequence[Sequence[int | str]], start: Cell, goal: Cell) -> list[Cell]:
    """Cells from `start` to `goal`, both included, in as few steps along rows and columns as there are.

    Args:
        maze: Rows of cells, 1 where there is a wall.
        start: (row, column).
        goal: (row, column).

    Raises:
        ConfigError: When walls lie in between everywhere.
    """
    before: dict[Cell, Cell] = {start: start}
    frontier = deque([start])
    while frontier and goal not in before:
        row, column = frontier.popleft()
        for cell in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
            inside = 0 <= cell[0] < len(maze) and 0 <= cell[1] < len(maze[cell[0]])
            if inside and maze[cell[0]][cell[1]] != _WALL and cell not in before:
                before[cell] = (row, column)
                frontier.append(cell)
    if goal not in before:
        raise ConfigError(f"No way leads from cell {start} to {goal} of the maze.")
    path = [goal]
    while path[-1] != start:
        path.append(before[path[-1]])
    return path[::-1]


class MazeWalker:
    """Walks to a place in the maze, for one episode."""

    def __init__(self, env: FlatEnv, rng: np.random.Generator, noise: float, goal: Float64 | None = None) -> None:
        """Plan nothing yet; the path follows from where the walker is.

        Args:
            env: A point maze from `make_env`, just reset.
            rng: Draws the noise.
            noise: Standard deviation of the noise on actions.
            goal: (2,) m, where to go; None for the episode's own goal.
        """
        self._maze: Any = env.unwrapped.maze  # type: ignore[attr-defined]
        self._rng, self._noise, self._goal = rng, noise, goal

    def act(self, observation: Float64) -> Float32:
        """An action, float32 (2,), for an observation float64 (8,): achieved goal, desired goal, position, velocity."""
        position, velocity = observation[4:6], observation[6:8]
        goal = observation[2:4] if self._goal is None else self._goal
        path = shortest_path(self._maze.maze_map, self._cell(position), self._cell(goal))
        towards = goal if len(path) == 1 else self._maze.cell_rowcol_to_xy(np.array(path[1]))
        if len(path) > 2 and float(np.linalg.norm(position - towards)) < _ARRIVED:
            towards = self._maze.cell_rowcol_to_xy(np.array(path[2]))
        force = _STIFFNESS * (towards - position) - _DAMPING * velocity
        noisy = np.clip(force, -1.0, 1.0) + self._noise * self._rng.standard_normal(2)
        return np.clip(noisy, -1.0, 1.0).astype(np.float32)

    def _cell(self, xy: Float64) -> Cell:
        row, column = self._maze.cell_xy_to_rowcol(xy)
        return int(row), int(column)
