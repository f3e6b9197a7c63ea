"""Certificates are renewed without a stop, and a wrong, expired or foreign one is refused by its name."""

import shutil
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from helpers.link_data import POLICY, SPEC, MemoryEndpoint, make_episode

from robot.fleet import ActorIdentity
from robot.interfaces import Receipt
from robot.link import renewal, tls
from robot.link.certificates import AUTHORITY_KEY, load_certificate, make_authority, make_machine
from robot.link.client import LearnerClient
from robot.link.patience import Patience
from robot.link.refusal import why_refused
from robot.link.renewal import Renewal
from robot.link.server import LinkServer
from robot.link.tls import TlsFiles, channel_credentials, server_configuration
from trajectories.errors import ConfigError, LinkError

SHORT = Patience(call_s=20, transfer_s=20, away_s=0.5, first_back_off_s=0.1, longest_back_off_s=0.2)
PATIENT = Patience(call_s=20, transfer_s=20, away_s=60, first_back_off_s=0.1, longest_back_off_s=0.2)


@pytest.fixture
def lab(tmp_path):
    make_authority(tmp_path / "lab", "our lab")
    return tmp_path / "lab"


def renew(folder, files, machine):
    """As a person does: make it anew, and put the three files where the ones before lie."""
    shutil.rmtree(folder / machine)
    fresh = make_machine(folder, machine, ["127.0.0.1"])
    assert fresh == files


def dated(files, start, end):
    """The certificate of the same machine, by the same authority, with other dates."""
    authority = files.certificate.parent.parent
    key = serialization.load_pem_private_key((authority / AUTHORITY_KEY).read_bytes(), None)
    old = load_certificate(files.certificate)
    builder = x509.CertificateBuilder(
        old.issuer, old.subject, old.public_key(), x509.random_serial_number(), start, end, list(old.extensions)
    )
    files.certificate.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def shown(address):
    """The certificate that a server shows to a new connection."""
    host, _, port = address.rpartition(":")
    return x509.load_pem_x509_certificate(ssl.get_server_certificate((host, int(port))).encode())


@contextmanager
def unchecked_server(files):
    """A server that shows its certificate whatever the clock says, as one that has run for years does."""
    server = grpc.server(ThreadPoolExecutor(1))
    pairs = [(files.key.read_bytes(), files.certificate.read_bytes())]
    credentials = grpc.ssl_server_credentials(pairs, files.authority.read_bytes(), require_client_auth=True)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0)


def test_a_learner_shows_its_new_certificate_to_new_connections_and_the_old_ones_go_on(lab):
    mine, theirs = make_machine(lab, "gpu", ["127.0.0.1"]), make_machine(lab, "robot")
    endpoint = MemoryEndpoint()
    with LinkServer(endpoint, "127.0.0.1:0", mine) as server, LearnerClient(server.address, theirs, SHORT) as before:
        before.hello(SPEC, POLICY)
        first = shown(server.address)
        renew(lab, mine, "gpu")
        second = shown(server.address)
        assert second == load_certificate(mine.certificate) != first
        assert before.put_episode(make_episode(1)) == Receipt(3, 1)
        with LearnerClient(server.address, theirs, SHORT, identity=ActorIdentity("other")) as after:
            after.hello(SPEC, POLICY)
        mine.certificate.write_bytes(theirs.certificate.read_bytes())  # its key hasn't been copied yet
        assert shown(server.address) == second
        assert before.put_episode(make_episode(2)) == Receipt(6, 2)
    assert endpoint.hellos == 2


def test_an_actor_connects_with_its_new_certificate_without_a_new_start(tmp_path, lab):
    """Even of another authority, whose learner it couldn't have believed before."""
    make_authority(tmp_path / "next", "next lab")
    mine, theirs = make_machine(lab, "gpu", ["127.0.0.1"]), make_machine(lab, "robot")
    mine_next, theirs_next = (
        make_machine(tmp_path / "next", "gpu", ["127.0.0.1"]),
        make_machine(tmp_path / "next", "robot"),
    )
    endpoint, lines = MemoryEndpoint(), []
    with LinkServer(endpoint, "127.0.0.1:0", mine) as server:
        client = LearnerClient(server.address, theirs, PATIENT, notify=lines.append)
        client.hello(SPEC, POLICY)
    for name in ("certificate", "key", "authority"):
        getattr(theirs, name).write_bytes(getattr(theirs_next, name).read_bytes())
    with client, LinkServer(endpoint, server.address, mine_next):
        assert client.put_episode(make_episode(1)) == Receipt(3, 1)
    assert any("is new and in use for new connections" in line for line in lines)  # one line, or two, by when it looked


