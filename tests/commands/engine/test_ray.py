"""A Ray cluster of two nodes: the same results as here, whatever dies, and what is said where it can't work."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
from helpers import ENVIRONMENT, ROOT
from helpers.cluster_jobs import broken, doubled, killed, killed_once, noted, read, refused, unsendable
from helpers.processes import alive
from helpers.ray_cluster import VARIABLES, two_nodes
from helpers.small_policies import policy_for
from hydra import compose, initialize_config_module

from commands.collect.collect import run as collect
from commands.engine import ray_engine
from commands.engine.engine import engine_of
from commands.engine.interface import WorkerError
from commands.engine.jobs import run_jobs
from commands.engine.local import LocalEngine
from commands.engine.node import NodeError, software
from commands.engine.ray_engine import ClusterError, RayEngine
from commands.evaluate.evaluate import run as evaluate
from factory.evaluated_policy import PolicySource, open_policy
from trajectories.errors import ConfigError, MissingDependencyError
from trajectories.store import TrajectoryStore
from trajectories.types import Episode


@pytest.fixture(scope="module")
def cluster():
    with two_nodes() as nodes:
        yield nodes


@pytest.fixture
def engine(cluster):
    return RayEngine(cluster.address)


def settings(verb, *overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose(verb, overrides=["profile=tiny", "robot.image_size=32", *overrides])


# -- jobs ------------------------------------------------------------------------------------------------------------


def test_jobs_give_what_they_give_here(engine):
    jobs = list(range(7))
    assert dict(run_jobs(doubled, jobs, engine, "doubling")) == dict(
        run_jobs(doubled, jobs, LocalEngine(1), "doubling")
    )
    assert [job for job, _ in run_jobs(doubled, jobs, engine, "doubling", in_order=True)] == jobs
    assert list(run_jobs(doubled, [], engine, "doubling")) == []


@pytest.mark.parametrize(
    ("function", "kind", "said"), [(refused, ConfigError, "^3 is refused$"), (broken, ZeroDivisionError, "3")]
)
def test_a_job_that_fails_by_itself_fails_as_it_does_here(engine, function, kind, said):
    for one in (engine, LocalEngine(1)):
        with pytest.raises(kind, match=said):
            list(run_jobs(function, [3], one, "failing"))


def test_what_can_not_be_sent_back_is_said_in_words(engine):
    with pytest.raises(NodeError, match=f"^Node {os.uname().nodename} of the cluster: OfTwoParts: 3: broken$"):
        list(run_jobs(unsendable, [3], engine, "failing"))


def test_a_package_that_a_node_lacks_is_named(engine, tmp_path, monkeypatch):
    (tmp_path / "own_arms.py").write_text("def double(job):\n    return 2 * job\n")
    monkeypatch.syspath_prepend(tmp_path)
    from own_arms import double

    with pytest.raises(NodeError, match=r"can't load a job .*No module named 'own_arms'.*arms or tasks of your own"):
        list(run_jobs(double, [3], engine, "doubling"))


def test_the_job_of_a_process_that_is_killed_is_done_again(engine, tmp_path):
    marks = [str(tmp_path / name) for name in "ab"]
    assert {job for job, _ in run_jobs(killed_once, marks, engine, "dying")} == set(marks)


def test_a_job_that_kills_each_process_that_does_it_ends_the_command(engine, monkeypatch):
    monkeypatch.setattr(ray_engine, "TRIES", 1)
    with pytest.raises(WorkerError, match=r"^dying: the processes that did one job died 2 times.*engine\.workers="):
        list(run_jobs(killed, [1], engine, "dying"))


def test_folders_are_read_by_processes_that_share_no_disk(engine, tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "file").write_bytes(b"\0content")
    job = (str(tmp_path), "inside/file")
    got = dict(run_jobs(read, [job, job], engine, "reading", folders={tmp_path: ["inside/file"]}))
    path, content = got[job]
    assert content == b"\0content"
    assert tmp_path not in path.parents


def test_of_a_policy_nodes_get_what_acts_and_not_its_training(policy):
    assert PolicySource(str(policy)).folders == {policy: tuple(sorted(os.listdir(policy), reverse=True))}


def test_no_more_jobs_than_asked_for_are_under_way(cluster, tmp_path):
    jobs = [(str(tmp_path / str(number)), 0.3) for number in range(4)]
    begun = []
    for _ in run_jobs(noted, jobs, RayEngine(cluster.address, 1), "noting"):
        begun.append(len(list(tmp_path.iterdir())))
    assert begun == [1, 2, 3, 4]


# -- verbs -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return policy_for("bin_weight", tmp_path_factory.mktemp("policy"))


EVALUATION = (
    "task=bin_weight", "robot.image_size=64", "evaluate.episodes=3", "evaluate.modes=[stochastic]", "evaluate.videos=1",
    "task.max_steps=12",
)  # fmt: skip


def evaluated(folder, policy, *overrides):
    """Files of an evaluation, without what they say of time."""
    open_policy.cache_clear()
    evaluate(settings("evaluate", *EVALUATION, f"run_dir={folder}", f"checkpoint={policy}", *overrides))
    kinds = (".mp4", ".json", ".html", ".svg", ".png")
    found = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.suffix in kinds}
    for path in [path for path in found if path.name == "result.json"]:
        found[path] = {**json.loads(found[path]), "seconds": None}
    return found


@pytest.fixture(scope="module")
def here(tmp_path_factory, policy):
    return evaluated(tmp_path_factory.mktemp("here"), policy, "workers=1")


def on(cluster):
    return "engine=ray", f"engine.address={cluster.address}"


def test_an_evaluation_gives_the_same_files(cluster, policy, here, tmp_path):
    assert {path.suffix for path in here} == {".json", ".mp4"}
    assert evaluated(tmp_path, policy, *on(cluster)) == here


def test_a_matrix_gives_the_same_files(cluster, policy, tmp_path):
    matrix = ("evaluate.axes=[light]", "evaluate.episodes=1", "evaluate.videos=0")
    here = evaluated(tmp_path / "here", policy, "workers=1", *matrix)
    assert {"matrix.json", "matrix.html", "matrix.svg"} <= {path.name for path in here}
    assert evaluated(tmp_path / "there", policy, *on(cluster), *matrix) == here


def test_a_collection_gives_the_same_episodes(cluster, tmp_path):
    few = ["collect.demos=1", *(f"collect.{name}=0" for name in ("failures", "prior_episodes", "play", "aftermath"))]
    stored = []
    for name, where in (("here", ["workers=1"]), ("there", on(cluster))):
        collect(settings("collect", "task=bin_weight", f"run_dir={tmp_path / name}", *few, *where))
        with TrajectoryStore(tmp_path / name / "data", read_only=True) as store:
            stored.append([contents(store.read(info.id)) for info in store.infos()])
    assert len(stored[0]) == 2
    assert stored[1] == stored[0]


def contents(value):
    """What an episode holds, arrays by their bytes; its id says when it was recorded.

    Times count from its first frame: the twin's clock goes on from one episode of a process to the next.
    """
    if isinstance(value, Episode):
        value = replace(value, t_ns={name: times - times[0] for name, times in value.t_ns.items()})
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tobytes()
    if is_dataclass(value):
        return contents({entry.name: getattr(value, entry.name) for entry in fields(value) if entry.name != "id"})
    return {key: contents(inside) for key, inside in value.items()} if isinstance(value, Mapping) else value


def test_a_node_that_dies_changes_nothing(cluster, policy, here, tmp_path, capsys):
    """Its episodes are done again by the other one, and a new node is taken in."""

    def kill_once_begun():
        while not [line for path in tmp_path.rglob("unfinished_*") for line in path.read_bytes().splitlines()[1:]]:
            time.sleep(0.02)
        cluster.kill()

    killer = threading.Thread(target=kill_once_begun)
    killer.start()
    found = evaluated(tmp_path, policy, *on(cluster))
    killer.join()
    assert found == here
    cluster.add()
    assert dict(run_jobs(doubled, [1, 2], RayEngine(cluster.address), "doubling")) == {1: 2, 2: 4}


# -- what ends or prevents it ----------------------------------------------------------------------------------------


def test_ctrl_c_ends_what_runs_on_the_nodes(cluster, tmp_path):
    code = (
        "import sys\nfrom helpers.cluster_jobs import noted\nfrom commands.engine.jobs import run_jobs\n"
        "from commands.engine.ray_engine import RayEngine\n"
        "jobs = [(sys.argv[2] + '/' + name, 250) for name in 'abcd']\n"
        "list(run_jobs(noted, jobs, RayEngine(sys.argv[1]), 'sleeping'))\n"
    )
    environment = {**ENVIRONMENT, **VARIABLES}
    process = subprocess.Popen([sys.executable, "-c", code, cluster.address, str(tmp_path)], cwd=ROOT, env=environment)
    try:
        while len(found := list(tmp_path.iterdir())) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait() == -signal.SIGINT
        workers = [int(path.suffix[1:]) for path in found]
        while any(alive(worker) for worker in workers):  # the test's time limit ends a wait that would go on
            time.sleep(0.05)
    finally:
        process.kill()


def test_a_node_with_another_version_is_named(engine, monkeypatch):
    other = {**software(), "regrasp": "9.9 (abc)"}
    monkeypatch.setattr("commands.engine.nodes.software", lambda: other)
    with pytest.raises(NodeError, match=rf"Node {os.uname().nodename} \(127.0.0.1, .* has regrasp 0.*9\.9 \(abc\)"):
        list(run_jobs(doubled, [1], engine, "doubling"))


WITHOUT_REGRASP = """
import sys

