"""Nobody connects without a certificate of the same authority or, on loopback, without the secret of the run."""

import os
import socket
import subprocess
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from helpers.link_data import POLICY, SPEC, MemoryEndpoint, make_episode

from robot.interfaces import Receipt
from robot.link import protocol
from robot.link.certificates import make_authority, make_machine, run_pair
from robot.link.client import LearnerClient
from robot.link.patience import Patience
from robot.link.renewal import server_credentials
from robot.link.server import LinkServer
from robot.link.tls import TlsFiles, channel_credentials, is_loopback
from trajectories.errors import ConfigError, LinkError
from trajectories.private_file import write_private

SHORT = Patience(call_s=5, transfer_s=5, away_s=0.5, first_back_off_s=0.1, longest_back_off_s=0.2)


def openssl(*arguments, folder):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Two machines of one laboratory and one of another, with certificates as `regrasp certificates` makes them."""
    folder = tmp_path_factory.mktemp("tls")
    for name in ("lab", "elsewhere"):
        make_authority(folder / name, name)
    return {
        "learner": make_machine(folder / "lab", "gpu", ["127.0.0.1"]),
        "actor": make_machine(folder / "lab", "robot", ["127.0.0.1"]),
        "misnamed": make_machine(folder / "lab", "other", ["10.0.0.9"]),
        "stranger": make_machine(folder / "elsewhere", "gpu", ["127.0.0.1"]),
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


def test_machines_of_one_authority_work_together(lab):
    with LinkServer(MemoryEndpoint(), "0.0.0.0:0", lab["learner"]) as server:
        address = f"127.0.0.1:{server.address.rpartition(':')[2]}"
        with LearnerClient(address, lab["actor"], SHORT) as client:
            client.hello(SPEC, POLICY)
            assert client.put_episode(make_episode(1)) == Receipt(3, 1)


def test_strangers_are_kept_out(lab, tmp_path):
    endpoint = MemoryEndpoint()
    stranger = lab["stranger"]
    pretender = TlsFiles(stranger.certificate, stranger.key, lab["learner"].authority)
    with LinkServer(endpoint, "0.0.0.0:0", lab["learner"]) as server:
        address = f"127.0.0.1:{server.address.rpartition(':')[2]}"
        with (
            LearnerClient(address, pretender, SHORT, notify=lambda line: None) as client,
            pytest.raises(LinkError, match="is away, gave up"),
        ):
            client.hello(SPEC, POLICY)
        assert not answers_in_plain_text(address)
    assert endpoint.hellos == 0


def test_a_machine_is_no_learner_under_anothers_name(lab):
    with (
        LinkServer(MemoryEndpoint(), "127.0.0.1:0", lab["misnamed"]) as server,
        LearnerClient(server.address, lab["actor"], SHORT, notify=lambda line: None) as client,
        pytest.raises(LinkError, match="no certificate of the same authority for that address"),
    ):
        client.hello(SPEC, POLICY)


def test_the_actor_refuses_a_learner_of_another_authority(lab):
    with (
        LinkServer(MemoryEndpoint(), "127.0.0.1:0", lab["stranger"]) as server,
        LearnerClient(server.address, lab["actor"], SHORT, notify=lambda line: None) as client,
        pytest.raises(LinkError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.hello(SPEC, POLICY)


def test_files_that_do_not_work_are_named(lab, tmp_path):
    good = lab["actor"]
    with pytest.raises(ConfigError, match=r"can't read the TLS key file .*missing.key: No such file"):
        channel_credentials(TlsFiles(good.certificate, tmp_path / "missing.key", good.authority))
    with pytest.raises(ConfigError, match="don't work together"):
        server_credentials(TlsFiles(good.certificate, lab["learner"].key, good.authority))
    with pytest.raises(ConfigError, match=r"authority .* is not a PEM certificate"):
        server_credentials(TlsFiles(good.certificate, good.key, good.key))
    locked = tmp_path / "locked.key"
    locked.touch(mode=0o600)
    openssl("ec", "-in", str(good.key), "-aes128", "-passout", "pass:secret", "-out", str(locked), folder=tmp_path)
    with pytest.raises(ConfigError, match="passphrase"):
        channel_credentials(TlsFiles(good.certificate, locked, good.authority))


@pytest.mark.parametrize("name", ["certificate", "key", "authority"])
def test_a_pipe_is_refused_instead_of_waited_for(lab, tmp_path, name):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    with pytest.raises(ConfigError, match=f"TLS {name} file .*pipe is no regular file"):
        channel_credentials(replace(lab["actor"], **{name: pipe}))


def test_a_key_that_others_may_read_is_refused(lab, tmp_path):
    good = lab["actor"]
    key = tmp_path / "key.pem"
    key.write_bytes(good.key.read_bytes())
    for mode in (0o640, 0o604, 0o620):
        key.chmod(mode)
        for credentials in (channel_credentials, server_credentials):
            with pytest.raises(ConfigError, match=f"mode {mode:o}, expected 600"):
                credentials(TlsFiles(good.certificate, key, good.authority))
    key.chmod(0o600)
    channel_credentials(TlsFiles(good.certificate, key, good.authority))


def test_a_certificate_that_is_over_is_named(tmp_path):
    old = TlsFiles(tmp_path / "old.pem", tmp_path / "key.pem", tmp_path / "old.pem")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "old")])
    yesterday = datetime.now(UTC) - timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, yesterday - timedelta(days=1), yesterday)
    old.certificate.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    write_private(old.key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ConfigError, match=r"ended on \d{4}-\d\d-\d\d: make a new one"):
        server_credentials(old)


# -- on loopback: the pair in the run's folder -----------------------------------------------------
def answers_in_plain_text(address):
    """Whether a hello without TLS gets an answer."""
    hello = protocol.to_json({"spec": SPEC.to_dict(), "policy_digest": POLICY})
    with grpc.insecure_channel(address, protocol.CHANNEL_OPTIONS) as channel:
        try:
            channel.unary_unary(protocol.method(protocol.HELLO))(hello, timeout=2)
        except grpc.RpcError:
            return False
    return True


def test_without_the_runs_secret_nobody_enters_on_loopback(tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    pair, other = run_pair(ours), run_pair(theirs)
    public = theirs / "public.pem"  # what anybody sees of the run who connects to its port
    public.write_bytes(x509.load_pem_x509_certificate(pair.certificate.read_bytes()).public_bytes(Encoding.PEM))
    endpoint = MemoryEndpoint()
    with LinkServer(endpoint, "127.0.0.1:0", pair) as server:
        assert not answers_in_plain_text(server.address)
        for files, expected in (
            (other, "CERTIFICATE_VERIFY_FAILED"),
            (TlsFiles(other.certificate, other.key, public), "is away, gave up"),
        ):
            with (
                LearnerClient(server.address, files, SHORT, notify=lambda line: None) as client,
                pytest.raises(LinkError, match=expected),
            ):
                client.hello(SPEC, POLICY)
        assert endpoint.hellos == 0
        with LearnerClient(server.address, pair, SHORT) as client:
            client.hello(SPEC, POLICY)
            assert client.put_episode(make_episode(1)) == Receipt(3, 1)


def test_a_squatter_on_the_port_hears_nothing_and_serves_no_weights(tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    squatter = MemoryEndpoint()
    with (
        LinkServer(squatter, "127.0.0.1:0", run_pair(theirs)) as server,
        LearnerClient(server.address, run_pair(ours), SHORT, notify=lambda line: None) as client,
        pytest.raises(LinkError, match="does not know the secret"),
    ):
        client.hello(SPEC, POLICY)
    assert squatter.hellos == 0


def test_a_squatter_without_tls_hears_nothing(tmp_path):
    heard = bytearray()

    def listen(listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.sendall(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")  # HTTP/2's first frame, as gRPC begins
                connection.settimeout(1.0)
                while piece := connection.recv(1 << 16):
                    heard.extend(piece)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=listen, args=(listener,), daemon=True)
        thread.start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with (
            LearnerClient(address, run_pair(tmp_path), SHORT, notify=lambda line: None) as client,
            pytest.raises(LinkError),
        ):
            client.hello(SPEC, POLICY)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert heard
    assert b"policy_digest" not in heard
    assert b"Hello" not in heard
