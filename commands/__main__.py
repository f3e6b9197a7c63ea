"""The `regrasp` command: `regrasp VERB [key=value ...]`, every VERB a Hydra application of its own."""

from __future__ import annotations

import difflib
import importlib
import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from commands.broken_pipe import quiet_when_unread
from commands.outside_configs import ROOT, add_outside_configs, choices
from commands.overrides import added_folders, prints_only, require_readable, typed_keys, words_named
from commands.seeds import require_seeds
from commands.settings.addresses import require_folders
from commands.settings.kinds import require_typed
from commands.settings.known import require_known_settings
from commands.settings.listing import default_groups, no_such_setting, read_settings, setting_of_other_judges
from commands.settings.schemas import device_settings
from commands.several import one_speaks, require_one_process
from commands.standard_streams import lasting_streams
from commands.verbs import ELSEWHERE, VERBS, Verb, verb_word
from drivers.parent_link import die_with_parent
from factory.task import settle_task
from robot.signals import interrupt_once, on_signals
from trajectories.errors import RegraspError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from hydra.conf import OverridesConf
    from omegaconf import DictConfig

USAGE = """regrasp: a pre-trained manipulation policy, made good at your task, by itself

usage: regrasp VERB [key=value ...]      settings of a verb: regrasp VERB --help

{verbs}

Start with:  regrasp demo                            the whole path in the twin, with a report at the end
Then:        regrasp evaluate evaluate.episodes=100  one setting changed
             regrasp demo task=bin_weight            another task
"""
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
ENVIRONMENT = {
    "MUJOCO_GL": "egl",
    "OMP_WAIT_POLICY": "PASSIVE",  # idle threads of torch sleep; spinning, two of them halt each other on a busy core
    "TORCHINDUCTOR_CACHE_DIR": str(_CACHE / "regrasp" / "compiled"),
}
"""For this process and those that it starts, before the libraries that read them load; what is set already stays."""
_RAISE = "HYDRA_FULL_ERROR"
"""Set while settings are composed: Hydra then raises its errors instead of printing them."""


def usage() -> str:
    """The text of `regrasp --help`."""
    width = max(len(name) for name in VERBS)
    return USAGE.format(verbs="\n".join(f"  {name:{width}}  {verb.summary}" for name, verb in VERBS.items()))


def verb_of(arguments: list[str]) -> tuple[str, list[str]]:
    """The verb's name and the arguments that are left: one word, two (`bench data`), or one with an environment.

    `pretrain`, `finetune` and `evaluate` with `env=ID` among their settings mean that environment instead of the robot.
    """
    two = " ".join(arguments[:2])
    if two in VERBS:
        return two, arguments[2:]
    name, rest = arguments[0], arguments[1:]
    elsewhere = name + ELSEWHERE
    if elsewhere in VERBS and any(argument.startswith("env=") for argument in rest):
        return elsewhere, rest
    return name, rest


def verb_help(name: str) -> str:
    """The text of `regrasp VERB --help`: what it does, every setting that it reads, the groups' choices."""
    verb = VERBS[name]
    lines = []
    for setting in read_settings(verb):
        about = "; ".join(part for part in (setting.kind, setting.meaning) if part)
        lines.append(f"  {f'{setting.key}={setting.default}':44}  {about}".rstrip())
    groups = [
        f"  {group + '=' + '|'.join(choices(group, verb.config_module)):42} {about}"
        for group, about in default_groups(verb)
    ]
    return (
        f"regrasp {name}: {verb.summary}\n\n{verb.details}\n\n"
        f"Settings and their defaults (change one with key=value, e.g. `regrasp {verb_word(name)} {verb.example}`):\n\n"
        + "\n".join(lines)
        + ("\n\nGroups of further settings, each a file in configs/:\n\n" if groups else "")
        + "\n".join(groups)
        + f"\n\n`regrasp {name} --cfg job` prints every setting as it would be used.\n"
    )


def not_composed(name: str, error: Exception, arguments: Sequence[str] = ()) -> str:
    """Why the settings of a verb, as typed, don't fit together, with the keys that may have been meant."""
    text = "\n".join(str(one) for one in (error, error.__cause__) if one is not None)
    unknown = re.search(r"Could not override '([^']+)'", text)
    if unknown is None:
        return text
    key = unknown[1].lstrip("+~")
    inside = re.search(r"full_key: (\S+)", text)
    if inside is not None and inside[1].startswith(f"{key}."):
        return f"{inside[1]} is in none of the files, so it has to be added, with a plus: +{inside[1]}=value."
    elsewhere = setting_of_other_judges(key, arguments)
    if elsewhere is not None:
        return elsewhere
    verb = VERBS[name]
    optional = [*read_settings(verb), *(device_settings() if verb.config_module == ROOT else ())]
    if key in {setting.key.lstrip("+") for setting in optional}:
        return f"{key} is in none of the files, so it has to be added, with a plus: +{key}=value."
    return no_such_setting(name, key)


def fail(message: str) -> NoReturn:
    """Print an error for a person, of several processes with the number of this one, and leave with status 2."""
    rank = os.environ.get("RANK")
    print(f"regrasp: {message}" if rank is None else f"regrasp, rank {rank}: {message}", file=sys.stderr)
    sys.exit(2)


