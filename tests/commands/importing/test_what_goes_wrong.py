"""`regrasp import` killed, beside another, on a full disk, from damaged files, with texts of other scripts."""

import contextlib
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import ENVIRONMENT, ROOT
from helpers.doors import SPEC, do_export, do_import, episodes_of, recorded

from trajectories.errors import ConfigError, DiskError, RegraspError, StoreError
from trajectories.formats.foreign import DamagedEpisodeError
from trajectories.formats.registry import open_source
from trajectories.provenance import origin_of
from trajectories.store import TrajectoryStore

COUNT = 42
ANY = "doors.max_clipped=1.0"


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Folders of BridgeData with enough episodes for several workers."""
    folder = tmp_path_factory.mktemp("many")
    with TrajectoryStore(folder / "data", SPEC) as opened:
        for number in range(COUNT):
            opened.commit(recorded(2 * number, 3))
    do_export(folder / "data", folder / "pots", format="bridge")
    return folder / "pots"


def trajectories(path):
    return sorted((obs.parent for obs in path.rglob("obs_dict.pkl")), key=lambda folder: int(folder.name[4:]))


def command(*words):
    return [sys.executable, "-m", "commands", "import", *map(str, words), ANY, "doors=bridge", "progress=false"]


def test_a_killed_import_goes_on_and_leaves_no_worker(many, tmp_path):
    into = tmp_path / "store"
    words = command(many, f"into={into}", "workers=2")
    with subprocess.Popen(words, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and len(list(into.glob("episodes/*"))) < 3:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.stderr.read()  # ends when the last worker has ended
    before = episodes_of(into)
    assert 3 <= len(before) < COUNT
    do_import(many, into, ANY, doors="bridge")
    after = episodes_of(into)
    assert [origin_of(episode)["episode"] for episode in after] == open_source(many).names()
    assert [episode.id for episode in after[: len(before)]] == [episode.id for episode in before]


def test_an_import_beside_another_is_refused(many, tmp_path):
    with TrajectoryStore(tmp_path / "store", SPEC), pytest.raises(ConfigError, match=r"already runs in .*into=\.\.\."):
        do_import(many, tmp_path / "store", ANY, "+doors.proprio.gripper_effort=0.0", doors="bridge")


def test_a_file_that_the_disk_refuses_ends_the_import_and_what_is_there_stays(many, tmp_path):
    into = tmp_path / "store"
    do_import(many, into, "episodes=2", "image_size=32", ANY, doors="bridge")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, before[1]))
    try:
        with pytest.raises(DiskError, match="make room"):
            do_import(many, into, ANY, doors="bridge")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert len(episodes_of(into)) == 2
    do_import(many, into, "episodes=4", ANY, doors="bridge")
    assert len(episodes_of(into)) == 4


def test_a_mapping_that_left_nothing_behind_binds_nobody(many, tmp_path, monkeypatch):
    def refuse(self, episode):
        raise DiskError("full")

    with monkeypatch.context() as patched:
        patched.setattr(TrajectoryStore, "commit", refuse)
        with pytest.raises(DiskError):
            do_import(many, tmp_path / "store", ANY, doors="bridge")
    do_import(many, tmp_path / "store", ANY, "episodes=1", "doors.task=pots", doors="bridge")
    assert [episode.task for episode in episodes_of(tmp_path / "store")] == ["pots"]


@pytest.mark.parametrize("place", ["file", "file/store"])
def test_a_file_is_no_place_for_a_store(many, tmp_path, place):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"can't be a trajectory store: .*file is a file\. Give"):
        do_import(many, tmp_path / place, ANY, doors="bridge")


class Evil:
    """Pickled, it asks for a command of the shell."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def test_damaged_episodes_are_named_the_others_come_and_a_dry_run_counts_the_same(many, tmp_path, capsys):
    shutil.copytree(many, tmp_path / "pots")
    for folder in trajectories(tmp_path / "pots")[6:]:
        shutil.rmtree(folder)
    first, second, third, fourth, fifth, _ = trajectories(tmp_path / "pots")
    for path in (first / "obs_dict.pkl", second / "images0/im_2.jpg"):
        path.write_bytes(path.read_bytes()[:-200])
    (third / "policy_out.pkl").write_bytes(pickle.dumps(Evil(tmp_path / "mark")))
    (fourth / "lang.txt").write_text("把锅放到布上 🫕\n", encoding="utf-8")
    shutil.rmtree(fifth / "images0")
    reasons = ("it ends too early", "a JPEG file that was cut short", "posix.system, which is refused", "no 'images0'")
    do_import(tmp_path / "pots", tmp_path / "s", "dry_run=true", f"out={tmp_path / 'out'}", ANY, doors="bridge")
    dry = capsys.readouterr().out
    assert "Would be imported: 2 episodes, " in dry
    assert "Would be left out: 4:" in dry
    with pytest.raises(SystemExit):
        do_import(tmp_path / "pots", tmp_path / "s", ANY, doors="bridge")
    said = capsys.readouterr().out
    assert "2 episodes imported.\npots: 4 left out, DAMAGED:" in said
    assert all(reason in dry and reason in said for reason in reasons)
    assert episodes_of(tmp_path / "s")[0].instruction == "把锅放到布上 🫕"
    assert not (tmp_path / "mark").exists()
    do_import(tmp_path / "pots", tmp_path / "s", "dry_run=true", f"out={tmp_path / 'out'}", ANY, doors="bridge")
    assert "Would be imported: 2 episodes (2 of them are in the store already), " in capsys.readouterr().out


