"""Settings of pre-training on the robot's data."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from policies.agent.config import AgentConfig
from policies.perception.encoders.config import ClipConfig, EncoderConfig
from policies.perception.keypoint_config import KeypointConfig
from policies.replay.choices import Keep, require_keep
from trajectories.errors import ConfigError

if TYPE_CHECKING:
    from policies.replay.replay_settings import ReplaySettings


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of pre-training.

    Attributes:
        clone_steps: Updates of the actor by behaviour cloning alone, first.
        steps: Updates of actor and critics by Cal-QL with the cloning term, after that; 0 leaves a policy of
            behaviour cloning, the baseline.
        began_done: Learn places from where what began done was first picked up, too, not from successes alone
            (`policies.perception.rewording.asked_both_ways`).
        shrink_places: Believe a place that keypoints show as far as episodes bear it out whose places were hidden
            (`policies.perception.place_trust`).
        freeze_encoder: Leave an image encoder as cloning has trained it, so that Cal-QL learns on its features; without
            `clone_steps`, or if false, the critics train it.
        begins_online: Leave the policy untrained, for methods that learn nothing offline.
        batch: Transitions an update.
        target_share: Share of each batch drawn from the target task; the rest is prior data.
        held_out: Share of the episodes that is kept from training and measured on; 0 keeps none.
        held_out_every: Updates between two measurements on them; there is one at the end in any case.
        checkpoint_every: Updates between two checkpoints, of the keypoint network and of the policy; there is one at
            the end of each in any case.
        log_every: Updates between two entries of losses in the metrics.
        replay_device: Where transitions are kept, see `ReplaySettings.keep`.
        encoder: An image encoder to train; None for keypoints alone.
        camera: The camera that keypoints are seen through.
        keypoints: Training of the keypoint network, and of an image encoder on the same labels (`labels`).
        agent: Networks and losses.
    """

    clone_steps: int = 800
    steps: int = 800
    batch: int = 256
    target_share: float = 0.5
    began_done: bool = False
    shrink_places: bool = True
    freeze_encoder: bool = True
    begins_online: bool = False
    held_out: float = 0.0
    held_out_every: int = 200
    checkpoint_every: int = 500
    log_every: int = 40
    replay_device: Keep = "auto"
    encoder: EncoderConfig | None = None
    camera: str = "front"
    keypoints: KeypointConfig = field(default_factory=KeypointConfig)
    agent: AgentConfig = field(default_factory=AgentConfig)

    def __post_init__(self) -> None:
        if self.clone_steps < 0 or self.steps < 0 or (self.updates < 1 and not self.begins_online):
            raise ConfigError(
                f"Pre-training for {self.clone_steps} + {self.steps} updates does nothing; expected at least one."
            )
        if self.encoder is not None and self.encoder.keypoints and self.keypoints.steps == 0:
            raise ConfigError(
                "encoder.keypoints=true with pretrain.encoder_steps=0 would see through a network that has learned "
                "nothing. Give it updates, or set encoder.keypoints=false."
            )
        if not 0.0 < self.target_share <= 1.0:
            raise ConfigError(f"target_share={self.target_share} is out of range; expected a share in (0, 1].")
        if not 0.0 <= self.held_out < 1.0:
            raise ConfigError(f"held_out={self.held_out} is no share of the episodes; expected 0 ... 1, without 1.")
        require_keep(self.replay_device)
        for name in ("held_out_every", "checkpoint_every", "log_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} is out of range; expected at least 1 update.")

    @property
    def updates(self) -> int:
        """Updates of the policy in all."""
        return 0 if self.begins_online else self.clone_steps + self.steps

    @property
    def sees_keypoints(self) -> bool:
        """Whether a network finds keypoints: all that the policy sees, or beside an image encoder."""
        return self.encoder is None or self.encoder.keypoints

    @property
    def settles(self) -> bool:
        """Whether an image encoder is trained by cloning alone, and then frozen."""
        trained = self.encoder is not None and not self.encoder.frozen and not self.begins_online
        return trained and self.freeze_encoder and self.clone_steps > 0

    @property
    def labels(self) -> bool:
        """Whether an image encoder learns where to pick and place first.

        One that settles, of one camera; not a pre-trained tower that is itself trained, which steps that large would
        undo.
        """
        if self.encoder is None or not self.settles or self.keypoints.steps == 0:
            return False
        network = self.encoder.network
        return len(self.encoder.cameras) == 1 and not (isinstance(network, ClipConfig) and network.finetune)

    @property
    def replay(self) -> ReplaySettings:
        """How transitions are made and kept."""
        from policies.replay.replay_settings import ReplaySettings

        return ReplaySettings(self.agent.n_step, self.replay_device)

    def identity(self) -> dict[str, Any]:
        """Plain JSON of all that decides the numbers of an update, however many there will be."""
        parts = asdict(self)
        for name in ("steps", "held_out_every", "checkpoint_every", "log_every", "replay_device"):
            del parts[name]
        if not self.began_done:
            del parts["began_done"]  # what was trained before there was this goes on
        if not (self.sees_keypoints and self.shrink_places):
            del parts["shrink_places"]  # likewise, and only keypoints have places
        if not self.settles:
            del parts["freeze_encoder"]  # likewise
        if self.labels:
            parts["labels"] = True
        encoder = None if self.encoder is None else self.encoder.to_dict()
        agent = self.agent.to_dict() | {"n_step": self.agent.n_step}
        for phase in ("warmup", "online"):
            agent[phase].pop("start_spread", None)  # what was trained before there was this goes on
        parts |= {"agent": agent, "encoder": encoder}
        return json.loads(json.dumps(parts))  # type: ignore[no-any-return]
