"""The command line itself: settings it can't read, readers that go away, read-only folders, ends of workers."""

import os
import shlex
import signal
import subprocess
import sys
import time

import pytest
from helpers import ENVIRONMENT
from helpers.processes import alive, children
from hydra import compose, initialize_config_module
from hydra.core.override_parser.overrides_parser import OverridesParser

from commands.overrides import overrides_in, quoted, require_readable
from commands.seeds import require_seeds
from commands.verbs import VERBS
from trajectories.errors import ConfigError

COMMAND = [sys.executable, "-m", "commands"]


def regrasp(*arguments, cwd):
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, cwd=cwd, check=False, env=ENVIRONMENT)


@pytest.mark.parametrize(
    "value",
    ["runs/a=b", "runs/a (1)", "runs/数据", "把杯子放好", "it's", 'say "hi"', "[half", 'a\\"b', "ä ö (2)", "{x", "\n"],
)
def test_a_value_that_hydra_cannot_read_is_said_with_the_line_to_type(value):
    with pytest.raises(ConfigError, match=r"Quote it twice.*\n  regrasp demo '?run_dir=") as caught:
        require_readable("demo", ["seed=1", f"run_dir={value}"])
    line = str(caught.value).partition("\n")[2]
    assert shlex.split(line)[:2] == ["regrasp", "demo"]
    typed = shlex.split(line)[2]
    require_readable("demo", [typed])
    assert OverridesParser.create().parse_override(typed).value() == value


@pytest.mark.parametrize("value", ["a\\b", "tail\\", "C:\\dir\\", "x,y", "plain"])
def test_quoting_keeps_what_hydra_would_read_otherwise(value):
    typed = shlex.split(quoted(f"run_dir={value}"))[0]
    assert OverridesParser.create().parse_override(typed).value() == value


def test_what_is_no_setting_is_said_and_hydras_own_options_are_left_alone(tmp_path):
    with pytest.raises(ConfigError, match=r"'on task' is no setting; expected key=value"):
        require_readable("demo", ["on task"])
    assert overrides_in(["--config-dir", "/a=b (1)", "seed=1", "--cfg", "job"]) == ["seed=1"]
    refused = regrasp("demo", "run_dir=runs/a (1)", cwd=tmp_path)
    assert refused.returncode == 2
    assert "regrasp demo 'run_dir=\"runs/a (1)\"'" in refused.stderr
    assert "mismatched input" not in refused.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_writes_a_log_file(verb):
    with initialize_config_module(VERBS[verb].config_module, version_base="1.3"):
        logging = compose(VERBS[verb].config_name, return_hydra_config=True).hydra.job_logging
    assert [str(handler["class"]) for handler in logging.handlers.values()] == ["logging.StreamHandler"]
    assert (logging.root.level, list(logging.root.handlers)) == ("WARNING", ["console"])


@pytest.mark.parametrize("verb", [("say", "word=hold"), ("bench", "data", "env=nothing")])
def test_a_folder_that_cannot_be_written_is_no_reason_to_die(verb, tmp_path):
    there = regrasp(*verb, "run_dir=/nothing" if verb[0] == "say" else "data_dir=/nothing", cwd="/proc/self/fdinfo")
    assert "Unable to configure handler" not in there.stderr
    here = regrasp(*verb, cwd=tmp_path)
    assert here.returncode == there.returncode == 2, there.stderr
    assert list(tmp_path.glob("*.log")) == []


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"], ["compare", "--cfg", "job"]])
def test_a_reader_that_goes_away_ends_a_command_quietly(arguments, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)  # before the command starts: a busy machine may write all of it before we close
    try:
        process = subprocess.run(
            [*COMMAND, *arguments], stdout=writer, stderr=subprocess.PIPE, cwd=tmp_path, env=ENVIRONMENT, check=False
        )
    finally:
        os.close(writer)
    assert process.stderr == b""
    assert process.returncode in (141, -signal.SIGPIPE)  # a shell says 141 of both


def test_a_pipe_that_is_not_our_output_still_raises():
    code = (
        "import os\nfrom commands.broken_pipe import quiet_when_unread\n"
        "r, w = os.pipe(); os.close(r)\nwith quiet_when_unread():\n    os.write(w, b'x')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert "BrokenPipeError" in done.stderr


@pytest.mark.parametrize(
    ("verb", "override", "key"),
    [
        ("demo", "seed=-1", "seed=-1"),
        ("demo", "seed=1.5", "seed=1.5"),
        ("demo", "seed=true", "seed=True"),
        ("demo", "seed=4294967296", "seed=4294967296"),
        ("evaluate", "evaluate.seed=-3", r"evaluate\.seed=-3"),
        ("pretrain env=ID", "data_seed=null", "data_seed=None"),
    ],
)
def test_a_seed_that_numpy_does_not_take_is_refused(verb, override, key):
    def settings(*overrides):
        with initialize_config_module(VERBS[verb].config_module, version_base="1.3"):
            return compose(VERBS[verb].config_name, list(overrides))

    require_seeds(settings())
    with pytest.raises(ConfigError, match=rf"^{key} is no seed; expected a whole number, 0 to 4294967295"):
        require_seeds(settings(override))


def test_workers_end_with_their_command_whatever_ends_it(tmp_path):
    code = (
        "import pathlib, time\nfrom commands.engine.jobs import run_jobs\n"
        "from commands.engine.local import LocalEngine\n\n"
        "def job(path):\n    pathlib.Path(path).touch()\n    time.sleep(250)\n\n"
        "if __name__ == '__main__':\n    list(run_jobs(job, ['a', 'b', 'c', 'd'], LocalEngine(2), 'sleeping'))\n"
    )
    (tmp_path / "sleeping.py").write_text(code)
    for number in (signal.SIGTERM, signal.SIGKILL):
        process = subprocess.Popen([sys.executable, "sleeping.py"], cwd=tmp_path, env=ENVIRONMENT)
        try:
            while not all((tmp_path / name).exists() for name in "ab"):  # both workers are at work
                assert process.poll() is None
                time.sleep(0.05)
            workers = children(process.pid, "--multiprocessing-fork")
            assert len(workers) == 2
            process.send_signal(number)
            assert process.wait() == -number
            while any(alive(worker) for worker in workers):  # the test's time limit ends a wait that would go on
                time.sleep(0.05)
        finally:
            process.kill()
        for name in "ab":
            (tmp_path / name).unlink()
