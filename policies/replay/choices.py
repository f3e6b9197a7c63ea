"""What settings choose of replays: which episodes, where they lie, where a person's steps are drawn. Without torch.

Settings are checked before anything is loaded, by verbs that never load it, too.
"""

from __future__ import annotations

from typing import Literal, get_args

from trajectories.errors import ConfigError

Kept = Literal["target", "successes", "all"]
"""Which offline episodes a method keeps, see `policies.replay.dataset.kept_offline`."""
Keep = Literal["auto", "cpu", "cuda"]
"""Where frames and transitions lie, see `policies.replay.replay_settings.ReplaySettings`."""
Corrections = Literal["online", "both"]
"""Which half of a batch the steps of a person who took over are drawn in, see `MixedReplay`."""


def require_keep(keep: str) -> None:
    """Refuse an unknown place.

    Raises:
        ConfigError: With those there are.
    """
    if keep not in get_args(Keep):
        raise ConfigError(f"replay.device={keep} is unknown; expected one of {', '.join(get_args(Keep))}.")


def require_place(corrections: Corrections, offline_ratio: float) -> None:
    """Refuse a place of corrections that doesn't exist.

    Raises:
        ConfigError: It is unknown, or in an offline part that batches don't have.
    """
    if corrections not in get_args(Corrections):
        raise ConfigError(
            f"corrections={corrections!r} is unknown; expected one of {', '.join(get_args(Corrections))}."
        )
    if corrections == "both" and offline_ratio == 0:
        raise ConfigError(
            "corrections=both puts a person's steps beside the demonstrations, and this method's batches have no "
            "demonstrations' part (retention 0). Give corrections=online with a person_weight above 1, or a method "
            "that keeps offline data, such as method=rlpd, robofume or retention."
        )
