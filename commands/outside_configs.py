"""Let Hydra find the YAML files of packages outside: `task=theirs`, `reward=theirs`, `robot=theirs`, `method=theirs`.

A package names its folder of YAML files, which has the groups of `configs/` as folders, by one entry point::

    [project.entry-points."regrasp.configs"]
    my_package = "my_package.configs"

A person's own tasks (`regrasp new-task`) are YAML files in the folder `task` of the working folder; every verb that is
started there finds them, and so do the processes that a verb starts.
"""

from __future__ import annotations

import importlib.metadata
import importlib.resources
from collections import defaultdict
from functools import lru_cache
from importlib.resources.abc import Traversable
from pathlib import Path

from trajectories.errors import ConfigError

ENTRY_POINTS = "regrasp.configs"
ROOT = "configs"
"""The package of our own YAML files."""
OWN_TASKS = "task"
"""Folder of a person's own tasks, in the working folder; the name of their group."""
WORKING_FOLDER = "working-folder"
"""What Hydra calls the working folder as a source of YAML files."""


def config_modules() -> list[str]:
    """Dotted names of the folders, sorted."""
    return sorted({point.value for point in importlib.metadata.entry_points(group=ENTRY_POINTS)})


def choices(group: str, module: str = ROOT) -> list[str]:
    """Names that a group can be set to, the project's own and those of packages, sorted.

    Args:
        group: Its name.
        module: Package of the verb's YAML files; one beside `ROOT` has groups of its own, which packages don't add to.

    Raises:
        ConfigError: When a package's folder can't be found, or one name comes from two places.
    """
    if module != ROOT:
        return sorted(_yaml_names(_folder(module) / group))
    return sorted(_with_yaml(group) | (_methods_outside() if group == "method" else set()))


def _with_yaml(group: str) -> set[str]:
    found: dict[str, list[str]] = defaultdict(list)
    for module in [ROOT, *config_modules()]:
        for name in _yaml_names(_folder(module) / group):
            found[name].append(module)
    if group == OWN_TASKS:
        for name in own_tasks():
            found[name].append(str(Path(OWN_TASKS, f"{name}.yaml")))
    for name, modules in found.items():
        if len(modules) > 1:
            raise ConfigError(
                f"{group}={name} is in {' and in '.join(modules)}; Regrasp, the packages installed beside it and your "
                "own files must give different names. Rename or uninstall one of them."
            )
    return set(found)


def add_outside_configs() -> None:
    """Make Hydra search the packages' folders after our own, in this process; calling it again is harmless.

    A method of the registry `regrasp.methods` that comes without a YAML gets the settings that the published ones share
    (`configs/published/arm.yaml`).

    Raises:
        ConfigError: As of `choices`.
    """
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins

    modules = config_modules()
    if modules or own_tasks():
        groups = {folder.name for module in modules for folder in _folder(module).iterdir() if folder.is_dir()}
        for group in {*groups, OWN_TASKS}:
            _with_yaml(group)
        Plugins.instance().register(_search_path_plugin())
    for name in _methods_outside() - _with_yaml("method"):
        node = {"defaults": ["/published/arm@_here_", "_self_"], "name": name, "registry": name}
        ConfigStore.instance().store(name=name, node=node, group="method")


def own_tasks() -> list[str]:
    """Names of the tasks that lie in the working folder, sorted."""
    return sorted(_yaml_names(Path.cwd() / OWN_TASKS))


def _methods_outside() -> set[str]:
    return set(importlib.metadata.entry_points(group="regrasp.methods").names)


@lru_cache
def _search_path_plugin() -> type:
    from hydra.core.config_search_path import ConfigSearchPath
    from hydra.plugins.search_path_plugin import SearchPathPlugin

    class OutsideConfigs(SearchPathPlugin):
        """Appends the packages' folders, and the working folder where it has tasks."""

        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            """Append them."""
            for module in config_modules():
                search_path.append(ENTRY_POINTS, f"pkg://{module}")
            if own_tasks():
                search_path.append(WORKING_FOLDER, f"file://{Path.cwd()}")

    return OutsideConfigs


def _folder(module: str) -> Traversable:
    try:
        return importlib.resources.files(module)
    except Exception as error:  # whatever a package does when it is imported
        raise ConfigError(
            f"The entry point group {ENTRY_POINTS!r} names the folder {module!r}, which can't be found "
            f"({type(error).__name__}: {error}). It must be a package with YAML files and an __init__.py. Mend or "
            "uninstall what brings it."
        ) from error


def _yaml_names(folder: Traversable) -> list[str]:
    if not folder.is_dir():
        return []
    return [file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")]
