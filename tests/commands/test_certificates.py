"""`regrasp certificates` as a person runs it, and the link over what it makes."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT
from helpers.link_data import POLICY, SPEC, MemoryEndpoint, make_episode
from omegaconf import OmegaConf

from commands import certificates
from factory.link import tls_of
from robot.interfaces import Receipt
from robot.link.client import LearnerClient
from robot.link.server import LinkServer
from trajectories.errors import ConfigError


def settings(folder, **values):
    return OmegaConf.create({"folder": str(folder), "authority": "Regrasp", "machine": None, "names": []} | values)


def link_settings(folder, address):
    files = {"certificate": "certificate.pem", "key": "key.pem", "authority": "authority.pem"}
    link = {"address": address} | {name: str(folder / file) for name, file in files.items()}
    return OmegaConf.create({"run_dir": "unused", "link": link})


def test_three_commands_make_a_link_between_two_machines(tmp_path, capsys):
    command = [sys.executable, "-m", "commands", "certificates"]
    run = subprocess.run([*command, f"folder={tmp_path / 'lab'}"], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    assert "Next, for each machine" in run.stdout
    for machine in ("gpu", "robot"):
        certificates.run(settings(tmp_path / "lab", machine=machine, names=["127.0.0.1", f"{machine}.lab.example"]))
        said = capsys.readouterr().out
        assert f"reached as {machine}, {machine}.lab.example, 127.0.0.1" in said
        assert stat.S_IMODE((tmp_path / "lab" / machine / "key.pem").stat().st_mode) == 0o600
        (tmp_path / "lab" / machine).rename(tmp_path / machine)  # to the machine
    with LinkServer(MemoryEndpoint(), "0.0.0.0:0", tls_of(link_settings(tmp_path / "gpu", "0.0.0.0:0"))) as server:
        address = f"127.0.0.1:{server.address.rpartition(':')[2]}"
        with LearnerClient(address, tls_of(link_settings(tmp_path / "robot", address))) as client:
            client.hello(SPEC, POLICY)
            assert client.put_episode(make_episode(1)) == Receipt(3, 1)


def test_a_second_run_overwrites_nothing(tmp_path):
    certificates.run(settings(tmp_path))
    certificates.run(settings(tmp_path, machine="gpu"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for values in ({}, {"machine": "gpu"}):
        with pytest.raises(ConfigError, match="not overwritten"):
            certificates.run(settings(tmp_path, **values))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_settings_that_make_no_sense_are_named(tmp_path):
    with pytest.raises(ConfigError, match="give machine="):
        certificates.run(settings(tmp_path, names=["gpu"]))
    with pytest.raises(ConfigError, match="expected to be a list"):
        certificates.run(settings(tmp_path, machine="gpu", names="gpu.lab"))
    assert list(Path(tmp_path).iterdir()) == []
