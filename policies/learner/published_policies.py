"""The policies that a run gives out: versions for actors, and folders that are kept along the run."""

from __future__ import annotations

from policies.agent.agent import Agent
from policies.learner.run_folder import SNAPSHOT_FILE, RunFolder, write_json
from policies.perception.protocol import Perception
from policies.policy import save_policy
from robot.control.calibration import CalibrationMark
from robot.link.codec import make_weights
from trajectories.types import Weights


class PublishedPolicies:
    """One thread publishes, any thread asks for the newest.

    Attributes:
        version: Newest published one of the run; 0 before the first.
    """

    def __init__(
        self, folder: RunFolder, perception: Perception, calibration: CalibrationMark | None, method: str
    ) -> None:
        """Go on after the versions that were published before.

        Args:
            folder: Of the run.
            perception: What the policies see through.
            calibration: Of the arm; None without one.
            method: Name for what is written beside kept policies.

        Raises:
            CheckpointError: The file that keeps the newest version is damaged.
        """
        self.version = folder.published()
        self._folder, self._perception, self._calibration, self._method = folder, perception, calibration, method
        self._newest: Weights | None = None

    def newer_than(self, version: int) -> Weights | None:
        """The newest policy, if it is newer than a version."""
        newest = self._newest
        return newest if newest is not None and newest.version > version else None

    def publish(self, agent: Agent) -> None:
        """Give the agent's policy out under the next version.

        Raises:
            CheckpointError: The disk refuses; the version before stays.
        """
        tensors = {name: tensor.numpy() for name, tensor in agent.actor_weights().items()}
        weights = make_weights(self.version + 1, tensors)
        self._folder.note_published(weights.version)
        self._newest, self.version = weights, weights.version

    def keep(self, agent: Agent, steps: int, updates: int, wall_s: float) -> None:
        """Write a policy folder of the run.

        Args:
            agent: Whose policy.
            steps: Environment steps that it learned from: names the folder.
            updates: Updates done.
            wall_s: Seconds that the run has lasted.

        Raises:
            CheckpointError: The disk refuses.
        """
        folder = self._folder.snapshot(steps)
        save_policy(folder, self._perception, agent.config.networks, agent.actor_weights(), self._calibration)
        about = {"steps": steps, "updates": updates, "wall_s": round(wall_s, 1), "method": self._method}
        write_json(folder / SNAPSHOT_FILE, about)