class Nowhere:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "commands":
            raise ModuleNotFoundError("No module named 'commands'")

sys.meta_path.insert(0, Nowhere)
"""


def test_a_node_without_regrasp_is_named(cluster, tmp_path):
    """Its processes find what this one does, as they are on the same machine; a hook of Python's start prevents it."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_REGRASP)
    cluster.kill()
    cluster.add(env_vars={"PYTHONPATH": str(tmp_path)})
    try:
        with pytest.raises(NodeError, match=r"Node .* can't load Regrasp .*No module named"):
            list(run_jobs(doubled, [1], RayEngine(cluster.address), "doubling"))
    finally:
        cluster.kill()
        cluster.add()


def test_a_cluster_that_is_not_there_is_said():
    with pytest.raises(ClusterError, match=r"127\.0\.0\.1:1: nothing answers there \(Connection refused\).*ray start"):
        list(run_jobs(doubled, [1], RayEngine("127.0.0.1:1"), "doubling"))


def test_what_is_no_head_is_said():
    """Ray would ask it for minutes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ClusterError, match=rf"{address}: whatever listens there is no head of a Ray cluster"):
            list(run_jobs(doubled, [1], RayEngine(address), "doubling"))


def test_without_ray_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"engine=ray needs Ray.*pip install '\.\[ray\]'"):
        list(run_jobs(doubled, [1], RayEngine("auto"), "doubling"))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        *(
            (("engine=ray", f"engine.workers={number}"), "engine.workers=.*expected a whole number, at least 1")
            for number in ("0", "1.5", "true", "two")
        ),
        (("engine.name=slurm",), "slurm is no engine"),
    ],
)
def test_engines_that_can_not_be_are_refused(overrides, said):
    with pytest.raises(ConfigError, match=said):
        engine_of(settings("collect", *overrides))


def test_the_number_of_local_processes_says_nothing_of_a_cluster(monkeypatch):
    monkeypatch.setattr("commands.engine.engine.typed_keys", lambda: {"workers"})
    with pytest.raises(ConfigError, match=r"With engine=ray say engine\.workers="):
        engine_of(settings("collect", "engine=ray"))


def test_a_robot_is_not_evaluated_on_a_cluster(policy, tmp_path):
    alone = ("engine=ray", "evaluate.judge=person", f"checkpoint={policy}", f"run_dir={tmp_path}")
    with pytest.raises(ConfigError, match="is nothing for a cluster: leave engine=ray out"):
        evaluate(settings("evaluate", *EVALUATION, *alone))
