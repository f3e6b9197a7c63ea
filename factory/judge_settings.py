"""Settings of how a judge is trained, held against those that the run's judge was trained with.

A session uses its judge as it is, so that such a setting does nothing there: one that a person typed is refused. So is
a judge on the arm whose backbone knows the twin alone, unless a person typed that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from factory.judges import judge_in_use
from factory.reward import judges_through_backbone, kind_name, reward_kind, reward_settings
from factory.spec import spec_of
from trajectories.errors import CheckpointError, ConfigError

REPORT = "training.json"
"""What every kind of the project writes beside its reward model, with its settings under "config"."""


def require_trained_like(config: DictConfig, typed: Collection[str], notify: Callable[[str], None]) -> None:
    """Refuse typed settings of a judge's training that the run's judge was not trained with.

    Where the session trains its judge anew (`reward.retrain_every`) they count from the next one on, which is said, as
    it is of settings that nobody typed.

    Args:
        config: Settings.
        typed: Keys that a person gave, such as "reward.window".
        notify: Gets a line for a person.

    Raises:
        ConfigError: Naming what differs, with both values and what to do.
        CheckpointError: The note of how it was trained is damaged.
    """
    found = list(_differences(config))
    if config.reward.get("retrain_every"):
        for name, then, now in found:
            notify(
                f"The run's judge was trained with reward.{name}={_shown(then)}; those that this session trains "
                f"(reward.retrain_every) will have {_shown(now)}."
            )
        return
    keys = {*typed, "reward.cameras"} if "reward.camera" in typed else set(typed)
    wrong = [(name, then, now) for name, then, now in found if f"reward.{name}" in keys]
    if wrong:
        name, then, now = wrong[0]
        others = "".join(f", reward.{other}={_shown(value)}" for other, value, _ in wrong[1:])
        raise ConfigError(
            f"reward.{name}={_shown(now)} would do nothing: the judge in {judge_in_use(Path(config.run_dir))} was "
            f"trained with reward.{name}={_shown(then)}{others}, and it is used as it is. Leave the setting out, or "
            f"train another judge with it (`regrasp train-reward reward.{name}={_shown(now)}`)."
        )


def require_backbone_of_arm(config: DictConfig, typed: Collection[str]) -> None:
    """Refuse to look through the arm's cameras with the backbone of the twin where its name was not typed.

    Args:
        config: Settings.
        typed: Keys that a person gave. `reward=embedded` names that backbone by itself.

    Raises:
        ConfigError: With the settings to give.
    """
    from rewards.weight_files import EMBEDDED

    if config.robot.name != "widowx" or not config.reward.get("kind") or "reward.backbone" in typed:
        return
    if (config.reward.get("backbone") or EMBEDDED) == EMBEDDED and judges_through_backbone(config):
        raise ConfigError(
            f"The judge {kind_name(config)} would look through reward.backbone=embedded, which knows the twin's "
            "renders alone, and robot=widowx has real cameras. Give reward.backbone=ViT-B-32 "
            "reward.pretrained=laion2b_s34b_b79k reward.device=auto to this and to every other verb of the run "
            "(or reward.backbone=embedded, if that is what you mean)."
        )


_UNTIL_NOTED = {"window": 0, "unsure_rate": 0.0, "unsure_margin": 0.0}
"""What judges of versions did that knew these settings not yet and so didn't note them."""


def _differences(config: DictConfig) -> Iterator[tuple[str, Any, Any]]:
    """Name, value then and value now of every setting of the training that differs; none where nothing is known."""
    path = judge_in_use(Path(config.run_dir)) / REPORT
    if not path.is_file():
        return
    kind, spec = reward_kind(config), spec_of(config)
    now = kind.training_settings(reward_settings(config), spec)
    try:
        stored = dict(json.loads(path.read_text(encoding="utf-8"))["config"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged: {error!r}. Run `regrasp train-reward` again.") from error
    then = {**kind.training_settings({}, spec), **_UNTIL_NOTED, **stored}
    for name, value in json.loads(json.dumps(now)).items():
        if name in then and json.loads(json.dumps(then[name])) != value:
            yield name, then[name], value


def _shown(value: Any) -> str:
    """As one types it."""
    return f"[{','.join(map(str, value))}]" if isinstance(value, list | tuple) else json.dumps(value).strip('"')
