"""Settings of the success classifier and its training, and those of the decision that every kind of judge shares."""

from __future__ import annotations

from dataclasses import dataclass

from trajectories.errors import ConfigError


@dataclass(frozen=True)
class DecisionConfig:
    """Which frames count, how a judge's rules are made on held-out episodes, and what a decision takes.

    Attributes:
        camera: Camera that it looks through.
        frames: Consecutive frames above the threshold that end an episode.
        false_positive_rate: Stated share of episodes without success that may be stopped.
        least_recall: Share of held-out successes that the threshold is lowered for, even if the rate above
            suffers.
        least_probability: The threshold is never lower than this, even if recall suffers.
        success_frames: Positive frames at the end of a demonstration that succeeded. The gripper should be clear of
            the object in them, so demonstrations should go on for some steps after success.
        gap: Frames before those positive ones that count as neither.
        folds: Parts K that the episodes are split into for cross-validation (`rewards.held_out`), which trains
            K (K + 1) / 2 judges beside the one that is deployed.
        require_open_gripper: Frames with the gripper commanded closed never count towards done. Right for tasks that
            end with letting go: held at the goal looks much like success to a camera.
        seed: Seed of everything random.
    """

    camera: str = "front"
    frames: int = 3
    false_positive_rate: float = 0.02
    least_recall: float = 0.9
    least_probability: float = 0.6
    success_frames: int = 3
    gap: int = 4
    folds: int = 4
    require_open_gripper: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: Naming the setting.
        """
        self.require_positive("frames", "success_frames")
        for name in ("false_positive_rate", "least_recall", "least_probability"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ConfigError(f"reward.{name} must be between 0 and 1, got {getattr(self, name)}.")
        if self.folds < 3:
            raise ConfigError(
                "reward.folds must be at least 3: one part to try the threshold on, one to choose it by, and the rest "
                f"to train on; got {self.folds}."
            )
        if self.gap < 0:
            raise ConfigError(f"reward.gap must not be negative, got {self.gap}.")

    def require_positive(self, *names: str) -> None:
        """Refuse settings that are not above 0.

        Raises:
            ConfigError: Naming the setting.
        """
        for name in names:
            value = getattr(self, name)
            if not value > 0 or (isinstance(value, int) and value < 1):
                least = "at least 1" if isinstance(value, int) else "above 0"
                raise ConfigError(f"reward.{name} must be {least}, got {value}.")


@dataclass(frozen=True)
class RewardConfig(DecisionConfig):
    """How the success classifier is trained and used, beside the decision.

    Attributes:
        cameras: Cameras that it looks through, side by side; what is hidden from one may be seen by another. Empty:
            `camera` alone.
        frames_per_episode: Other frames used per episode of the prior data.
        members: Networks of an ensemble.
        hidden: Width of each member's hidden layer.
        steps: Optimiser steps per round and member.
        batch: Pairs a step, half of them positive.
        learning_rate: AdamW's step size at the start of a cosine schedule.
        weight_decay: AdamW's decay of the weights.
        augmentations: Changed copies of every training frame.
        shift: Augmentation: largest shift, pixels.
        colour: Augmentation: largest relative change of brightness and contrast.
        mined: Share of the negatives of the second round that are the hardest ones of the first.
        window: Frames that a small transformer looks at, the newest and those before it: it corrects the success logit
            and says how far the task has come (`rewards.temporal`). 0 looks at each frame alone.
        finetune_last_block: Train each member's own copy of the image tower's last block, too.
        unsure_rate: Stated share of ordinary episodes that may be called unlike the training data (`rewards.doubt`); 0:
            never.
        unsure_spread: Standard deviation of the members' probabilities, mean over the deciding frames, beyond which
            they are at odds; 0.5 can't be exceeded.
        unsure_margin: How near to the threshold the probability, mean over the deciding frames, is too near to say; 0:
            never.
    """

    cameras: tuple[str, ...] = ()
    frames_per_episode: int = 6
    members: int = 4
    hidden: int = 64
    steps: int = 400
    batch: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    augmentations: int = 1
    shift: int = 2
    colour: float = 0.15
    mined: float = 0.4
    window: int = 0
    finetune_last_block: bool = False
    unsure_rate: float = 0.02
    unsure_spread: float = 0.2
    unsure_margin: float = 0.1

    @property
    def views(self) -> tuple[str, ...]:
        """The cameras that it looks through, in the order of the features."""
        return self.cameras or (self.camera,)

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: Naming the setting.
        """
        super().__post_init__()
        self.require_positive("frames_per_episode", "members", "hidden", "steps", "batch")
        if len(set(self.cameras)) != len(self.cameras):
            raise ConfigError(f"reward.cameras has a camera twice: {', '.join(self.cameras)}.")
        if not 0.0 <= self.unsure_rate < 1.0:
            raise ConfigError(f"reward.unsure_rate must be at least 0 and below 1, got {self.unsure_rate}.")
        if not 0.0 < self.unsure_spread <= 0.5:
            raise ConfigError(f"reward.unsure_spread must be above 0 and at most 0.5, got {self.unsure_spread}.")
        if not 0.0 <= self.unsure_margin < 0.5:
            raise ConfigError(f"reward.unsure_margin must be at least 0 and below 0.5, got {self.unsure_margin}.")
        if self.window < 0 or self.window == 1:
            raise ConfigError(f"reward.window must be 0 (each frame alone) or at least 2 frames, got {self.window}.")
        if not 0.0 <= self.mined <= 1.0 or self.augmentations < 0:
            raise ConfigError("reward.mined must be 0 ... 1, reward.augmentations not negative.")
