"""What a node says of a job that fails there: of its own disk, memory and packages with its name, the rest as it is."""

import os

import pytest
from helpers.cluster_jobs import broken, full, locked, refused, unsendable

from commands.engine.node import NodeError, Parcel, do, software
from trajectories.errors import ConfigError


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (full, r"OSError: \[Errno 28\] No space left on device"),
        (unsendable, "OfTwoParts: 3: broken"),
        (locked, "ValueError: 3"),
    ],
)
def test_what_is_of_the_node_or_can_not_be_sent_is_said_with_its_name(function, said):
    with pytest.raises(NodeError, match=f"^Node {os.uname().nodename} of the cluster: {said}$"):
        do(function, 3, software(), [])


@pytest.mark.parametrize(("function", "kind"), [(refused, ConfigError), (broken, ZeroDivisionError)])
def test_what_is_of_the_job_stays_what_it_is(function, kind):
    with pytest.raises(kind):
        do(function, 3, software(), [])


def test_a_disk_that_takes_no_copy_of_a_folder_is_said_with_the_node(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    parcel = Parcel(tmp_path, "digest", lambda: {"file": b"content"})
    with pytest.raises(NodeError, match=f"^Node {os.uname().nodename} of the cluster: FileNotFoundError: .*nowhere"):
        do(refused, 3, software(), [parcel])
