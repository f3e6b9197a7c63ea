"""The kinds of reward model."""

from __future__ import annotations

from rewards.generative.kind import NAME as ASKING
from rewards.generative.kind import GenerativeKind
from rewards.kind import RewardKind
from rewards.rivals.goal_pictures import GoalPicturesKind
from rewards.rivals.perceptual import PerceptualKind
from rewards.rivals.preferences import PreferencesKind
from rewards.rivals.vice import ViceKind
from rewards.vlm_kind import VlmKind
from trajectories.registry import Registry

CLASSIFIER = "classifier"
"""The kind of settings and folders that don't name theirs."""

KINDS: Registry[RewardKind] = Registry(
    "regrasp.rewards",
    "kind of reward model",
    {
        CLASSIFIER: VlmKind(),
        "goal_pictures": GoalPicturesKind(),
        "vice": ViceKind(),
        "preferences": PreferencesKind(),
        "perceptual": PerceptualKind(),
        ASKING: GenerativeKind(),
    },
)
"""`reward.kind` -> the kind. Packages add to it by the entry point `regrasp.rewards`."""
