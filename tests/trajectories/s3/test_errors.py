"""What goes wrong with a bucket is said with its address and what to do, without the key."""

import signal
import socket
import subprocess
import sys

import pytest
from helpers.s3_server import BUCKET, KEY, SECRET

from trajectories.errors import ConfigError, MissingDependencyError, StoreError
from trajectories.s3 import connection
from trajectories.s3.connection import S3Error
from trajectories.s3.path import CopySettings, S3Path, store_path
from trajectories.store import TrajectoryStore


def opening(address, **expected):
    with pytest.raises(StoreError, **expected) as caught:
        TrajectoryStore(address, read_only=True)
    assert SECRET not in str(caught.value)
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught


def test_a_key_that_the_server_refuses(twice, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    opening(
        twice.address, match=rf"{twice.address}.* can't be read at http://127.*refuses the key \(SignatureDoesNotMatch"
    )
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    caught = opening(twice.address, match=r"refuses the key \(InvalidAccessKeyId\). Check AWS_ACCESS_KEY_ID")
    assert "nobody" not in str(caught.value)


def test_a_bucket_that_is_not_there(s3):
    opening("s3://elsewhere/demos", match=r"there is no bucket 'elsewhere'. Make it, or correct the address")
    with pytest.raises(S3Error, match=r"s3://elsewhere/demos can't be listed .* there is no bucket"):
        S3Path.of("s3://elsewhere/demos").objects()
    with pytest.raises(S3Error, match=r"s3://elsewhere/demos can't be written .* there is no bucket"):
        S3Path.of("s3://elsewhere/demos").write_bytes(b"")


def test_a_prefix_that_holds_no_store(twice):
    opening(f"s3://{BUCKET}/nothing", match=f"There is no trajectory store in s3://{BUCKET}/nothing")
    (twice.objects / "store.json").write_bytes(b"{}")
    opening(twice.address, match=r"store.json is damaged")


def test_a_server_that_is_not_there_is_tried_a_few_times(twice, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        monkeypatch.setattr(connection, "RETRIES", 2)
        opening(twice.address, match=r"no whole answer in 3 tries \(.*Check AWS_ENDPOINT_URL, the network")


OPENING = "from trajectories.store import TrajectoryStore; TrajectoryStore('s3://lab/demos', read_only=True)"


def test_whoever_waits_for_a_server_that_never_answers_can_be_interrupted(s3, monkeypatch):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        process = subprocess.Popen([sys.executable, "-c", OPENING], stderr=subprocess.PIPE)
        asked, _ = silent.accept()
        with asked:
            asked.recv(1)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=connection.READ_S - 5)
    assert said.rstrip().endswith(b"KeyboardInterrupt")


def test_no_key_at_all_asks_nobody(s3, monkeypatch):
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ConfigError, match=r"no key to s3://lab: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        TrajectoryStore("s3://lab/demos", read_only=True)


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9000", "ftp://lab", "http://user:password@lab", "http://"])
def test_a_server_that_can_not_be(s3, monkeypatch, endpoint):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    with pytest.raises(
        ConfigError, match=r"AWS_ENDPOINT_URL_S3 is no address of a server; expected e.g. https"
    ) as caught:
        TrajectoryStore("s3://lab/demos", read_only=True)
    assert "password" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "s3:/lab/demos",
        "s3://",
        "s3://La/x",
        "s3://ab/x",
        "s3://lab//x",
        "s3://lab/a/../b",
        "S3://lab/x",
        "s3://lab/a b",
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ConfigError, match=r"s3://|prefix"):
        store_path(text)


def test_an_address_with_a_key_in_it_is_refused_without_saying_it():
    with pytest.raises(ConfigError, match=r"has no key and no server in it; .* AWS_ACCESS_KEY_ID") as caught:
        store_path(f"s3://{KEY}:{SECRET}@lab/demos")
    assert SECRET not in str(caught.value)


def test_addresses_are_written_as_they_are_read(tmp_path):
    path = S3Path.of("s3://lab/a/b/", CopySettings(tmp_path))
    assert (str(path), path.name, (path / "c").parts) == ("s3://lab/a/b", "b", ("s3://", "lab", "a", "b", "c"))
    assert str(S3Path.of("s3://lab") / "store.json") == "s3://lab/store.json"
    assert (path / "c").copies == CopySettings(tmp_path)
    assert store_path("runs/s3/data") == store_path(tmp_path.parent / "x").parent.__class__("runs/s3/data")


def test_without_obstore_it_says_how_to_get_it(s3, monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    monkeypatch.setenv("AWS_TEST", "another environment, another connection")
    with pytest.raises(MissingDependencyError, match=r"need obstore, .* `pip install obstore`"):
        TrajectoryStore("s3://lab/demos", read_only=True)
