"""A task of a person's own: its YAML written, found where the verbs run, done in the twin and on the virtual arm."""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml
from helpers import ROOT
from helpers.verbs import run_verbs

from commands.new_task import path_of, text_of
from commands.settings.written import settings_in
from factory.task import SETTINGS
from trajectories.store import TrajectoryStore

PYTHONPATH = {**os.environ, "PYTHONPATH": str(ROOT)}
SHORT = (
    "task=to_bowl", "task.prior=[]", "run_dir=run", "profile=tiny", "workers=2", "progress=false",
    "robot.image_size=64",
    "collect.demos=2", "collect.failures=2", "collect.play=0", "collect.aftermath=0", "pretrain.encoder_steps=10",
    "evaluate.episodes=1", "evaluate.modes=[deterministic]", "evaluate.videos=0",
    "+reward.members=1",
)  # fmt: skip


def regrasp(folder, *arguments, code=0):
    """What a verb prints, run in the folder."""
    ran = subprocess.run(
        [sys.executable, "-m", "commands", *arguments],
        cwd=folder, env=PYTHONPATH, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == code, (ran.stdout + ran.stderr)[-3000:]
    return ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder with a task that has a scene, and one that has none."""
    made = tmp_path_factory.mktemp("laboratory")
    assert "task=to_bowl" in regrasp(made, "new-task", "to_bowl", "scene=true")
    regrasp(made, "new-task", "on_the_arm")
    return made


@pytest.mark.parametrize("scene", [True, False])
def test_the_file_has_every_choice_with_a_meaning(scene):
    text = text_of("to_bowl", scene=scene)
    assert set(yaml.safe_load(text)) == set(SETTINGS)
    written = [one for one in settings_in(text, "task.") if one.key.count(".") == 1 and one.key != "task.scene"]
    assert all(len(one.meaning.split()) > 3 for one in written)


def test_the_words_that_it_names_are_those_that_the_twins_model_reads(backbone):
    text = text_of("to_bowl", scene=True)
    words = text[text.index("knows more):") + 12 : text.index("  forward: [")].replace("#", "").split()
    assert {"sponge", "bowl", "take", "mat"} <= set(words)
    assert backbone.unread_words(" ".join(words)) == ()
    assert backbone.unread_words("xylophone") == ("xylophone",)


def test_nothing_is_overwritten_and_no_name_is_given_twice(folder):
    path = path_of("to_bowl", folder)
    before = path.read_bytes()
    assert "stays as it is" in regrasp(folder, "new-task", "to_bowl", code=2)
    assert path.read_bytes() == before
    for name, words in (("bin_weight", "already"), ("cube_to_plate", "already"), ("To-Bowl", "lower case letters")):
        assert words in regrasp(folder, "new-task", name, code=2)
    assert "needs a name" in regrasp(folder, "new-task", code=2)


def test_it_is_a_choice_where_it_lies_and_by_config_dir(folder, tmp_path):
    listed = re.search(r"  task=(\S+) ", regrasp(folder, "collect", "--help"))[1].split("|")
    assert {"on_the_arm", "to_bowl", "pot_pick_place"} <= set(listed)
    assert "name: to_bowl" in regrasp(tmp_path, "collect", f"--config-dir={folder}", "task=to_bowl", "--cfg", "job")
    assert "on_the_arm" not in regrasp(tmp_path, "collect", "--help")


@pytest.mark.timeout(240)
def test_it_is_collected_learned_and_evaluated_as_any_other(folder):
    """Workers of `collect` make the scene from the description; the evaluation says whose figures it has."""
    verbs = (("collect", *SHORT), ("pretrain", *SHORT), ("evaluate", *SHORT, "checkpoint=pretrained"))
    said = run_verbs(folder, PYTHONPATH, *verbs)
    assert "to_bowl  backward" in said
    assert "forward/deterministic" in said
    with TrajectoryStore(folder / "run" / "data", read_only=True) as store:
        infos = store.infos()
    assert [info.outcome for info in infos] == (["success"] * 2 + ["failure"] * 2) * 2
    assert {info.task for info in infos} == {"to_bowl"}
    moved = "task.scene.fixtures.bowl.at=[0.26,-0.112]"
    assert "was made with" in regrasp(folder, "collect", *SHORT, moved, code=2)
    (result,) = (folder / "run").rglob("evaluations/**/result.json")
    conditions = json.loads(result.read_text())["conditions"]
    assert json.loads(conditions["description"])["scene"]["forward"] == "inside bowl"


@pytest.mark.timeout(300)
def test_it_is_learned_on_the_virtual_arm_and_reported(folder):
    """Learner, actor and the virtual arm, each a process of its own, find the task where the command was started."""
    more = ("collect.demos=4", "collect.failures=4", "collect.aftermath=2")
    run_verbs(folder, PYTHONPATH, ("collect", *SHORT, *more), ("train-reward", *SHORT, "reward.folds=3"))
    brief = ("task.max_steps=4", "finetune.steps=4", "finetune.warmup_steps=1", "finetune.snapshot_every=4")
    said = regrasp(folder, "finetune", *SHORT, "robot=virtual", *brief)
    assert "regrasp report task=to_bowl" in said
    with TrajectoryStore(folder / "run" / "finetune_regrasp_virtual" / "episodes", read_only=True) as store:
        infos = store.infos()
    assert sum(info.length for info in infos) >= 4
    words = yaml.safe_load(path_of("to_bowl", folder).read_text())["instructions"]
    assert all(info.instruction in words[info.direction] for info in infos)
    regrasp(folder, "report", *SHORT, "robot=virtual")
    page = (folder / "run" / "report_virtual.html").read_text()
    assert "forward, in training" in page
    assert "Not evaluated yet" in page


def test_without_a_scene_the_twin_says_what_is_missing(folder):
    words = ["task.instructions.forward=[put it in]", "task.instructions.backward=[take it out]"]
    for verb, robot in (("collect", "twin"), ("virtual-arm", "virtual")):
        said = regrasp(folder, verb, "task=on_the_arm", f"robot={robot}", *words, code=2)
        assert "task=on_the_arm has no scene" in said
        assert "scene=true" in said


def test_what_nothing_reads_is_refused(folder):
    path = path_of("mistyped", folder)
    try:
        path.write_text(text_of("mistyped", scene=True).replace("ends_open:", "ends_opn:"))
        assert "task has no setting 'ends_opn'" in regrasp(folder, "collect", "task=mistyped", code=2)
    finally:
        path.unlink()
