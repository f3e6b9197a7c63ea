"""What the settings measure with another task than theirs."""

from __future__ import annotations

import copy

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from commands.evaluate.conditions import PREDICATE, Conditions, conditions_of
from commands.outside_configs import OWN_TASKS, ROOT, choices
from commands.overrides import typed_keys
from factory.task import settle_task, task_of
from factory.twin import TwinSettings
from sim.tasks import Task
from trajectories.errors import ConfigError


def measured(config: DictConfig, name: str) -> tuple[Conditions, TwinSettings, Task]:
    """What the settings measure with the task of that name in the place of theirs: conditions, twin, task.

    Raises:
        ConfigError: There is no such task, or none with a scene in the twin.
    """
    if name not in choices(OWN_TASKS):
        raise ConfigError(f"evaluate.tasks has {name!r}, expected tasks: {', '.join(choices(OWN_TASKS))}.")
    settings = copy.deepcopy(config)
    if name != str(config.task.name):
        typed = sorted(key for key in typed_keys() if key.startswith("task."))
        if typed:
            raise ConfigError(
                f"{', '.join(typed)} is for {config.task.name}, and evaluate.tasks has {name}, too: measure tasks "
                "whose settings are changed one by one."
            )
        settings.run_dir, settings.task = str(config.run_dir), _group(name)
        settle_task(settings)
    return conditions_of(settings, PREDICATE), TwinSettings.from_config(settings), task_of(settings)


def _group(name: str) -> DictConfig:
    """What `task=NAME` brings."""
    if GlobalHydra.instance().is_initialized():
        return OmegaConf.create(compose(overrides=[f"+task={name}"]).task)
    with initialize_config_module(ROOT, version_base="1.3"):
        return OmegaConf.create(compose(overrides=[f"+task={name}"]).task)
