"""Off loopback nobody connects without a certificate of the same authority."""

import subprocess

import pytest
from helpers.link_data import POLICY, SPEC, MemoryEndpoint, make_episode

from robot.interfaces import Receipt
from robot.link.client import LearnerClient
from robot.link.patience import Patience
from robot.link.server import LinkServer
from robot.link.tls import TlsFiles, channel_credentials, is_loopback, server_credentials
from trajectories.errors import ConfigError, LinkError

SHORT = Patience(call_s=5, transfer_s=5, away_s=0.5, first_back_off_s=0.1, longest_back_off_s=0.2)


def openssl(*arguments, folder):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make_authority(folder, name):
    openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", folder=folder,
    )  # fmt: skip


def make_machine(folder, name, authority):
    openssl(
        "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}", folder=folder,
    )  # fmt: skip
    (folder / "san.cnf").write_text("subjectAltName=IP:127.0.0.1")
    openssl(
        "x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key",
        "-CAcreateserial", "-days", "2", "-extfile", "san.cnf", "-out", f"{name}.pem", folder=folder,
    )  # fmt: skip
    return TlsFiles(folder / f"{name}.pem", folder / f"{name}.key", folder / f"{authority}.pem")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Two machines of one laboratory and one of another."""
    folder = tmp_path_factory.mktemp("tls")
    make_authority(folder, "lab")
    make_authority(folder, "elsewhere")
    return {
        "learner": make_machine(folder, "learner", "lab"),
        "actor": make_machine(folder, "actor", "lab"),
        "stranger": make_machine(folder, "stranger", "elsewhere"),
        "folder": folder,
    }


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:1", True), ("127.8.0.1:1", True), ("localhost:1", True), ("[::1]:1", True),
        ("0.0.0.0:1", False), ("192.168.1.5:1", False), ("robot.lab:1", False), ("[::]:1", False),
        ("127.0.0.1.evil.example:1", False),
    ],
)  # fmt: skip
def test_what_counts_as_loopback(address, expected):
    assert is_loopback(address) is expected


def test_off_loopback_needs_files():
    for address in ("0.0.0.0:0", "robot.lab:50510"):
        with pytest.raises(ConfigError, match="needs mutual TLS"):
            server_credentials(address, None)
        with pytest.raises(ConfigError, match="needs mutual TLS"):
            channel_credentials(address, None)
    with pytest.raises(ConfigError, match="needs mutual TLS"):
        LinkServer(MemoryEndpoint(), "0.0.0.0:0")
    with pytest.raises(ConfigError, match="needs mutual TLS"):
        LearnerClient("10.0.0.1:50510")


def test_machines_of_one_authority_work_together(lab):
    with LinkServer(MemoryEndpoint(), "0.0.0.0:0", lab["learner"]) as server:
        address = f"127.0.0.1:{server.address.rpartition(':')[2]}"
        with LearnerClient(address, lab["actor"], SHORT) as client:
            client.hello(SPEC, POLICY)
            assert client.put_episode(make_episode(1)) == Receipt(3, 1)


def test_strangers_are_kept_out(lab):
    endpoint = MemoryEndpoint()
    folder = lab["folder"]
    pretender = TlsFiles(folder / "stranger.pem", folder / "stranger.key", folder / "lab.pem")
    with LinkServer(endpoint, "0.0.0.0:0", lab["learner"]) as server:
        address = f"127.0.0.1:{server.address.rpartition(':')[2]}"
        for files in (None, pretender):
            with (
                LearnerClient(address, files, SHORT, notify=lambda line: None) as client,
                pytest.raises(LinkError, match="is away, gave up"),
            ):
                client.hello(SPEC, POLICY)
    assert endpoint.hellos == 0


def test_the_actor_refuses_a_learner_of_another_authority(lab):
    with (
        LinkServer(MemoryEndpoint(), "127.0.0.1:0", lab["stranger"]) as server,
        LearnerClient(server.address, lab["actor"], SHORT, notify=lambda line: None) as client,
        pytest.raises(LinkError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.hello(SPEC, POLICY)


def test_files_that_do_not_work_are_named(lab, tmp_path):
    good = lab["actor"]
    address = "10.0.0.1:50510"
    with pytest.raises(ConfigError, match=r"can't read the link's TLS key file .*missing.key: No such file"):
        channel_credentials(address, TlsFiles(good.certificate, tmp_path / "missing.key", good.authority))
    with pytest.raises(ConfigError, match="don't work together"):
        server_credentials(address, TlsFiles(good.certificate, lab["learner"].key, good.authority))
    with pytest.raises(ConfigError, match=r"authority .* is not a PEM certificate"):
        server_credentials(address, TlsFiles(good.certificate, good.key, good.key))
    openssl(
        "ec",
        "-in",
        str(good.key),
        "-aes128",
        "-passout",
        "pass:secret",
        "-out",
        "locked.key",
        folder=tmp_path,
    )
    with pytest.raises(ConfigError, match="passphrase"):
        channel_credentials(address, TlsFiles(good.certificate, tmp_path / "locked.key", good.authority))
