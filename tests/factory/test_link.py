"""Which certificates the settings name for a link."""

import pytest
from omegaconf import OmegaConf

from factory.link import tls_of
from robot.link.certificates import run_pair
from robot.link.tls import TlsFiles
from trajectories.errors import ConfigError


def settings(run_dir, address="127.0.0.1:50051", **files):
    link = {"address": address, "certificate": None, "key": None, "authority": None} | files
    names = {"method": {"name": "regrasp"}, "robot": {"name": "twin"}, "encoder": {"kind": "keypoints"}}
    return OmegaConf.create({"run_dir": str(run_dir), "link": link} | names)


@pytest.mark.parametrize("address", ["127.0.0.1:50051", "localhost:1", "[::1]:0"])
def test_on_loopback_both_ends_take_the_pair_of_the_run(tmp_path, address):
    files = tls_of(settings(tmp_path, address))
    assert files == tls_of(settings(tmp_path, address)) == run_pair(files.key.parent)
    assert files.key.parent.parent == tmp_path


@pytest.mark.parametrize("address", ["0.0.0.0:50051", "robot.lab:50510", "192.168.1.5:1"])
def test_off_loopback_needs_certificates(tmp_path, address):
    with pytest.raises(ConfigError, match=r"each with `regrasp certificates`"):
        tls_of(settings(tmp_path, address))
    assert list(tmp_path.iterdir()) == []


def test_certificates_of_the_settings_are_taken_whole_or_not_at_all(tmp_path):
    whole = {"certificate": "c.pem", "key": "k.pem", "authority": "a.pem"}
    for address in ("0.0.0.0:1", "127.0.0.1:1"):
        assert tls_of(settings(tmp_path, address, **whole)) == TlsFiles(*map(type(tmp_path), whole.values()))
        for missing in whole:
            with pytest.raises(ConfigError, match=f"link.{missing} missing"):
                tls_of(settings(tmp_path, address, **{**whole, missing: None}))
