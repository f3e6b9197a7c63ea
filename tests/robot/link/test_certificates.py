"""Certificates: what they say, who may read the keys, and that none is overwritten."""

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from robot.link.certificates import (
    RUN_PAIR,
    fingerprint,
    load_certificate,
    make_authority,
    make_machine,
    names_of,
    run_pair,
)
from trajectories.errors import ConfigError


@pytest.fixture
def lab(tmp_path):
    make_authority(tmp_path / "lab", "our laboratory")
    return tmp_path / "lab"


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind)


def lifetime(certificate):
    return certificate.not_valid_after_utc - datetime.now(UTC)


def test_an_authority_signs_and_does_nothing_else(lab):
    certificate = load_certificate(lab / "authority.pem")
    assert certificate.subject.rfc4514_string() == "CN=our laboratory"
    constraints, usage = extension(certificate, x509.BasicConstraints), extension(certificate, x509.KeyUsage)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
    assert usage.critical
    assert (usage.value.key_cert_sign, usage.value.digital_signature) == (True, False)
    assert timedelta(days=3649) < lifetime(certificate) <= timedelta(days=3650)
    assert mode_of(lab) == 0o700
    assert mode_of(lab / "authority.key") == 0o600


def test_a_machine_serves_and_connects_under_its_names(lab):
    files = make_machine(lab, "robot", ["robot.lab.example", "192.168.1.7", "fd00::7", "robot"])
    assert names_of(files.certificate) == ("robot", "robot.lab.example", "192.168.1.7", "fd00::7")
    certificate, authority = load_certificate(files.certificate), load_certificate(lab / "authority.pem")
    certificate.verify_directly_issued_by(authority)
    assert files.authority.read_bytes() == (lab / "authority.pem").read_bytes()
    assert extension(certificate, x509.BasicConstraints).value.ca is False
    purposes = extension(certificate, x509.ExtendedKeyUsage).value
    assert set(purposes) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert timedelta(days=824) < lifetime(certificate) <= timedelta(days=825)
    assert mode_of(files.key) == 0o600
    assert mode_of(lab / "robot") == 0o700
    assert sorted(path.name for path in lab.iterdir()) == ["authority.key", "authority.pem", "robot"]


def test_openssl_agrees(lab):
    files = make_machine(lab, "gpu", ["10.0.0.2"])
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_ip", "10.0.0.2", "-CAfile"]
    for purpose in ("sslserver", "sslclient"):
        command[4] = purpose
        run = subprocess.run([*command, files.authority, files.certificate], capture_output=True, text=True, check=True)
        assert run.stdout.strip().endswith("OK")
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", files.certificate],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stdout.strip().partition("=")[2] == fingerprint(files.certificate)


def test_nothing_is_overwritten(lab):
    make_machine(lab, "gpu")
    before = {path: path.read_bytes() for path in lab.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match=r"authority\.pem is there already and is not overwritten"):
        make_authority(lab, "again")
    with pytest.raises(ConfigError, match="gpu is there already"):
        make_machine(lab, "gpu")
    (lab / "authority.pem").rename(lab / "moved.pem")
    with pytest.raises(ConfigError, match=r"authority\.key is there already"):
        make_authority(lab, "again")
    (lab / "moved.pem").rename(lab / "authority.pem")
    assert {path: path.read_bytes() for path in lab.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("machine", ["", "..", "a/b", ".hidden", "-x", "two words", "x" * 64, "authority.pem", "ü"])
def test_a_machine_has_a_host_name(lab, machine):
    with pytest.raises(ConfigError, match=r"host name|there already"):
        make_machine(lab, machine)
    assert sorted(path.name for path in lab.iterdir()) == ["authority.key", "authority.pem"]


@pytest.mark.parametrize(
    "name", ["", "http://robot", "robot:8080", "1.2.3.4/24", "ro bot", "*.lab", "300.1.1.1", "1.2.3"]
)
def test_names_are_host_names_or_addresses(lab, name):
    with pytest.raises(ConfigError, match=re.escape(repr(name)) + " is neither"):
        make_machine(lab, "robot", [name])


def test_without_a_whole_authority_no_machine(lab, tmp_path):
    with pytest.raises(ConfigError, match=r"no authority in .*make it first, `regrasp certificates"):
        make_machine(tmp_path, "gpu")
    make_authority(tmp_path / "other", "other")
    shutil.copy(tmp_path / "other" / "authority.pem", lab / "authority.pem")
    with pytest.raises(ConfigError, match="is not the key of"):
        make_machine(lab, "gpu")
    (tmp_path / "other" / "authority.key").chmod(0o644)
    with pytest.raises(ConfigError, match="mode 644, expected 600"):
        make_machine(tmp_path / "other", "gpu")


# -- the pair of a run -----------------------------------------------------------------------------
def test_a_runs_pair_is_made_once_and_kept(tmp_path):
    pair = run_pair(tmp_path)
    content = pair.key.read_bytes()
    assert mode_of(tmp_path / RUN_PAIR) == 0o600
    assert run_pair(tmp_path) == pair
    assert pair.key.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == [RUN_PAIR]
    certificate = load_certificate(pair.certificate)
    assert certificate.not_valid_after_utc.year == 9999
    assert names_of(pair.certificate) == ("localhost", "127.0.0.1", "::1")


def test_whoever_comes_at_once_gets_the_same_pair(tmp_path):
    for turn in range(20):
        folder = tmp_path / str(turn)
        folder.mkdir()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _, where=folder: run_pair(where), range(8)))
            contents = set(pool.map(lambda _, where=folder: run_pair(where).key.read_bytes(), range(8)))
        assert len(contents) == 1
        assert [path.name for path in folder.iterdir()] == [RUN_PAIR]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_pair_that_others_may_read_or_write_is_refused(tmp_path, mode):
    run_pair(tmp_path)
    (tmp_path / RUN_PAIR).chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode:o}, expected 600"):
        run_pair(tmp_path)


def test_a_damaged_pair_is_named(tmp_path):
    run_pair(tmp_path)
    (tmp_path / RUN_PAIR).write_bytes(b"")
    with pytest.raises(ConfigError, match=r"link\.pem is damaged"):
        run_pair(tmp_path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_account_reads_no_secret_and_leaves_none(lab):
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        folder.chmod(0o755)
        run_pair(folder)
        code = "import os, sys; os.setuid(65534); print(open(sys.argv[1]).read())"
        read = subprocess.run([sys.executable, "-c", code, folder / RUN_PAIR], capture_output=True, text=True)
        assert read.returncode == 1
        assert "PermissionError" in read.stderr
        os.chown(folder / RUN_PAIR, 65534, 65534)
        with pytest.raises(ConfigError, match="belongs to user id 65534"):
            run_pair(folder)
    finally:
        shutil.rmtree(folder)
