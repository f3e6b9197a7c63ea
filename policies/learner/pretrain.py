"""Pre-training: how the policy sees, then the multi-task policy with cloning and Cal-QL.

    perception  keypoints: a network learns hindsight labels of play, demonstrations and prior data, and is frozen
                image encoder: initial weights, which are trained along with the policy
    policy      demonstrations, failures, prior data, through the perception; cloning alone first, which trains the
                encoder, too, then Cal-QL with the cloning term, where the critics do

They go into features.safetensors, actor.safetensors and agent.safetensors: a policy folder (`policies.policy`) that
also holds the whole agent, for fine-tuning to go on from.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from policies.agent.agent import Agent
from policies.agent.checkpoint import save_agent
from policies.agent.config import AgentConfig
from policies.perception.encoders.config import EncoderConfig
from policies.perception.keypoint_training import KeypointConfig
from policies.perception.making import new_image_perception, train_keypoint_perception
from policies.perception.protocol import Perception
from policies.perception.rewording import Wordings, reworded
from policies.perception.text_table import EncodeText, TextTable
from policies.policy import save_policy
from policies.replay.dataset import ReplayEpisode, fill_replay, for_perception_alone, for_replay, read_all
from policies.replay.mixed_replay import MixedReplay
from policies.replay.replay import Replay
from robot.control.calibration import CalibrationMark
from trajectories.errors import ConfigError
from trajectories.store import TrajectoryStore
from trajectories.types import Episode

AGENT_FILE = "agent.safetensors"
ABOUT_FILE = "pretraining.json"
Progress = Callable[[str, int, int], None]
"""Called with a stage's name, steps done and steps in all."""
_EVERY = 20


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of pre-training.

    Attributes:
        clone_steps: Updates of the actor by behaviour cloning alone, first.
        steps: Updates of actor and critics by Cal-QL with the cloning term, after that; 0 leaves a policy of
            behaviour cloning, the baseline.
        begins_online: Leave the policy untrained, for methods that learn nothing offline.
        batch: Transitions an update.
        target_share: Share of each batch drawn from the target task; the rest is prior data.
        encoder: An image encoder for the critics to train; None for keypoints.
        camera: The camera that keypoints are seen through.
        keypoints: Training of the keypoint network.
        agent: Networks and losses.
    """

    clone_steps: int = 800
    steps: int = 800
    batch: int = 256
    target_share: float = 0.5
    begins_online: bool = False
    encoder: EncoderConfig | None = None
    camera: str = "front"
    keypoints: KeypointConfig = field(default_factory=KeypointConfig)
    agent: AgentConfig = field(default_factory=AgentConfig)

    def __post_init__(self) -> None:
        if self.clone_steps < 0 or self.steps < 0 or (self.updates < 1 and not self.begins_online):
            raise ConfigError(
                f"Pre-training for {self.clone_steps} + {self.steps} updates does nothing; expected at least one."
            )
        if not 0.0 < self.target_share <= 1.0:
            raise ConfigError(f"target_share={self.target_share} is out of range; expected a share in (0, 1].")

    @property
    def updates(self) -> int:
        """Updates of the policy in all."""
        return 0 if self.begins_online else self.clone_steps + self.steps


@dataclass(frozen=True)
class OfflineData:
    """The offline episodes as transitions.

    Attributes:
        target: Of the target task.
        prior: Of the other tasks; None when there are none.
    """

    target: Replay
    prior: Replay | None

    def mixed(self, target_share: float) -> MixedReplay:
        """Batches of which `target_share` are of the target task."""
        if self.prior is None:
            return MixedReplay(self.target, self.target, 1.0)
        return MixedReplay(self.prior, self.target, target_share)


def pretrain(
    stores: Sequence[TrajectoryStore],
    task: str,
    wordings: Wordings,
    encode: EncodeText,
    text_source: str,
    config: PretrainConfig,
    folder: Path,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    calibration: CalibrationMark | None = None,
) -> dict[str, Any]:
    """Train perception and policy, and write the folder.

    Args:
        stores: Play, demonstrations, failures and prior data of one robot.
        task: The target task.
        wordings: Direction -> instructions of the target task; each of its episodes is used under all of them.
        encode: Text tower.
        text_source: Digest of its weights.
        config: Settings.
        folder: Where the policy goes.
        seed: Of everything random.
        device: Where the policy and an image encoder are trained; the small keypoint network stays on the CPU.
        progress: Told of the steps.
        calibration: Of the arm that the data come from; None without one.

    Returns:
        What is written to `pretraining.json`: kind of encoder, errors of keypoints, last losses, seconds of each stage,
        counts.

    Raises:
        ConfigError: The data lacks what training needs.
        CheckpointError: The folder can't be written.
        MissingDependencyError: Pre-trained weights of the encoder are not on this machine.
    """
    if not stores:
        raise ConfigError("Pre-training needs at least one store of episodes. Run `regrasp collect` first.")
    spec = stores[0].spec
    for store in stores[1:]:
        spec.require_same(store.spec, f"The trajectory store {store.path}")
    started = time.monotonic()
    infos = [info for store in stores for info in store.infos()]
    known = [text for texts in wordings.values() for text in texts]
    text = TextTable.build([*(info.instruction for info in infos), *known], encode, text_source)
    perception: Perception
    errors: dict[str, float] = {}
    if config.encoder is not None:
        perception = new_image_perception(read_all(stores), text, spec, config.encoder, seed, device)
    else:
        count = sum(
            (info.length + 1) * (1 + len(known) if info.task == task and info.outcome == "success" else 1)
            for info in infos
        )
        episodes = reworded(read_all(stores), task, wordings, successes_only=True)
        perception, measured = train_keypoint_perception(
            episodes, count, text, spec, config.camera, config.keypoints, seed, progress
        )
        errors = measured.to_dict()
    encoder_s = time.monotonic() - started
    data = offline_data(reworded(read_all(stores), task, wordings), task, perception, config, seed, device)
    agent, losses = train_policy(data, perception, config, seed, device, progress)
    about = {
        "task": task,
        "seed": seed,
        "encoder": perception.kind,
        "encoder_errors": errors,
        "losses": losses,
        "encoder_s": round(encoder_s, 1),
        "policy_s": round(time.monotonic() - started - encoder_s, 1),
        "transitions": {"target": len(data.target), "prior": len(data.prior or ())},
        "observations": f"proprioception, {_seen(perception)}, instruction",
    }
    save_pretrained(folder, agent, perception, about, calibration)
    return about


def _seen(perception: Perception) -> str:
    """What the policy sees of the cameras, in words."""
    if perception.encoder is None:
        return "keypoints seen in one camera image"
    return f"images of {', '.join(perception.encoder.cameras)} through an encoder of kind {perception.kind}"


def offline_data(
    episodes: Iterable[Episode],
    task: str,
    perception: Perception,
    config: PretrainConfig,
    seed: int,
    device: torch.device | str = "cpu",
) -> OfflineData:
    """Demonstrations, failures and prior data (not play) as transitions.

    Raises:
        ConfigError: When no episode is of the target task.
    """
    gamma = config.agent.gamma
    target: list[ReplayEpisode] = []
    prior: list[ReplayEpisode] = []
    for episode in episodes:
        if not for_perception_alone(episode):
            (target if episode.task == task else prior).append(for_replay(episode, perception, gamma))
    if not target:
        raise ConfigError(
            f"No episode shows the target task {task!r} (play teaches the encoder only). Record demonstrations."
        )
    return OfflineData(
        fill_replay(target, perception.fields, gamma, device=device, seed=seed),
        fill_replay(prior, perception.fields, gamma, device=device, seed=seed + 1) if prior else None,
    )


def train_policy(
    data: OfflineData,
    perception: Perception,
    config: PretrainConfig,
    seed: int,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> tuple[Agent, dict[str, float]]:
    """Cloning first, then Cal-QL with the cloning term; trains the perception's image encoder along, if it has one.

    Returns:
        The agent, still in the phase "offline", and the metrics of its last update.
    """
    width, encoder = perception.text.rows.shape[1], perception.trained
    agent = Agent(config.agent, perception.size, width, device=device, seed=seed, encoder=encoder)
    agent.set_instructions(torch.from_numpy(perception.text.rows))
    mixed = data.mixed(config.target_share)
    total = config.updates
    metrics: dict[str, torch.Tensor] = {}
    for step in range(total):
        batch = mixed.sample(config.batch)
        clone = step < config.clone_steps
        metrics |= agent.clone_update(batch) if clone else agent.pretrain_update(batch)
        if progress is not None and (step % _EVERY == _EVERY - 1 or step == total - 1):
            progress("policy", step + 1, total)
    return agent, {name: float(value) for name, value in metrics.items()}


def save_pretrained(
    folder: Path,
    agent: Agent,
    perception: Perception,
    about: dict[str, Any],
    calibration: CalibrationMark | None = None,
) -> None:
    """Write a policy folder with the whole agent in it.

    Raises:
        CheckpointError: The disk refuses.
    """
    saved = save_policy(folder, perception, agent.config.networks, agent.actor_weights(), calibration)
    save_agent(folder / AGENT_FILE, agent, saved.spec, {"features": saved.digest}, calibration=calibration)
    (folder / ABOUT_FILE).write_text(json.dumps(about, indent=2) + "\n")
