"""`regrasp new-task NAME`: the YAML of a person's own task, with every choice in it and what it means."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from omegaconf import DictConfig

from commands.outside_configs import OWN_TASKS, choices
from sim.scene.fixtures import FIXTURES
from sim.scene.objects import OBJECTS
from sim.tasks import TASKS
from sim.tasks.described import BESIDE, RELATIONS
from trajectories.durable import replace_file
from trajectories.errors import ConfigError

_NAME = re.compile(r"[a-z][a-z0-9_]*")

TASK = """\
# The task {name}, in words. Verbs that are started in the folder that holds task/ find it by its name; from
# elsewhere add --config-dir=FOLDER. What each line means is behind it; docs/own_task.md goes through a whole task.
name: {name}  # name of the task, in records and folders; keep it once something is recorded
{prior}  # tasks of the twin whose data `collect` records, too; they make a better beginning
max_steps: 40  # time limit of an episode, control steps at 5 Hz: 40 are 8 s
cameras: null  # list or null; which of the robot's cameras, the one that policy and judge see first; null: all it has
ends_open: true  # false: done may be with the gripper closed, as for pulling a drawer that it goes on holding
keeps_tool: false  # true: the arm goes home with its gripper closed around a tool, and starts with it
displace: 0.0  # number or auto; share of the session's episodes that set down what they hold where a demonstration
               # picked it up, so that it meets other starts than its own endings; auto: 0.4 in the twin, 0 on an arm

# What the robot is asked to do, and what undoes it: it does both in turn, so nobody has to put things back.
# Several wordings make the policy less picky; say what is where, in plain English.
instructions:
{instructions}
"""

WORDS = """\
  forward: []   # list; e.g. ["put the sponge into the bowl", "move the sponge to the bowl"]
  backward: []  # list; e.g. ["take the sponge out of the bowl", "move the sponge to the mat"]
"""

EXAMPLE = """\
  # In the twin a small model reads them, which knows these words alone (reward=clip, a download, knows more):
{words}
  forward: ["put the sponge in the bowl", "pick up the sponge and put it in the bowl"]  # list; one at least
  backward: ["put the sponge on the mat", "take the sponge that is in the bowl and set it on the mat"]  # list; likewise
"""

SCENE = """
# The scene to rehearse the task in, with robot=twin and robot=virtual; the arm never reads it. Places are in metres in
# front of the arm's base: x forward, y to its left; the arm reaches x {x[0]} to {x[1]} and y {y[0]} to {y[1]}.
scene:
  fixtures:  # what stays where it is, by names of your own. Kinds: {fixtures}
    mat: {{kind: pad, at: [0.28, 0.112]}}  # also yaw: (rad), scale: (0.5 to 1.5), colour: [red, green, blue], 0 to 1
    bowl: {{kind: bowl, at: [0.28, -0.112]}}
  objects:  # what can be picked up. Kinds: {objects}
    sponge: {{kind: sponge}}  # also colour:
  moves: sponge  # the object that the task moves
  skill: pick  # pick|push; how the scripted demonstrator of `collect` moves it
  # Where that object is at the end of each direction; the robot's left and right. One of:
  # {relations}, each with a name behind it
  forward: inside bowl
  backward: on top of mat
"""

NO_SCENE = """
# Without a scene the task is for the arm only. `regrasp new-task OTHER_NAME scene=true` shows how one is written.
scene: {}
"""


def run(config: DictConfig) -> None:
    """Write a YAML for every name.

    Raises:
        ConfigError: There is no name, one that can't be or that is taken, or a file is there already.
    """
    names, folder = [str(name) for name in config.names], Path(str(config.folder)).expanduser()
    if not names:
        raise ConfigError("The task needs a name: `regrasp new-task sponge_to_bowl`.")
    for name in names:
        _require_free(name, folder)
    for name in names:
        path = path_of(name, folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text_of(name, scene=bool(config.scene)).encode())
        print(_next_steps(name, path, folder, scene=bool(config.scene)))


def path_of(name: str, folder: Path) -> Path:
    """Where the YAML of a task lies."""
    return folder / OWN_TASKS / f"{name}.yaml"


def text_of(name: str, *, scene: bool) -> str:
    """The YAML; with `scene` it is a whole task, without one its instructions are left to be filled in."""
    lines = EXAMPLE.format(words=_known_words()) if scene else WORDS
    tasks = ", ".join(known for known in TASKS.own if TASKS[known].role == "prior") if scene else ""
    prior = textwrap.fill(f"prior: [{tasks}]", 100, subsequent_indent=" " * 8)
    begin = TASK.format(name=name, prior=prior, instructions=lines.rstrip())
    if not scene:
        return begin + NO_SCENE
    from sim.tasks.task import REACH_X, REACH_Y

    kinds = ", ".join(kind for kind in FIXTURES if kind != BESIDE)
    return begin + SCENE.format(
        x=REACH_X, y=REACH_Y, fixtures=kinds, objects=", ".join(OBJECTS), relations=", ".join(RELATIONS)
    )


def _known_words() -> str:
    """Lines of comments with the words of those of the twin's instructions that its text model has learned."""
    from rewards.backbone import load_backbone

    backbone = load_backbone()
    texts = [text for name in TASKS.own for words in TASKS[name].instructions.values() for text in words]
    read = [text for text in texts if not backbone.unread_words(text)]
    known = sorted({word for text in read for word in re.findall(r"[a-z]+", text.lower())})
    return textwrap.fill(" ".join(known), 118, initial_indent="  # ", subsequent_indent="  # ")


def _require_free(name: str, folder: Path) -> None:
    if _NAME.fullmatch(name) is None:
        raise ConfigError(
            f"{name!r} can't be the name of a task: it begins with a letter and has lower case letters, digits and _ "
            "only, such as sponge_to_bowl."
        )
    path = path_of(name, folder)
    if path.exists():
        raise ConfigError(f"{path} is there already and stays as it is: edit it, or choose another name.")
    taken = {*choices(OWN_TASKS), *TASKS}
    if name in taken:
        raise ConfigError(f"There is a task {name!r} already; choose another name than {', '.join(sorted(taken))}.")


def _next_steps(name: str, path: Path, folder: Path, *, scene: bool) -> str:
    found = "" if folder.resolve() == Path.cwd().resolve() else f" --config-dir={folder}"
    lines = [f"{path}: the task {name}. Open it, change what is not yours, then record it (data are one robot's each):"]
    if scene:
        lines.append(f"  regrasp collect task={name}{found}  # a scripted demonstrator does it in the twin")
        on = f"robot=virtual run_dir=runs/{name}_virtual"
        lines.append(f"  regrasp teleop task={name}{found} {on}  # you do it, on an arm that isn't there")
    lines.append(f"  regrasp teleop task={name}{found} robot=widowx run_dir=runs/{name}_arm  # you do it on the arm")
    lines.append(f"Then pretrain, train-reward, evaluate, finetune, report, with task={name}{found} and that run_dir;")
    lines.append("docs/own_task.md goes through all of it.")
    return "\n".join(lines)
