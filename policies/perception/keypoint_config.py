"""Settings of the training of the keypoint network."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KeypointConfig:
    """Settings of the encoder's training.

    Attributes:
        steps: Gradient steps.
        batch: Frames a step.
        learning_rate: Peak of the cosine schedule.
        weight_decay: Of AdamW.
        brightness: Largest relative change of brightness.
        colour: Largest relative change of each colour channel.
        shift: Largest shift of the images in pixels; one pixel is about 4 mm on the table, so that only a camera
            that is bumped often earns it.
        holdout: Share of the episodes kept for measuring the error.
    """

    steps: int = 800
    batch: int = 48
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    brightness: float = 0.15
    colour: float = 0.08
    shift: int = 0
    holdout: float = 0.05
