"""The `regrasp` command: `regrasp VERB [key=value ...]`, every VERB a Hydra application of its own."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from importlib.resources import files
from typing import NoReturn

from commands.verbs import VERBS
from trajectories.errors import RegraspError

USAGE = """regrasp: a pre-trained manipulation policy, made good at your task, by itself

usage: regrasp VERB [key=value ...]      settings of a verb: regrasp VERB --help

{verbs}

Start with:  regrasp demo                            the whole path in the twin, with a report at the end
Then:        regrasp evaluate evaluate.episodes=100  one setting changed
             regrasp demo task=bin_weight            another task
"""


def usage() -> str:
    """The text of `regrasp --help`."""
    width = max(len(name) for name in VERBS)
    return USAGE.format(verbs="\n".join(f"  {name:{width}}  {verb.summary}" for name, verb in VERBS.items()))


def verb_help(name: str) -> str:
    """The text of `regrasp VERB --help`: what it does, its settings with their comments, the groups' choices."""
    verb = VERBS[name]
    root = files("configs")
    own, shared = ((root / f"{file}.yaml").read_text() for file in (verb.config, "base"))
    settings = [text.split("# --- machinery", 1)[0].split("  - _self_", 1)[1].strip() for text in (own, shared)]
    groups = []
    for line in "".join(text.split("  - _self_", 1)[0] for text in (shared, own)).splitlines():
        if line.startswith("  - ") and ":" in line:
            group, _, rest = line.removeprefix("  - ").removeprefix("override ").partition(":")
            names = sorted(p.name.removesuffix(".yaml") for p in (root / group).iterdir() if p.name.endswith(".yaml"))
            groups.append(f"  {group + '=' + '|'.join(names):42} {rest.partition('#')[2].strip()}")
    return (
        f"regrasp {name}: {verb.summary}\n\n{verb.details}\n\n"
        f"Settings and their defaults (change one with key=value, e.g. `regrasp {name} {verb.example}`):\n\n"
        + "\n\n".join(text for text in settings if text)
        + "\n\nGroups of further settings, each a file in configs/:\n\n"
        + "\n".join(groups)
        + f"\n\n`regrasp {name} --cfg job` prints every setting as it would be used.\n"
    )


def fail(message: str) -> NoReturn:
    """Print an error for a person and leave with status 2."""
    print(f"regrasp: {message}", file=sys.stderr)
    sys.exit(2)


def main() -> None:
    """Entry point of the `regrasp` command."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return
    name, rest = arguments[0], arguments[1:]
    if name not in VERBS:
        close = difflib.get_close_matches(name, VERBS, n=1)
        hint = f"; did you mean `{close[0]}`?" if close else ""
        fail(f"there is no verb {name!r}{hint} The verbs are: {', '.join(VERBS)}.")
    if "-h" in rest or "--help" in rest:
        print(verb_help(name))
        return
    os.environ.setdefault("MUJOCO_GL", "egl")
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # idle threads of torch soon leave the core to others
    import hydra
    from omegaconf import DictConfig, OmegaConf

    OmegaConf.register_new_resolver("cores", lambda: max(1, len(os.sched_getaffinity(0))), replace=True)
    verb = VERBS[name]
    sys.argv = [f"regrasp {name}", *rest]

    def task(config: DictConfig) -> None:
        if not config.progress:
            os.environ["TQDM_DISABLE"] = "1"  # read when tqdm is first imported, with the verb's module
        if not sys.stderr.isatty():
            os.environ.setdefault("TQDM_MININTERVAL", "10")  # a log file needs no moving bar
        try:
            importlib.import_module(verb.module).run(config)
        except RegraspError as error:
            fail(str(error))
        except KeyboardInterrupt:
            print(f"\nregrasp: stopped. {verb.resume}", file=sys.stderr)
            sys.exit(130)

    hydra.main(version_base="1.3", config_path="pkg://configs", config_name=verb.config)(task)()


if __name__ == "__main__":
    main()