def test_an_actor_waits_while_its_learner_has_a_new_authority_before_itself(tmp_path, lab):
    """It looks like a stranger meanwhile."""
    make_authority(tmp_path / "next", "next lab")
    theirs, fresh = make_machine(lab, "robot"), make_machine(tmp_path / "next", "robot")
    before, after = make_machine(lab, "gpu", ["127.0.0.1"]), make_machine(tmp_path / "next", "gpu", ["127.0.0.1"])
    endpoint, strange = MemoryEndpoint(), []

    def replace_once_strange(line):
        if "is away (it shows the certificate of 'gpu' issued by 'next lab'" in line:
            strange.append(line)
            for name in ("authority", "certificate", "key"):
                getattr(theirs, name).write_bytes(getattr(fresh, name).read_bytes())

    with LinkServer(endpoint, "127.0.0.1:0", before) as server:
        client = LearnerClient(server.address, theirs, PATIENT, notify=replace_once_strange)
        client.hello(SPEC, POLICY)
    with client, LinkServer(endpoint, server.address, after):
        assert client.put_episode(make_episode(1)) == Receipt(3, 1)
    assert len(strange) == 1


@pytest.mark.parametrize("name", ["certificate", "key", "authority"])
def test_a_file_that_is_being_replaced_is_never_half_in_use(lab, monkeypatch, name):
    """It is empty as it is read and complete a moment later: gRPC would abort the process."""
    files = make_machine(lab, "robot")
    early, read_now = getattr(files, name), Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: b"" if path == early else read_now(path))
    monkeypatch.setattr(tls, "read_private", Path.read_bytes)
    for load in (channel_credentials, server_configuration):
        with pytest.raises(ConfigError, match=r"don't work together|is not a PEM certificate"):
            load(files)


def test_a_foreign_actor_is_told_whose_certificate_is_refused(tmp_path, lab):
    make_authority(tmp_path / "elsewhere", "another lab")
    mine, foreign = make_machine(lab, "gpu", ["127.0.0.1"]), make_machine(tmp_path / "elsewhere", "robot")
    pretender = TlsFiles(foreign.certificate, foreign.key, mine.authority)
    expected = r"it refuses the certificate of 'robot' issued by 'another lab', .* UTC, from .*certificate\.pem"
    with (
        LinkServer(MemoryEndpoint(), "127.0.0.1:0", mine) as server,
        LearnerClient(server.address, pretender, SHORT, notify=lambda line: None) as client,
        pytest.raises(LinkError, match=expected),
    ):
        client.hello(SPEC, POLICY)


def test_an_actor_whose_certificate_ended_meanwhile_is_told_so(lab):
    mine, theirs = make_machine(lab, "gpu", ["127.0.0.1"]), make_machine(lab, "robot")
    with LinkServer(MemoryEndpoint(), "127.0.0.1:0", mine) as server:
        assert why_refused(server.address, theirs) is None
        dated(theirs, datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 6, 1, tzinfo=UTC))
        why = why_refused(server.address, theirs)
    assert "refuses the certificate of 'robot' issued by 'our lab', valid from 2020-01-01 00:00 to 2020-06-01" in why
    assert "; it is over: make a new one with `regrasp certificates`" in why


@pytest.mark.parametrize(
    ("start", "end", "complaint"),
    [
        (2020, 2021, "to 2021-01-01 00:00 UTC; it is over: make a new one"),
        (2090, 2091, "valid from 2090-01-01 00:00 to .*; it isn't valid yet: is a clock wrong"),
    ],
)
def test_a_learner_whose_certificate_is_not_valid_now_is_refused_by_its_name(lab, start, end, complaint):
    mine, theirs = make_machine(lab, "gpu", ["127.0.0.1"]), make_machine(lab, "robot")
    dated(mine, datetime(start, 1, 1, tzinfo=UTC), datetime(end, 1, 1, tzinfo=UTC))
    with (
        unchecked_server(mine) as address,
        LearnerClient(address, theirs, SHORT, notify=lambda line: None) as client,
        pytest.raises(LinkError, match=f"shows the certificate of 'gpu' issued by 'our lab'.*{complaint}"),
    ):
        client.hello(SPEC, POLICY)


