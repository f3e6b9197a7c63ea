"""Copies of episodes: whole or not there, verified, bounded, shared by processes."""

import logging
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from helpers.trajectory_samples import assert_same_episode, sample_episode

from trajectories.s3.copies import EpisodeCopies
from trajectories.s3.path import CopySettings
from trajectories.store import TrajectoryStore

FIRST, SECOND, THIRD = (sample_episode(number) for number in (1, 2, 3))


@pytest.fixture
def episodes(three_episodes):
    """Manifest and files of three episodes of about equal size."""
    store = TrajectoryStore(three_episodes, read_only=True)
    return [(store.manifest(id), store.files(id)) for id in store.ids()]


def size_of(files):
    return sum(map(len, files.values()))


def copies_of(tmp_path, most_bytes, address="a server s3://lab/demos"):
    return EpisodeCopies(CopySettings(tmp_path / "copies", most_bytes), address)


def damage_bit(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [damage_bit, lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_a_damaged_copy_is_fetched_anew(twice, caplog, damage):
    store = TrajectoryStore(twice.address, read_only=True)
    store.read(FIRST.id)
    (chunk,) = twice.copies("image_front/0.0.0.0")
    good = chunk.read_bytes()
    damage(chunk)
    with caplog.at_level(logging.WARNING):
        assert_same_episode(store.read(FIRST.id), FIRST)
    assert "is deleted and fetched anew: image_front/0.0.0.0" in caplog.text
    assert twice.copies("image_front/0.0.0.0")[0].read_bytes() == good


def test_copies_of_two_addresses_and_of_two_manifests_are_kept_apart(tmp_path, episodes):
    (manifest, files), _, _ = episodes
    copies_of(tmp_path, 10**9).keep(manifest, files)
    assert copies_of(tmp_path, 10**9).read(manifest) == files
    assert copies_of(tmp_path, 10**9, "another").read(manifest) is None
    changed = replace(manifest, info=replace(manifest.info, outcome="failure"))
    assert copies_of(tmp_path, 10**9).read(changed) is None


def test_no_more_is_kept_than_the_bound_and_what_was_used_longest_ago_goes_first(tmp_path, episodes):
    bound = int(2.3 * size_of(episodes[0][1]))
    before = copies_of(tmp_path, bound)
    for manifest, files in episodes[:2]:
        before.keep(manifest, files)
    assert before.read(episodes[0][0]) is not None  # the second is now the one that was used longest ago
    later = copies_of(tmp_path, bound)
    later.keep(*episodes[2])
    assert [later.has(manifest) for manifest, _ in episodes] == [True, False, True]


def test_a_pass_over_more_than_there_is_room_for_keeps_what_it_has(tmp_path, episodes):
    copies = copies_of(tmp_path, int(2.3 * size_of(episodes[0][1])))
    for _ in range(2):
        for manifest, files in episodes:
            if copies.read(manifest) is None:
                copies.keep(manifest, files)
        assert [copies.has(manifest) for manifest, _ in episodes] == [True, True, False]


def test_a_bound_of_nothing_keeps_nothing(twice, tmp_path):
    address = replace(twice.address, copies=CopySettings(tmp_path / "none", 0))
    assert_same_episode(TrajectoryStore(address, read_only=True).read(FIRST.id), FIRST)
    assert not (tmp_path / "none" / "episodes").exists()


def test_what_a_killed_process_left_is_no_copy_and_goes_after_an_hour(tmp_path, episodes):
    copies = copies_of(tmp_path, 10**9)
    staging = tmp_path / "copies" / ".staging"
    for name, age_s in (("old", 7200), ("new", 60)):
        (staging / name).mkdir(parents=True)
        os.utime(staging / name, (time.time() - age_s,) * 2)
    copies.keep(*episodes[0])
    assert os.listdir(staging) == ["new"]


KILLED = """
import os, sys
from trajectories.store import TrajectoryStore
from trajectories.s3 import copies
left = int(sys.argv[2])
write = copies.Path.write_bytes
def killing(path, content):
    global left
    left -= 1
    if left == 0:
        os._exit(9)
    return write(path, content)
copies.Path.write_bytes = killing
store = TrajectoryStore(sys.argv[1], read_only=True)
for id in store.ids():
    store.read(id)
"""


def test_a_killed_download_leaves_nothing_that_is_taken_for_whole(twice, three_episodes):
    for files in (1, 4, 9):
        command = [sys.executable, "-c", KILLED, str(twice.address), str(files)]
        assert subprocess.run(command, check=False).returncode == 9
        assert len(list((twice.address.copies.folder / "episodes").glob("*"))) == (files - 1) // 7
    store = TrajectoryStore(twice.address, read_only=True)
    for episode in (FIRST, SECOND, THIRD):
        assert_same_episode(store.read(episode.id), episode)
    assert len(twice.copies("numbers/0.0")) == 3


READING = """
import sys
from trajectories.s3.path import CopySettings, S3Path
from trajectories.store import TrajectoryStore
from pathlib import Path
address = S3Path.of(sys.argv[1], CopySettings(Path(sys.argv[2]), int(sys.argv[3])))
local = TrajectoryStore(sys.argv[4], read_only=True)
for _ in range(8):
    store = TrajectoryStore(address, read_only=True)
    for id in store.ids():
        assert store.files(id) == local.files(id)
"""


def test_two_processes_share_the_copies_while_room_is_short(twice, tmp_path, episodes):
    bound = str(int(2.3 * size_of(episodes[0][1])))
    command = [sys.executable, "-c", READING, str(twice.address), str(tmp_path / "shared"), bound, str(twice.local)]
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0]
    kept = list((tmp_path / "shared" / "episodes").iterdir())
    assert 1 <= len(kept) <= 4
    assert all(len([path for path in folder.rglob("*") if path.is_file()]) == 7 for folder in kept)
