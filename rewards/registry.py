"""The kinds of reward model."""

from __future__ import annotations

from rewards.kind import RewardKind
from rewards.vlm_kind import VlmKind
from trajectories.registry import Registry

CLASSIFIER = "classifier"
"""The kind of settings and folders that don't name theirs."""

KINDS: Registry[RewardKind] = Registry("regrasp.rewards", "kind of reward model", {CLASSIFIER: VlmKind()})
"""`reward.kind` -> the kind. Packages add to it by the entry point `regrasp.rewards`."""