def test_a_foreign_learner_is_refused_by_its_name_and_the_expected_authority(tmp_path, lab):
    make_authority(tmp_path / "elsewhere", "another lab")
    foreign, theirs = make_machine(tmp_path / "elsewhere", "gpu", ["127.0.0.1"]), make_machine(lab, "robot")
    with (
        LinkServer(MemoryEndpoint(), "127.0.0.1:0", foreign) as server,
        LearnerClient(server.address, theirs, SHORT, notify=lambda line: None) as client,
        pytest.raises(LinkError, match=r"'gpu' issued by 'another lab'.*expected one issued by .*'our lab'"),
    ):
        client.hello(SPEC, POLICY)


def test_a_learner_under_another_name_is_told_with_the_names_of_its_certificate(lab):
    mine, theirs = make_machine(lab, "gpu", ["10.9.8.7"]), make_machine(lab, "robot")
    with LinkServer(MemoryEndpoint(), "127.0.0.1:0", mine) as server:
        why = why_refused(server.address, theirs)
    assert why.endswith("it is for gpu, 10.9.8.7, not for 127.0.0.1")


@pytest.mark.parametrize(("days", "said"), [(40, None), (29, "in 28 days"), (1.5, "in 1 day;"), (0.1, "in 0 days")])
def test_a_certificate_that_ends_soon_is_spoken_of_at_the_start_and_once_a_day(lab, monkeypatch, days, said):
    files, now, lines = make_machine(lab, "gpu", ["127.0.0.1"]), datetime.now(UTC), []
    dated(files, now - timedelta(days=800), now + timedelta(days=days))
    held = Renewal(files, server_configuration, lines.append)
    assert held.newer() is None
    assert len(lines) == (said is not None)
    if said is not None:
        assert said in lines[0]
        assert str(files.certificate) in lines[0]
        monkeypatch.setattr(renewal, "_AGAIN_AFTER_S", 0.0)
        assert held.newer() is None
        assert len(lines) == 2
        renew(lab, files, "gpu")
        assert held.newer() is not None
        assert len(lines) == 3
        assert "is new and in use" in lines[2]


def test_the_end_of_files_in_use_is_still_said_where_new_ones_do_not_work(lab, monkeypatch):
    files, now, lines = make_machine(lab, "gpu", ["127.0.0.1"]), datetime.now(UTC), []
    dated(files, now - timedelta(days=800), now + timedelta(days=19.5))
    held = Renewal(files, server_configuration, lines.append)
    files.certificate.write_bytes(make_machine(lab, "other").certificate.read_bytes())  # without its key
    monkeypatch.setattr(renewal, "_AGAIN_AFTER_S", 0.0)
    assert held.newer() is None
    assert held.newer() is None
    assert ["in 19 days" in line for line in lines] == [True, False, True, True]
    assert "new TLS files don't work" in lines[1]


def test_a_terminal_that_is_gone_keeps_no_new_certificate_out(lab):
    files = make_machine(lab, "gpu", ["127.0.0.1"])

    def gone(line):
        raise OSError(line)

    held = Renewal(files, server_configuration, gone)
    renew(lab, files, "gpu")
    assert held.newer() is not None


def test_of_several_authorities_the_last_to_end_counts_and_one_that_is_over_is_said_to_be(lab, tmp_path):
    files, now = make_machine(lab, "gpu", ["127.0.0.1"]), datetime.now(UTC)
    make_authority(tmp_path / "later", "later")
    mine = load_certificate(files.authority).not_valid_after_utc
    both = files.authority.read_bytes() + (tmp_path / "later" / "authority.pem").read_bytes()
    files.authority.write_bytes(both)
    assert max(one.at for one in renewal._ends_of(files)) >= mine
    ended = [renewal.End(now - timedelta(days=100), "authority's certificate", files.authority)]
    assert "ended on" in renewal.near_end(ended, now)
    assert renewal.near_end([], now) is None
    files.authority.write_bytes(b"no certificate")
    assert [one.what for one in renewal._ends_of(files)] == ["certificate"]
