"""A matrix: one change an arm, the same whoever computes it and whatever interrupts it, and its refusals."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from helpers import ENVIRONMENT, ROOT
from hydra import compose, initialize_config_module

from commands.evaluate import matrix, matrix_episode
from commands.evaluate.axes import CONTROL, NAMES
from commands.evaluate.delays import DelayedPolicy
from commands.evaluate.evaluate import evaluate_in_twin, plan_of
from commands.evaluate.journal import Journal
from commands.evaluate.matrix import UnmeasuredError, cells_of, evaluate_matrix
from commands.evaluate.matrix_episode import counts
from commands.evaluate.matrix_figures import Question, Row, figures_of, matrix_table, require_not_shorter
from commands.evaluate.matrix_page import html_of, picture_of
from commands.evaluate.trials import TrialResult
from factory.evaluated_policy import open_policy, policy_source
from robot.link.policy_server import PolicyServer
from robot.link.policy_wire import PolicyIdentity
from sim.scene.spec import SHIFTS
from sim.tasks import find_task
from trajectories.errors import ConfigError, LinkError, SafetyError
from trajectories.types import PROPRIO_NAMES, Observation

POLICY = Path(__file__).parents[2] / "fixtures" / "written_at_106ae2a" / "pretrained"


def settings(*overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("evaluate", overrides=["profile=tiny", *overrides])


class Drawn:
    """Draws small motions and the gripper; what it draws depends on the words, too."""

    version, digest, instructions = 0, "drawn-1", None

    def seed(self, seed):
        self.rng = np.random.default_rng(seed)

    def act(self, observation, deterministic=False):
        action = self.rng.uniform(-0.5, 0.5, 7)
        return (action + len(observation.instruction) / 1000).astype(np.float32)


@pytest.fixture
def address():
    open_policy.cache_clear()
    with PolicyServer(Drawn, PolicyIdentity("drawn", "drawn-1"), "127.0.0.1:0") as server:
        yield server.address
    open_policy.cache_clear()


SMALL = (
    "evaluate.tasks=[bin_weight,candy_sweeping]", "evaluate.axes=[light]", "evaluate.episodes=2",
    "evaluate.modes=[stochastic]", "evaluate.videos=0", "robot.image_size=32",
)  # fmt: skip


def measured(folder, address, *overrides):
    config = settings(*SMALL, f"run_dir={folder}", f"checkpoint=grpc://{address}", *overrides)
    return evaluate_matrix(config, policy_source(config, str(config.checkpoint)))


def lines_in(folder):
    return sum(len(path.read_bytes().splitlines()) - 1 for path in Path(folder).rglob("*.jsonl"))


# -- arms ------------------------------------------------------------------------------------------------------------


def test_every_arm_changes_one_thing_of_its_control():
    config = settings(
        f"evaluate.axes=[{','.join(NAMES)}]", "evaluate.tasks=[pot_pick_place,cloth_folding]", "evaluate.delay=3"
    )
    cells = cells_of(config)
    for task in ("pot_pick_place", "cloth_folding"):
        control, *arms = [cell for cell in cells if cell.task == task]
        assert control.axis.name == CONTROL
        assert [cell.axis.name for cell in arms] == list(NAMES)
        for cell in arms:
            before, after = asdict(control.conditions), asdict(cell.conditions)
            changed = [name for name in before if before[name] != after[name]]
            name = cell.axis.name
            assert changed == [{"wording": "wordings"}.get(name, name if "delay" in name else "shift")], name
            assert replace(cell.settings, shift="none") == control.settings
            if "delay" in name:
                assert after[name] == 3
                assert "3 control steps" in cell.axis.meaning
            elif name != "wording":
                assert cell.settings.shift == name
        assert len({cell.digest for cell in (control, *arms)}) == len(NAMES) + 1
    reworded = next(cell for cell in cells if cell.axis.rewords)
    trained = {text for texts in cells[0].instructions.values() for text in texts}
    assert not trained & {text for texts in reworded.instructions.values() for text in texts}
    skipped = {(cell.task, cell.axis.name): cell.missing for cell in cells if cell.missing}
    assert skipped == {("cloth_folding", "size"): "no object of the scene varies in size"}


def test_without_axes_conditions_have_the_digests_of_before():
    (cell,) = cells_of(settings())
    assert not {"shift", "action_delay", "picture_delay", "wordings"} & set(cell.conditions.to_dict())


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["evaluate.axes=[fog]"], "'fog', expected some of light, camera, object"),
        (["evaluate.axes=[light,light]"], "names one twice"),
        (["evaluate.axes=[light]", "robot.shift=camera"], "would change the control arm"),
        (["evaluate.axes=[light]", "robot.randomise=false"], "leaves nothing"),
        (["evaluate.axes=[action_delay]", "evaluate.delay=0"], "at least 1 control step"),
        (["evaluate.tasks=[nothing]"], "'nothing', expected tasks: bin_bench"),
        (["evaluate.tasks=[bin_vase,bin_vase]"], "names one twice"),
        (["evaluate.tasks=[own]"], "no scene"),
    ],
)
def test_what_can_not_be_measured_is_refused(overrides, said):
    with pytest.raises(ConfigError, match=said):
        cells_of(settings(*overrides))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("evaluate.modes=[determinstic]", r"evaluate.modes=\[determinstic\], expected stochastic or deterministic"),
        ("evaluate.modes=[]", "each once"),
        ("evaluate.modes=[stochastic,stochastic]", "each once"),
        ("evaluate.episodes=0", "measures nothing"),
        ("evaluate.videos=-1", "0 or more"),
    ],
)
@pytest.mark.parametrize("axes", ["[light]", "[]"])
def test_amounts_that_measure_nothing_are_refused(override, said, axes):
    config = settings(f"evaluate.axes={axes}", override)
    with pytest.raises(ConfigError, match=said):
        evaluate_matrix(config, None) if axes != "[]" else plan_of(config, POLICY)


def test_without_randomisation_words_and_delays_can_be_changed_still():
    cells = cells_of(settings("evaluate.axes=[wording,action_delay]", "robot.randomise=false"))
    assert [cell.axis.name for cell in cells] == [CONTROL, "wording", "action_delay"]


def test_settings_of_one_task_are_not_dropped_for_another(monkeypatch):
    monkeypatch.setattr("commands.evaluate.other_tasks.typed_keys", lambda: {"task", "task.max_steps"})
    with pytest.raises(ConfigError, match=r"task.max_steps is for pot_pick_place, and evaluate.tasks has bin_vase"):
        cells_of(settings("evaluate.tasks=[pot_pick_place,bin_vase]", "task.max_steps=7"))


@pytest.mark.parametrize(("size", "left"), [((0.95, 1.05), True), ((0.6, 1.4), False), ((1.0, 1.0), False)])
def test_objects_are_made_of_other_sizes_only_where_something_is_left_of_them(size, left):
    (_, axis) = (cell.axis for cell in cells_of(settings("evaluate.axes=[size]")))
    task = find_task("pot_pick_place")
    objects = tuple(replace(item, size=size) for item in task.scene.objects)
    changed = replace(task, scene=replace(task.scene, objects=objects))
    assert (axis.missing(changed) is None) is left


def test_episodes_under_another_meaning_of_a_shift_are_refused(tmp_path, address, monkeypatch):
    asked = [f"run_dir={tmp_path}", "evaluate.axes=[light]", f"checkpoint=grpc://{address}", "evaluate.episodes=1"]
    config = settings(*asked, "evaluate.modes=[stochastic]", "task.max_steps=2", "workers=1")
    evaluate_matrix(config, policy_source(config, f"grpc://{address}"))
    monkeypatch.setitem(SHIFTS, "light", replace(SHIFTS["light"], light=0.9))
    with pytest.raises(ConfigError, match="other conditions than its name says"):
        evaluate_matrix(config, policy_source(config, f"grpc://{address}"))


def test_a_real_robot_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="measured in the twin"):
        evaluate_matrix(settings("evaluate.axes=[light]", "robot=virtual"), None)


def test_a_policy_that_does_not_know_the_words_is_refused_before_anything_runs(tmp_path):
    config = settings(f"run_dir={tmp_path}", "evaluate.axes=[light]", "task=bin_vase", f"checkpoint={POLICY}")
    said = r"doesn't know 10 .*'put the vase in the bin'.*Leave bin_vase out.*Nothing was run"
    with pytest.raises(ConfigError, match=said):
        evaluate_matrix(config, policy_source(config, str(POLICY)))
    assert not list(tmp_path.iterdir())


def test_sentences_that_the_text_tower_can_not_read_are_refused(tmp_path):
    config = settings(f"run_dir={tmp_path}", "evaluate.axes=[wording]", f"checkpoint={POLICY}")
    said = r"axis 'wording' .* text tower with the digest .* leave it out of evaluate\.axes"
    with pytest.raises(ConfigError, match=said):
        evaluate_matrix(config, policy_source(config, str(POLICY)))


def test_a_served_policy_says_which_words_it_knows(tmp_path):
    open_policy.cache_clear()
    identity = PolicyIdentity("drawn", "d", 0, ("put the weight in the bin",))
    said = "doesn't know 9 of the instructions of bin_weight, such as 'place the weight"
    with PolicyServer(Drawn, identity, "127.0.0.1:0") as server, pytest.raises(ConfigError, match=said):
        measured(tmp_path, server.address)
    open_policy.cache_clear()


# -- delays ----------------------------------------------------------------------------------------------------------


def seen(number, gripper=1.0):
    proprio = np.zeros(len(PROPRIO_NAMES), np.float32)
    proprio[PROPRIO_NAMES.index("gripper_command")] = gripper
    return Observation(
        {"front": np.full((2, 2, 3), number, np.uint8)}, proprio + np.float32(0), "do it", {"front": number}
    )


class Telling:
    """Its action says which picture it saw, and which step it is."""

    version, digest, instructions = 0, "t", None

    def seed(self, seed):
        self.step = 0

    def act(self, observation, deterministic=False):
        self.step += 1
        return np.array([observation.images["front"][0, 0, 0], self.step, 0, 0, 0, 0, -1], np.float32)


@pytest.mark.parametrize(("action_delay", "picture_delay"), [(0, 2), (2, 0), (1, 1)])
def test_delays_are_of_whole_steps_and_begin_anew_with_an_episode(action_delay, picture_delay):
    policy = DelayedPolicy(Telling(), action_delay, picture_delay)
    for gripper in (1.0, -1.0):
        policy.seed(0)
        done = [policy.act(seen(10 + step, gripper)).tolist() for step in range(6)]
        for step, action in enumerate(done):
            decided = step - action_delay
            if decided < 0:
                assert action == [0, 0, 0, 0, 0, 0, gripper]  # still, the gripper as it was
            else:
                assert action[:2] == [10 + max(0, decided - picture_delay), decided + 1]


# -- figures ---------------------------------------------------------------------------------------------------------


def row(axis, forward, backward, missing=None):
    episodes = [
        asdict(TrialResult(direction, "stochastic", index, success, 10 + index, "do it"))
        for direction, successes in (("forward", forward), ("backward", backward))
        for index, success in enumerate(successes)
    ]
    return Row("bin_weight", axis, {"task": "bin_weight", "shift": axis}, missing, episodes)


QUESTION = Question("p", "d", 0, 4, ("stochastic",), 7, 5.0, {CONTROL: "nothing is changed", "light": "l", "size": "s"})
ROWS = [
    row(CONTROL, (True, True, True, False), (True, True, True, True)),
    row("light", (True, False, False, True), (False, False, False, False)),
    row("size", (), (), "no object of the scene varies in size"),
]


def test_figures_by_hand():
    tasks = figures_of(QUESTION, ROWS)["tasks"]["bin_weight"]
    assert "difference" not in tasks[CONTROL]["cells"]["forward/stochastic"]
    light = tasks["light"]["cells"]
    assert (light["forward/stochastic"]["successes"], light["forward/stochastic"]["mean_steps"]) == (2, 11.5)
    forward, backward = (light[f"{direction}/stochastic"]["difference"] for direction in ("forward", "backward"))
    assert {k: forward[k] for k in ("pairs", "lost", "gained", "mean")} == {
        "pairs": 4,
        "lost": 2,
        "gained": 1,
        "mean": -0.25,
    }
    assert (backward["lost"], backward["gained"], backward["mean"]) == (4, 0, -1.0)
    assert backward["interval95"][1] < 0 < forward["interval95"][1]
    assert tasks["size"]["not_applicable"] == "no object of the scene varies in size"
    assert len(tasks["light"]["episodes"]) == 8


def test_pages_say_what_the_figures_say():
    figures = figures_of(QUESTION, ROWS)
    page, picture = html_of(figures, {}), picture_of(figures)
    for text in (page, picture):
        assert "-25 (" in text or "−25 (" in text
        assert "-100 (" in text or "−100 (" in text
    assert "reaches 49 points either way" in page  # what four pairs that agree leave open
    assert "size was not measured in bin_weight: no object of the scene varies in size" in page
    assert 'src="http' not in page
    assert picture_of(figures) == picture


def test_a_longer_matrix_is_not_replaced_by_a_shorter_one(tmp_path):
    (tmp_path / "matrix.json").write_text(json.dumps(figures_of(QUESTION, ROWS)))
    require_not_shorter(tmp_path, QUESTION)
    with pytest.raises(ConfigError, match=r"evaluate\.episodes=4 or more"):
        require_not_shorter(tmp_path, replace(QUESTION, episodes=3))
    unmeasured = [replace(ROWS[0], error="the server is gone"), *ROWS[1:]]
    (tmp_path / "matrix.json").write_text(json.dumps(figures_of(QUESTION, unmeasured)))
    require_not_shorter(tmp_path, replace(QUESTION, episodes=3))  # a whole one is worth more


# -- whole -----------------------------------------------------------------------------------------------------------


def test_a_journal_cuts_off_what_a_kill_left_of_a_line(tmp_path):
    path, conditions = tmp_path / "episodes" / "a.jsonl", {"task": "t"}
    journal = Journal(path, conditions)
    episode = asdict(TrialResult("forward", "stochastic", 0, True, 5, "do it"))
    journal.add(episode)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"direction": "forw')
    assert Journal(path, conditions).episodes == {("forward", "stochastic", 0): episode}
    assert path.read_bytes() == whole
    with pytest.raises(ConfigError, match="other conditions"):
        Journal(path, {"task": "u"})
    path.write_bytes(whole + b"nonsense\n")
    with pytest.raises(ConfigError, match="damaged"):
        Journal(path, conditions)


def test_two_workers_and_a_killed_run_that_goes_on_give_what_one_worker_does(tmp_path, address, monkeypatch):
    one = measured(tmp_path / "one", address, "workers=1")
    assert lines_in(tmp_path / "one") == 2 * 2 * 2 * 2
    figures = json.loads((one / "matrix.json").read_text())
    assert list(figures["tasks"]) == ["bin_weight", "candy_sweeping"]
    assert figures["tasks"]["candy_sweeping"]["light"]["conditions"]["max_steps"] == 60
    assert len({e["steps"] for e in figures["tasks"]["candy_sweeping"]["light"]["episodes"]} - {40}) > 0

    arguments = [*SMALL, "profile=tiny", f"run_dir={tmp_path}/two", f"checkpoint=grpc://{address}", "workers=2"]
    command = [sys.executable, "-m", "commands", "evaluate", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 200
        while lines_in(tmp_path / "two") < 3 and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        with pytest.raises(ConfigError, match=rf"already runs in .* \(process {process.pid}\)"):
            measured(tmp_path / "two", address)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    left = lines_in(tmp_path / "two")
    assert 3 <= left < 16
    assert not list((tmp_path / "two").rglob("matrix.json"))
    ran, run_one = [], matrix.run_one
    monkeypatch.setattr(matrix, "run_one", lambda job: ran.append(job) or run_one(job))
    two = measured(tmp_path / "two", address, "workers=1")
    assert len(ran) == 16 - left
    for name in ("matrix.json", "matrix.html", "matrix.svg"):
        assert (two / name).read_bytes() == (one / name).read_bytes(), name

    more = measured(tmp_path / "two", address, "workers=1", "evaluate.axes=[]")  # of what is there: nothing runs
    assert len(ran) == 16 - left
    assert more != two
    with pytest.raises(ConfigError, match=r"evaluate\.episodes=2 or more"):
        measured(tmp_path / "two", address, "evaluate.episodes=1")


def test_an_evaluation_without_axes_asks_a_server_too(tmp_path, address):
    config = settings(f"run_dir={tmp_path}", f"checkpoint=grpc://{address}", "evaluate.modes=[stochastic]", "workers=1")
    config.evaluate.videos = 0
    folder, report = evaluate_in_twin(config, plan_of(config, policy_source(config, str(config.checkpoint))))
    assert (report["policy"], report["policy_digest"]) == (f"grpc://{address}", "drawn-1")
    assert [cell["episodes"] for cell in report["cells"].values()] == [2, 2]
    assert folder.parent.name == "other"
    assert folder.name.startswith("drawn_")


def test_a_policy_that_fails_midway_leaves_what_was_measured_and_the_same_command_goes_on(tmp_path, monkeypatch):
    small = ("evaluate.tasks=[bin_weight]", "evaluate.axes=[]", "workers=1")
    steps, broken = [], threading.Event()

    class Failing(Drawn):
        def act(self, observation, deterministic=False):
            steps.append(1)
            action = super().act(observation)
            return action * np.nan if len(steps) > 90 and not broken.is_set() else action

    open_policy.cache_clear()
    with PolicyServer(Failing, PolicyIdentity("drawn", "drawn-1"), "127.0.0.1:0") as server:
        with pytest.raises(UnmeasuredError, match=r"bin_weight under control: .* an action that is not finite"):
            measured(tmp_path, server.address, *small)
        assert lines_in(tmp_path) == 2  # of 40 steps each; the third was cut short
        broken.set()
        folder = measured(tmp_path, server.address, *small)
    open_policy.cache_clear()
    with PolicyServer(Drawn, PolicyIdentity("drawn", "drawn-1"), server.address) as again:
        whole = measured(tmp_path / "whole", again.address, *small)
    open_policy.cache_clear()
    assert (folder / "matrix.json").read_bytes() == (whole / "matrix.json").read_bytes()


def test_a_policy_that_is_gone_ends_the_command_and_marks_nothing(tmp_path):
    asked = []

    class Leaving(Drawn):
        def act(self, observation, deterministic=False):
            asked.append(1)
            if len(asked) == 6:
                server.stop()
            return super().act(observation)

    open_policy.cache_clear()
    server = PolicyServer(Leaving, PolicyIdentity("drawn", "drawn-1"), "127.0.0.1:0")
    with server, pytest.raises(LinkError, match="can't be reached"):
        measured(tmp_path, server.address, *SHORT)
    open_policy.cache_clear()
    assert lines_in(tmp_path) == 1
    assert not list(tmp_path.rglob("matrix.json"))


def test_a_server_that_is_gone_ends_the_films_that_are_made_later(tmp_path):
    open_policy.cache_clear()
    with PolicyServer(Drawn, PolicyIdentity("drawn", "drawn-1"), "127.0.0.1:0") as server:
        measured(tmp_path, server.address, *SHORT)
    with pytest.raises(LinkError, match="can't be reached"):  # the process knows it still
        measured(tmp_path, server.address, *SHORT, "evaluate.videos=1")
    open_policy.cache_clear()
    assert not list(tmp_path.rglob("*.mp4"))


SHORT = ("evaluate.tasks=[]", "task=bin_weight", "task.max_steps=4", "workers=1")
ONE = (*SHORT, "evaluate.axes=[light,action_delay]")


@pytest.mark.parametrize("order", [iter, reversed])
def test_an_error_ends_its_cell_alone_is_said_and_the_same_command_tries_the_cell_anew(
    tmp_path, address, monkeypatch, order
):
    run, broken = matrix_episode._run, [("forward", 1), ("backward", 0)]

    def failing(settings, trial):
        if settings.shift == "light" and (trial.direction, trial.index) in broken:
            raise ValueError(f"no such gripper {trial.direction} {trial.index}")
        return run(settings, trial)

    def ended(run, jobs, *_, **__):  # as several processes that all had begun
        return ((job, run(job)) for job in order(jobs))

    monkeypatch.setattr(matrix_episode, "_run", failing)
    if order is reversed:
        monkeypatch.setattr(matrix, "run_jobs", ended)
    with pytest.raises(UnmeasuredError) as error:
        measured(tmp_path, address, *ONE)
    said = "ValueError: no such gripper backward 0 (backward/stochastic, episode 0)"
    assert "1 of 3 parts of the matrix ended with an error" in str(error.value)
    assert f"bin_weight under light: {said}" in str(error.value)
    (folder,) = [path.parent for path in tmp_path.rglob("matrix.json")]
    figures = json.loads((folder / "matrix.json").read_text())
    found = figures["tasks"]["bin_weight"]
    assert found["light"]["error"] == said
    assert "cells" not in found["light"]
    assert found["action_delay"]["cells"]["forward/stochastic"]["difference"]["pairs"] == 2
    assert (
        f"light was not measured in bin_weight: it ended with an error. {said}." in (folder / "matrix.html").read_text()
    )
    assert f"light          -  {said}" in matrix_table(figures)

    broken.clear()
    assert measured(tmp_path, address, *ONE) == folder
    whole = json.loads((folder / "matrix.json").read_text())["tasks"]["bin_weight"]
    assert whole["light"]["cells"]["forward/stochastic"]["difference"]["pairs"] == 2
    assert whole[CONTROL] == found[CONTROL]


def test_without_its_control_a_change_has_a_rate_and_no_difference():
    rows = [replace(ROWS[0], episodes=(), error="the disk is full"), *ROWS[1:]]
    figures = figures_of(QUESTION, rows)
    light = figures["tasks"]["bin_weight"]["light"]["cells"]["forward/stochastic"]
    assert (light["successes"], light["left_out"], "difference" in light) == (2, 0, False)
    assert "bin_weight, forward, stochastic" in matrix_table(figures)
    assert "control was not measured in bin_weight: it ended with an error. the disk is full." in html_of(figures, {})
    assert "error" in picture_of(figures)


def test_a_start_that_ends_in_a_fault_is_tried_again_and_then_left_out_in_both_arms(tmp_path, address, monkeypatch):
    small = SHORT
    whole = json.loads((measured(tmp_path / "whole", address, *small) / "matrix.json").read_text())
    begin, tried = matrix_episode.begin_trial, []

    def failing(station, trial):
        begun = begin(station, trial)
        tried.append(trial)
        if len(tried) in (1, 3, 4, 5):  # the first start once, the second as often as it is tried
            raise SafetyError("the cloth is unstable")
        return begun

    monkeypatch.setattr(matrix_episode, "begin_trial", failing)
    folder = measured(tmp_path / "cut", address, *small)
    assert len(tried) == 8 + 3
    text = (folder / "matrix.json").read_text()
    found, before = (figures["tasks"]["bin_weight"] for figures in (json.loads(text), whole))
    first, second, *others = found[CONTROL]["episodes"]
    assert [first, *others] == [before[CONTROL]["episodes"][i] for i in (0, 2, 3)]
    assert (second["not_begun"], second["success"]) == ("the cloth is unstable", None)
    assert found["light"]["episodes"] == before["light"]["episodes"]
    for axis in (CONTROL, "light"):
        forward, backward = (found[axis]["cells"][f"{way}/stochastic"] for way in ("forward", "backward"))
        assert [(c["episodes"], c["left_out"], c["faults"]) for c in (forward, backward)] == [(2, 0, 0), (1, 1, 0)]
    assert found["light"]["cells"]["backward/stochastic"]["difference"]["pairs"] == 1
    assert matrix_table(json.loads(text)).count("1 left out") == 2
    assert "2 episodes are left out: a fault ended the start" in (folder / "matrix.html").read_text()
    measured(tmp_path / "cut", address, *small)
    assert len(tried) == 8 + 3  # it is kept as well


def test_a_start_that_an_earlier_version_counted_as_failed_is_measured_anew():
    failed = asdict(TrialResult("forward", "stochastic", 0, False, 40, "")) | {"fault": "unstable"}
    assert not counts(failed)
    assert counts(failed | {"instruction": "do it"})
    assert not counts(None)


def test_films_that_are_asked_for_later_are_made_of_the_same_episodes(tmp_path, address, monkeypatch, capsys):
    small = SHORT
    without = (measured(tmp_path, address, *small) / "matrix.json").read_bytes()
    assert not list(tmp_path.rglob("*.mp4"))
    ran, run_one = [], matrix.run_one
    monkeypatch.setattr(matrix, "run_one", lambda job: ran.append(job[1].key) or run_one(job))
    films = (*small, "evaluate.videos=1")
    folder = measured(tmp_path, address, *films)
    assert ran == 2 * [("forward", "stochastic", 0), ("backward", "stochastic", 0)]
    assert (folder / "matrix.json").read_bytes() == without
    made = sorted(tmp_path.rglob("*.mp4"))
    assert [path.name.rsplit("_", 1)[0] for path in made] == [
        f"bin_weight_{axis}_{way}_stochastic_0_failure"
        for axis in (CONTROL, "light")
        for way in ("backward", "forward")
    ]
    measured(tmp_path, address, *films)
    assert len(ran) == 4  # nothing is missing any more

    made[0].unlink()
    (journal,) = [path for path in tmp_path.rglob("*.jsonl") if path.stem in made[0].name]
    journal.write_text(
        journal.read_text().replace(
            '"backward", "mode": "stochastic", "index": 0, "success": false',
            '"backward", "mode": "stochastic", "index": 0, "success": true',
        )
    )
    capsys.readouterr()
    measured(tmp_path, address, *films)
    said = capsys.readouterr().out
    assert "bin_weight_control, backward/stochastic, episode 0 has no film" in said
    assert "Then: success after 4 steps" in said
    assert "Now: failure after 4 steps" in said
    assert len(list(tmp_path.rglob("*.mp4"))) == 3


def test_what_the_robots_own_limits_end_has_failed_and_the_next_episode_runs(tmp_path, address, monkeypatch):
    from robot.control.safety import SafetyFilter

    checks, check = [], SafetyFilter.check

    def limited(self, *given):
        checks.append(1)
        if len(checks) == 10:
            self.trip("the wrist pushed too hard")
        return check(self, *given)

    monkeypatch.setattr(SafetyFilter, "check", limited)
    folder = measured(tmp_path, address, "evaluate.tasks=[bin_weight]", "evaluate.axes=[]", "workers=1")
    control = json.loads((folder / "matrix.json").read_text())["tasks"]["bin_weight"][CONTROL]
    assert [("fault" in e, e["success"]) for e in control["episodes"]] == [(True, False)] + 3 * [(False, False)]
    assert "the wrist pushed too hard" in control["episodes"][0]["fault"]
    assert sum(cell["faults"] for cell in control["cells"].values()) == 1
