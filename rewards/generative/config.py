"""Settings of a generative vision-language model as a judge."""

from __future__ import annotations

from dataclasses import dataclass

from rewards.config import DecisionConfig
from trajectories.errors import ConfigError

PROMPT = (
    "These are {count} pictures from the end of a robot's attempt, in order of time; the last one shows how it ended. "
    'The robot was told: "{instruction}". Is that done in the last picture? Answer with one word: yes or no.'
)
PAIR_PROMPT = (
    'The robot was told: "{instruction}". Is that better achieved in picture 1 or in picture 2? Answer with one digit: '
    "1 or 2, or 0 if there is no difference or it is unclear."
)


@dataclass(frozen=True)
class ChatConfig:
    """Where the model is, and how it is asked.

    Attributes:
        address: Of the server's API, up to and with its version, such as http://127.0.0.1:8000/v1.
        model: Name of the model there.
        key_env: Environment variable that holds the key; None for a server without one.
        timeout_s: Longest time for one answer, s.
        retries: Further attempts after one that failed: a time-out, no connection, status 429 or 5xx, an answer that is
            none.
        backoff_s: Pause before the first of them, s; each further one is twice as long, 60 s at most. A server's
            Retry-After goes before it.
        max_tokens: Longest answer, tokens.
        top_logprobs: Tokens whose probabilities are asked for at each place; 0 where the server gives none.
        side: Longer side of the pictures that are sent, pixels; larger ones are shrunk.
        quality: Of their JPEG, 1 ... 95.
    """

    address: str = "http://127.0.0.1:8000/v1"
    model: str = ""
    key_env: str | None = None
    timeout_s: float = 60.0
    retries: int = 4
    backoff_s: float = 1.0
    max_tokens: int = 16
    top_logprobs: int = 20
    side: int = 448
    quality: int = 90

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: Naming the setting.
        """
        if not self.address.startswith(("http://", "https://")):
            raise ConfigError(f"reward.address={self.address!r} is no http:// or https:// address.")
        for name in ("timeout_s", "max_tokens", "side"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"reward.{name} must be above 0, got {getattr(self, name)}.")
        for name in ("retries", "backoff_s", "top_logprobs"):
            if getattr(self, name) < 0:
                raise ConfigError(f"reward.{name} must not be negative, got {getattr(self, name)}.")
        if not 1 <= self.quality <= 95:
            raise ConfigError(f"reward.quality must be 1 ... 95, got {self.quality}.")


@dataclass(frozen=True)
class GenerativeConfig(ChatConfig):
    """How the end of an episode is shown, and how the answers become decisions.

    Attributes:
        camera: Camera that it looks through.
        prompt: The question; {instruction} and {count} stand for the instruction and the number of pictures.
        pair_prompt: The question about two pictures (`regrasp label pairs=N`), with {instruction} in it.
        shown: Pictures of the end of an episode.
        stride: Control steps between two of them.
        require_open_gripper: An episode that ends with the gripper commanded closed is not done, and nobody is asked.
        false_positive_rate: Stated share of episodes without success that may be called done.
        least_recall: Share of held-out successes that the threshold is lowered for, even if the rate above suffers.
        least_probability: The threshold is never lower than this, even if recall suffers.
        folds: Parts that the episodes are split into to try calibration and threshold.
    """

    camera: str = "front"
    prompt: str = PROMPT
    pair_prompt: str = PAIR_PROMPT
    shown: int = 4
    stride: int = 3
    require_open_gripper: bool = True
    false_positive_rate: float = 0.02
    least_recall: float = 0.9
    least_probability: float = 0.6
    folds: int = 4

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: Naming the setting.
        """
        super().__post_init__()
        for name in ("prompt", "pair_prompt"):
            if "{instruction}" not in getattr(self, name):
                raise ConfigError(f"reward.{name} must have {{instruction}} in it, where the instruction goes.")
        for name in ("shown", "stride"):
            if getattr(self, name) < 1:
                raise ConfigError(f"reward.{name} must be at least 1, got {getattr(self, name)}.")
        self.decision()

    def decision(self) -> DecisionConfig:
        """The shared settings of a decision that takes one answer.

        Raises:
            ConfigError: Naming a setting that is out of range.
        """
        return DecisionConfig(
            camera=self.camera,
            frames=1,
            false_positive_rate=self.false_positive_rate,
            least_recall=self.least_recall,
            least_probability=self.least_probability,
            folds=self.folds,
            require_open_gripper=self.require_open_gripper,
        )

    def question(self, instruction: str, count: int) -> str:
        """The prompt for an instruction and a number of pictures."""
        return self.prompt.replace("{instruction}", instruction).replace("{count}", str(count))
