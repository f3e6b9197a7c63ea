"""Pre-training: the image encoder on hindsight keypoints, then the multi-task policy with cloning and Cal-QL."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from policies.agent import Agent
from policies.checkpoint import save_agent
from policies.config import AgentConfig
from policies.dataset import add_to_replay, state_replay
from policies.features import FeatureExtractor, normalise_proprio
from policies.keypoint_labels import label_keypoints
from policies.keypoint_training import KeypointConfig, KeypointFrames, train_keypoints
from policies.mix import MixedReplay
from policies.policy import save_policy
from policies.replay import Replay
from policies.text_table import EncodeText, TextTable
from trajectories.errors import ConfigError
from trajectories.labels import SUCCESS_FRAMES
from trajectories.types import Episode, Spec

AGENT_FILE = "agent.safetensors"
Progress = Callable[[str, int, int], None]
"""Stage, steps done, steps in all."""


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of pre-training.

    Attributes:
        clone_steps: Updates of the policy by behaviour cloning alone, first.
        steps: Updates of policy and critics by Cal-QL with the cloning term, after that.
        batch: Transitions an update.
        target_share: Share of each batch drawn from the target task; the rest is prior data.
        success_frames: Last steps of a success that are labelled as done.
        keypoints: Training of the image encoder.
        agent: Networks and losses.
    """

    clone_steps: int = 1000
    steps: int = 1500
    batch: int = 256
    target_share: float = 0.5
    success_frames: int = SUCCESS_FRAMES
    keypoints: KeypointConfig = field(default_factory=KeypointConfig)
    agent: AgentConfig = field(default_factory=AgentConfig)


@dataclass(frozen=True)
class OfflineData:
    """The offline episodes as transitions: of the target task and of the prior tasks."""

    target: Replay
    prior: Replay


def train_features(
    episodes: Iterable[Episode],
    spec: Spec,
    encode: EncodeText,
    text_tower: str,
    config: KeypointConfig,
    seed: int,
    progress: Progress | None = None,
) -> tuple[FeatureExtractor, dict[str, float]]:
    """Train the image encoder on every labelled frame.

    Args:
        episodes: Play, demonstrations and prior data; read once.
        spec: The robot.
        encode: Embeds instructions.
        text_tower: Digest of what embeds them.
        config: Settings.
        seed: Of the training.
        progress: Told of the steps.

    Returns:
        The extractor, and the encoder's errors on held-out episodes.
    """
    camera = next(iter(spec.cameras))
    columns: dict[str, list[Any]] = {k: [] for k in ("images", "proprio", "instruction", "values", "mask", "episode")}
    texts: dict[str, int] = {}
    for number, episode in enumerate(episodes):
        labels = label_keypoints(episode, spec.proprio)
        keep = labels.known
        count = int(keep.sum())
        columns["images"].append(episode.images[camera][keep])
        columns["proprio"].append(normalise_proprio(episode.proprio[keep]))
        columns["instruction"].append(np.full(count, texts.setdefault(episode.instruction, len(texts))))
        columns["values"].append(labels.values[keep])
        columns["mask"].append(labels.mask[keep])
        columns["episode"].append(np.full(count, number))
    if not texts:
        raise ConfigError("There is no episode to train on. Run `regrasp collect` first.")
    table = TextTable.build(texts, encode, text_tower)
    rows = np.array([table.row(text) for text in texts])
    columns["instruction"] = [rows[part] for part in columns["instruction"]]
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    frames = KeypointFrames(text=table.rows, **joined)
    net, errors = train_keypoints(frames, config, seed, progress)
    return FeatureExtractor(spec, net, camera, table, encode), errors.to_dict()


def offline_data(
    episodes: Iterable[Episode], task: str, features: FeatureExtractor, config: PretrainConfig, seed: int
) -> OfflineData:
    """Demonstrations and failures (not play) as transitions.

    Args:
        episodes: Of all tasks; read once.
        task: The target task.
        features: The encoder.
        config: Settings.
        seed: Of the draws.
    """
    kept = [e for e in episodes if e.metadata.get("kind") != "play"]
    replays = {}
    for index, target in enumerate((True, False)):
        mine = [e for e in kept if (e.task == task) == target]
        capacity = sum(len(e) + 1 for e in mine) + 1
        replays[target] = state_replay(features, max(capacity, 2), config.agent.gamma, seed + index)
        for episode in mine:
            add_to_replay(replays[target], features, episode, config.success_frames)
    return OfflineData(replays[True], replays[False])


def train_policy(
    data: OfflineData, features: FeatureExtractor, config: PretrainConfig, seed: int, progress: Progress | None = None
) -> tuple[Agent, dict[str, float]]:
    """Cloning first, then Cal-QL with the cloning term, on both sources mixed.

    Returns:
        The agent, still in the phase "offline", and the metrics of its last update.

    Raises:
        ConfigError: When there is no episode of the target task.
    """
    if not len(data.target):
        raise ConfigError("There is no demonstration of the target task. Run `regrasp collect` first.")
    share = 1.0 if not len(data.prior) else config.target_share
    mixed = MixedReplay(data.prior, data.target, share)
    agent = Agent(config.agent, features.state_size, features.table.shape[1], seed=seed)
    agent.set_instructions(features.table)
    metrics: dict[str, float] = {}
    total = config.clone_steps + config.steps
    for step in range(total):
        batch = mixed.sample(config.batch)
        latest = agent.clone_update(batch) if step < config.clone_steps else agent.pretrain_update(batch)
        if progress is not None and (step % 20 == 19 or step == total - 1):
            progress("policy", step + 1, total)
        if step == total - 1:
            metrics = {name: float(value) for name, value in latest.items()}
    return agent, metrics


def save_pretrained(
    folder: Path, agent: Agent, features: FeatureExtractor, about: dict[str, Any]
) -> None:
    """Write a policy folder that also holds the whole agent, for fine-tuning to go on from."""
    save_policy(folder, features, agent.config, agent.actor_weights(), 0, about)
    save_agent(folder / AGENT_FILE, agent, features.spec, about)
