"""The backbone of the policy's instructions, and the reward model that the settings name: train it, load it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from factory.judges import judge_in_use, keep_trained
from factory.run_folders import pretrained_folder
from factory.spec import plain, spec_of
from factory.task import ends_open, instructions_of
from trajectories.durable import replace_file
from trajectories.errors import CheckpointError
from trajectories.types import Episode, RobotSpec

if TYPE_CHECKING:
    from rewards.backbone import Backbone
    from rewards.kind import LoadedReward, RewardKind

KIND_FILE = "kind.json"
"""Beside a reward model: which kind it is. A folder without it holds a success classifier."""
_READ_FILE = "instructions.json"
"""Beside a policy: by which rules its instructions were read."""

_NOT_OF_THE_KIND = ("kind", "retrain_every")
"""Keys of the group that no kind gets."""


def backbone_of(config: DictConfig) -> Backbone:
    """The vision-language model of `config.reward`, the shipped one where it names none, on the CPU: for texts."""
    from rewards.vlm_kind import backbone_from

    return backbone_from(plain(config.reward), "cpu")


def require_readable_task(config: DictConfig, backbone: Backbone | None = None) -> None:
    """Refuse instructions of the settings' task that the policy's text tower can't read, see `rewards.readable`.

    The tower is not loaded for those that the run's policy was pre-trained on: they have been read.

    Args:
        config: Settings.
        backbone: Theirs, where it is loaded already.

    Raises:
        ConfigError: When it can't; says what to do.
        MissingDependencyError: When the tower's weights are not on this machine.
    """
    if backbone is None and _pretrained_on_them(config):
        return
    from rewards.readable import require_readable

    task = str(config.task.name)
    require_readable(
        backbone or backbone_of(config), {(task, way): texts for way, texts in instructions_of(config).items()}
    )


def _pretrained_on_them(config: DictConfig) -> bool:
    """Whether pre-training of the run's policy had the task's instructions, all of them, and the same text tower."""
    from policies.common.tensor_file import read_header
    from policies.learner.pretrain import policy_checkpoint
    from rewards.readable import RULES
    from rewards.vlm_kind import weights_from

    if _rules_read_by(pretrained_folder(config)) != RULES:
        return False
    checkpoint = policy_checkpoint(pretrained_folder(config))
    header = None if checkpoint is None else read_header(checkpoint)
    if header is None:
        return False
    now = {
        "task": str(config.task.name),
        "wordings": {way: list(texts) for way, texts in instructions_of(config).items()},
        "text": weights_from(plain(config.reward)).digest,
    }
    return all(header["identity"].get(name) == value for name, value in now.items())


def note_read(folder: Path) -> None:
    """Write down beside a policy by which rules its instructions were read, see `rewards.readable`.

    Raises:
        OSError: The disk refuses.
    """
    from rewards.readable import RULES

    replace_file(folder / _READ_FILE, json.dumps({"rules": RULES}).encode())


def _rules_read_by(folder: Path) -> int | None:
    """The number that `note_read` wrote; None without one that can be read."""
    try:
        return int(json.loads((folder / _READ_FILE).read_bytes())["rules"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def kind_name(config: DictConfig) -> str:
    """The kind of reward model that the settings name; that of the classifier where they name none."""
    from rewards.registry import CLASSIFIER

    return str(config.reward.get("kind") or CLASSIFIER)


def reward_kind(config: DictConfig) -> RewardKind:
    """The kind of reward model that `reward.kind` names.

    Raises:
        ConfigError: For an unknown kind, with those that there are.
    """
    from rewards.registry import KINDS

    return KINDS[kind_name(config)]


def judges_through_backbone(config: DictConfig) -> bool:
    """Whether the settings name a reward model of the project that looks at every frame through its backbone."""
    from rewards.registry import KINDS

    return kind_name(config) in KINDS.own and not asks_a_model(config)


def asks_a_model(config: DictConfig) -> bool:
    """Whether the settings name a generative model at an address as the judge."""
    from rewards.registry import ASKING

    return kind_name(config) == ASKING


def train_reward_model(
    config: DictConfig,
    episodes: Iterable[Episode],
    spec: RobotSpec,
    progress: Callable[[str, float], None],
    into: Path | None = None,
) -> str:
    """Train the reward model of the settings; returns what to tell the person.

    Args:
        config: Settings.
        episodes: What it learns from, read once.
        spec: The robot that recorded them.
        progress: Called with the name of the stage and the share of the whole that is done.
        into: Folder that it goes to; None for the run's own, whose reward model it is from then on. The one before
            stays as it was until the new one is whole.

    Raises:
        ConfigError: For a wrong setting, when the episodes don't suffice, or while another process trains one.
    """
    kind, settings = reward_kind(config), reward_settings(config)
    task, instructions = str(config.task.name), instructions_of(config)

    def train(folder: Path) -> str:
        said = kind.train(episodes, task, instructions, spec, settings, folder, progress)
        replace_file(folder / KIND_FILE, json.dumps({"kind": kind_name(config)}).encode() + b"\n")
        return said

    if into is None:
        return keep_trained(Path(config.run_dir), train)
    into.mkdir(parents=True, exist_ok=True)
    return train(into)


def reward_of(config: DictConfig, spec: RobotSpec, folder: Path | None = None) -> LoadedReward:
    """The run's reward model: the one that `train-reward` left, or what a session has put in its place since.

    Args:
        config: Settings.
        spec: The robot at hand.
        folder: Of another one.

    Raises:
        CheckpointError: When there is none, when it is damaged, or when the settings name another kind than its own.
        SpecMismatchError: When it was trained for another robot.
    """
    folder = judge_in_use(Path(config.run_dir)) if folder is None else folder
    if not folder.is_dir():
        raise CheckpointError(f"There is no reward model in {folder}. Run `regrasp train-reward` first.")
    stored, named = _stored_kind(folder), kind_name(config)
    if stored != named:
        raise CheckpointError(
            f"The reward model in {folder} is of kind {stored!r}, but the settings name {named!r}. Give the same "
            "reward=... as for `regrasp train-reward`, or run that again."
        )
    return reward_kind(config).load(folder, spec, reward_settings(config))


def informed_reward(config: DictConfig, folder: Path | None = None) -> LoadedReward:
    """`reward_of`, after it has heard every instruction that a session may ask it about; errors as there.

    Raises:
        ConfigError: It does not know one of them.
    """
    reward = reward_of(config, spec_of(config), folder)
    for texts in instructions_of(config).values():
        for text in texts:
            reward.reset(text)
    return reward


def decision_of(config: DictConfig) -> tuple[float, int]:
    """The threshold of the run's judge and the frames in a row that must reach it.

    Of a reward model that doesn't say, or on a machine without it: 0.5, and the `reward.frames` of the settings.
    """
    from rewards.files import stored_decision

    known = stored_decision(judge_in_use(Path(config.run_dir)))
    return known or (0.5, int(config.reward.get("frames") or 1))


def _stored_kind(folder: Path) -> str:
    from rewards.registry import CLASSIFIER

    path = folder / KIND_FILE
    if not path.is_file():
        return CLASSIFIER
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["kind"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}. Run `regrasp train-reward` again.") from error


def reward_settings(config: DictConfig) -> dict[str, Any]:
    """The settings of the group `reward` but `kind`, as plain types, with what the task says of its end."""
    from rewards.registry import KINDS

    given = {key: value for key, value in plain(config.reward).items() if key not in _NOT_OF_THE_KIND}
    if not ends_open(config) and kind_name(config) in KINDS.own:
        given["require_open_gripper"] = False  # what the task says goes before the setting for all tasks
    return given