def stopped(verb: Verb) -> NoReturn:
    """Say how a verb that a person stopped goes on, and leave with status 130."""
    print(f"\nregrasp: stopped. {verb.resume}", file=sys.stderr)
    sys.exit(130)


def main() -> None:
    """Entry point of the `regrasp` command."""
    with lasting_streams(), quiet_when_unread():
        _main(sys.argv[1:])


def _main(arguments: list[str]) -> None:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return
    name, rest = verb_of(arguments)
    if name not in VERBS:
        words = [verb for verb in VERBS if verb.startswith(f"{name} ")]
        if words:
            fail(f"{name} what? The verbs are: {', '.join(words)}.")
        close = difflib.get_close_matches(name, VERBS, n=1)
        hint = f"; did you mean `{close[0]}`?" if close else ""
        fail(f"there is no verb {name!r}{hint} The verbs are: {', '.join(VERBS)}.")
    try:
        if "-h" in rest or "--help" in rest:
            print(verb_help(name))
            return
        rest = words_named(VERBS[name].words, rest)
        require_readable(verb_word(name), rest)
        require_one_process(name)
        with one_speaks():
            _run(name, rest)
    except RegraspError as error:
        fail(str(error))


def _run(name: str, rest: list[str]) -> None:
    """Compose the settings of a verb and run it.

    Raises:
        RegraspError: Settings of packages outside can't be found. What the verb itself raises is said here.
    """
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    OmegaConf.register_new_resolver("cores", lambda: max(1, len(os.sched_getaffinity(0))), replace=True)
    if prints_only(rest):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Hydra prints, and nothing is at work that a signal might hurt
    verb = VERBS[name]
    sys.argv = [f"regrasp {verb_word(name)}", *rest]
    if verb.config_module == ROOT:  # elsewhere `method` is a plain key, which a group of that name would hide
        add_outside_configs()

    whole, here = os.environ.get(_RAISE), os.getpid()

    def task(config: DictConfig) -> None:
        if os.getppid() == here:  # of a sweep on this machine, which ends with its command
            die_with_parent(here)
        if whole is None:
            os.environ.pop(_RAISE, None)
        if not config.progress:
            os.environ["TQDM_DISABLE"] = "1"  # read when tqdm is first imported, with the verb's module
        if not sys.stderr.isatty():
            os.environ.setdefault("TQDM_MININTERVAL", "10")  # a log file needs no moving bar
        try:
            with on_signals(interrupt_once(), signal.SIGTERM, signal.SIGHUP), quiet_when_unread():
                asked = HydraConfig.get()
                groups = {group.partition("@")[0] for group in asked.runtime.choices}
                require_known_settings(name, config, asked.overrides.task, groups, added_folders())
                require_folders(name, config)
                require_seeds(config)  # quiet: Hydra would print a traceback
                if verb.config_module == ROOT:
                    _require_typed(config, verb, asked.overrides, groups)
                    settle_task(config)
                    from factory.judge_settings import require_backbone_of_arm  # loads what only a verb needs

                    require_backbone_of_arm(config, typed_keys())
                importlib.import_module(verb.module).run(config)
        except RegraspError as error:
            if HydraConfig.get().mode is RunMode.MULTIRUN:  # the sweep goes on, and brings the first error to its end
                raise
            fail(str(error))
        except OSError as error:
            if error.filename is None or os.environ.get("HYDRA_FULL_ERROR"):
                raise
            fail(f"{error.filename!r}: {error.strerror}. HYDRA_FULL_ERROR=1 before the command shows where.")
        except KeyboardInterrupt:
            stopped(verb)
        finally:
            os.environ[_RAISE] = "1"  # of a sweep in this process, whose errors Hydra raises at its end

    os.environ[_RAISE] = "1"
    _start(name, rest, task)


def _start(name: str, rest: list[str], task: Callable[[DictConfig], None]) -> None:
    """Hand a verb's work to Hydra, which composes the settings or sweeps over them."""
    import hydra
    from hydra.errors import HydraException

    verb = VERBS[name]
    start = hydra.main(version_base="1.3", config_path=f"pkg://{verb.config_module}", config_name=verb.config_name)
    try:
        with on_signals(interrupt_once(), signal.SIGTERM, signal.SIGHUP):  # a sweep's processes end as by Ctrl-C
            start(task)()
    except HydraException as error:
        fail(not_composed(name, error, rest))
    except KeyboardInterrupt:  # while the processes of a sweep's launcher were at work
        stopped(verb)


def _require_typed(config: DictConfig, verb: Verb, overrides: OverridesConf, groups: Collection[str]) -> None:
    """Refuse typed settings that are of another kind than their defaults.

    Raises:
        ConfigError: With the key.
    """
    from hydra import compose

    chosen = [one for one in overrides.task if one.partition("=")[0].lstrip("+~").partition("@")[0] in groups]
    typed = [one for one in overrides.task if one not in chosen]
    if typed:
        base = compose(verb.config_name, [*overrides.hydra, *chosen])
        require_typed(config, typed, groups, base, verb)


if __name__ == "__main__":
    main()