def test_texts_of_other_scripts_in_a_locale_that_knows_none(many, tmp_path):
    source = tmp_path / "锅 🫕"
    shutil.copytree(many, source)
    for folder in trajectories(source)[1:]:
        shutil.rmtree(folder)
    (trajectories(source)[0] / "lang.txt").write_text("把锅放下 🫕\n", encoding="utf-8")
    words = command(source, f"into='{tmp_path / '店'}'", "name=pots", "doors.task='锅'")
    plain = {key: value for key, value in ENVIRONMENT.items() if not key.startswith(("LC_", "LANG", "PYTHONUTF8"))}
    told = subprocess.run(
        words, cwd=ROOT, env=plain | {"LC_ALL": "C"}, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert told.returncode == 0, told.stderr
    assert "锅 " in told.stdout
    (episode,) = episodes_of(tmp_path / "店")
    assert (episode.task, episode.instruction) == ("锅", "把锅放下 🫕")


@pytest.mark.parametrize(
    ("format", "name"),
    [
        ("lerobot_v3", "pot"), ("lerobot_v2", "pot"), ("robomimic", "pot.hdf5"), ("minari", "pot-v0"),
        ("diffusion_policy", "pot.zarr"), ("diffusion_policy", "pot.zarr.zip"),
    ],
)  # fmt: skip
def test_no_damage_is_a_traceback(tmp_path, format, name):
    """Each file cut short, emptied, overwritten in part: named, or the whole source refused; never something else."""
    with TrajectoryStore(tmp_path / "data", SPEC) as opened:
        for number in range(2):
            opened.commit(recorded(number, 3))
    whole, rng = tmp_path / name, np.random.default_rng(0)
    do_export(tmp_path / "data", whole, format=format)
    files = [whole] if whole.is_file() else sorted(path for path in whole.rglob("*") if path.is_file())
    refused = 0
    for path in files:
        content = path.read_bytes()
        noise = bytearray(content)
        for place in rng.integers(0, max(len(content), 1), 8 if content else 0):
            noise[place] = int(rng.integers(256))
        zeroed = content[: len(content) // 2] + bytes(len(content) - len(content) // 2)
        for bad in (content[: len(content) // 2], b"", zeroed, bytes(noise)):
            path.write_bytes(bad)
            try:
                source = open_source(whole)
                source.describe()
                for episode in source.names():
                    with contextlib.suppress(DamagedEpisodeError):
                        for frames in source.read(episode).images.values():
                            frames.read()
            except RegraspError:
                refused += 1
        path.write_bytes(content)
    assert refused
    assert len(open_source(whole).names()) == 2
