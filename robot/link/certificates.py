"""Certificates (X.509, RFC 5280) for the link and the watch page: an authority, machines, and the pair of one run.

    authority    certificate and key of a laboratory; signs the certificates of its machines
    machine      certificate and key of a computer, signed by the authority, for the names under which it is reached
    run          certificate and key that a run keeps in its folder: both ends of a link on loopback show this
                 certificate and accept no other, so each of them has read the folder's key

Keys are ECDSA over P-256, which browsers accept, too. Files are PEM; keys have mode 600 and no passphrase. Nothing is
ever overwritten.
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from robot.link.tls import TlsFiles
from trajectories.durable import delete_tree, sync_folder
from trajectories.errors import ConfigError
from trajectories.private_file import read_private, write_private

AUTHORITY_DAYS = 3650
MACHINE_DAYS = 825
"""The most that Apple's browsers accept from an authority that a person installed (HT210176)."""
CERTIFICATE, KEY, AUTHORITY, AUTHORITY_KEY = "certificate.pem", "key.pem", "authority.pem", "authority.key"
RUN_PAIR = "link.pem"
_EARLIER = timedelta(hours=1)  # a machine whose clock is a little behind accepts a new certificate, too
_NO_END = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280, 4.1.2.5: no well-defined expiration
_NO_START = datetime(1970, 1, 2, tzinfo=UTC)  # a computer without a battery for its clock may start in 1970
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_LONGEST_COMMON_NAME = 64  # RFC 5280, upper bound in appendix A.1
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DNS = re.compile(rf"{_LABEL}(\.{_LABEL})*", re.IGNORECASE)
_NUMBERS = re.compile(r"[0-9]+(\.[0-9]+)+")
"""A mistyped IP address: no host is called so (RFC 1123, 2.1)."""
_Key = ec.EllipticCurvePrivateKey


def make_authority(folder: Path, name: str) -> Path:
    """Make a laboratory's authority, `authority.pem` and `authority.key` in `folder`; returns the certificate's path.

    Args:
        folder: Made where it isn't there, with mode 700.
        name: Common name, for people.

    Raises:
        ConfigError: When there is one already, the name is empty, or the folder can't be written.
    """
    if not name.isprintable() or not name.strip():
        raise ConfigError(f"the authority's name {name!r} is expected to be a few printable characters")
    _refuse_existing(folder / AUTHORITY, folder / AUTHORITY_KEY)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        _described(name, name, key, now - _EARLIER, now + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    certificate = builder.sign(key, hashes.SHA256())
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(folder / AUTHORITY_KEY, _key_pem(key))
        _write_public(folder / AUTHORITY, certificate)
        sync_folder(folder)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return folder / AUTHORITY


def make_machine(folder: Path, machine: str, names: Sequence[str] = ()) -> TlsFiles:
    """Make a machine's certificate in `folder/machine`: `certificate.pem`, `key.pem`, and a copy of `authority.pem`.

    That folder is all that the machine needs, to serve and to connect.

    Args:
        folder: With the authority of `make_authority`.
        machine: Its host name; also the folder's name.
        names: More DNS names and IP addresses under which others reach it.

    Raises:
        ConfigError: When the authority is missing, broken or over, a name is none, or the machine has a certificate.
    """
    if not _DNS.fullmatch(machine):
        raise ConfigError(f"machine={machine!r} is no host name: expected one like gpu or robot.lab.example")
    authority, authority_key = _load_authority(folder)
    target = folder / machine
    _refuse_existing(target)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    end = min(now + timedelta(days=MACHINE_DAYS), authority.not_valid_after_utc)
    builder = _end_entity(
        _described(machine, authority.subject, key, max(now - _EARLIER, authority.not_valid_before_utc), end),
        dict.fromkeys([machine, *names]),
    ).add_extension(_issued_by(authority), critical=False)
    certificate = builder.sign(authority_key, hashes.SHA256())
    part = folder / f".{machine}.{secrets.token_hex(4)}.part"
    try:
        part.mkdir(mode=0o700)
        write_private(part / KEY, _key_pem(key))
        _write_public(part / CERTIFICATE, certificate)
        _write_public(part / AUTHORITY, authority)
        sync_folder(part)
        part.rename(target)  # whole or not at all
        sync_folder(folder)
    except OSError as error:
        delete_tree(part)
        raise _unwritable(target, error) from error
    return TlsFiles(target / CERTIFICATE, target / KEY, target / AUTHORITY)


def run_pair(folder: Path) -> TlsFiles:
    """The pair with which both ends of a run's link on loopback know each other; made by whoever comes first.

    One file, `link.pem` with mode 600, holds key and certificate. The certificate is its own authority and has no end.

    Args:
        folder: The run's, on this machine; it must exist.

    Raises:
        ConfigError: When the file is broken, can't be written, or others may read it.
    """
    path = folder / RUN_PAIR
    try:
        if not path.exists():
            _make_run_pair(path)
        content = read_private(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        x509.load_pem_x509_certificate(content)
    except ValueError as error:
        raise ConfigError(f"{path} is damaged ({error}): delete it and start learner and actor anew.") from error
    return TlsFiles(path, path, path)


def names_of(certificate: Path) -> tuple[str, ...]:
    """DNS names and IP addresses for which a certificate (the first of the file) is valid, in lower case.

    Raises:
        ConfigError: When the file can't be read or is no certificate.
    """
    found = load_certificate(certificate)
    try:
        alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    names = alternatives.get_values_for_type(x509.DNSName)
    addresses = alternatives.get_values_for_type(x509.IPAddress)
    return tuple(name.lower() for name in names) + tuple(map(str, addresses))


def load_certificate(path: Path) -> x509.Certificate:
    """The first certificate of a PEM file.

    Raises:
        ConfigError: When the file can't be read or holds none.
    """
    try:
        return x509.load_pem_x509_certificate(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"can't read a PEM certificate from {path}: {error}") from error


def fingerprint(path: Path) -> str:
    """SHA-256 of a certificate as browsers show it, "AB:CD:...".

    Raises:
        ConfigError: When the file can't be read or is no certificate.
    """
    return load_certificate(path).fingerprint(hashes.SHA256()).hex(":").upper()


def _make_run_pair(path: Path) -> None:
    """Of several processes that come at once the first one's file stays."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = f"regrasp run {secrets.token_hex(4)}"
    certificate = _end_entity(_described(name, name, key, _NO_START, _NO_END), _LOOPBACK).sign(key, hashes.SHA256())
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        write_private(part, _key_pem(key) + certificate.public_bytes(serialization.Encoding.PEM))
        with suppress(FileExistsError):
            os.link(part, path)
        sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _described(
    name: str, issuer: str | x509.Name, key: _Key, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    """What every certificate says."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_LONGEST_COMMON_NAME])])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if isinstance(issuer, str) else issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _end_entity(builder: x509.CertificateBuilder, names: Iterable[str]) -> x509.CertificateBuilder:
    """A certificate that serves and connects, and signs no other."""
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if not _DNS.fullmatch(name) or _NUMBERS.fullmatch(name):
        raise ConfigError(f"names: {name!r} is neither a host name (robot.lab.example) nor an IP address (192.168.1.7)")
    return x509.DNSName(name)


def _issued_by(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _load_authority(folder: Path) -> tuple[x509.Certificate, _Key]:
    """Certificate and key of the authority in a folder."""
    if not (folder / AUTHORITY).exists():
        raise ConfigError(f"There is no authority in {folder}: make it first, `regrasp certificates folder={folder}`.")
    certificate = load_certificate(folder / AUTHORITY)
    try:
        key = serialization.load_pem_private_key(read_private(folder / AUTHORITY_KEY), None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"can't read the authority's key {folder / AUTHORITY_KEY}: {error}") from error
    if not isinstance(key, _Key) or key.public_key() != certificate.public_key():
        raise ConfigError(f"{folder / AUTHORITY_KEY} is not the key of {folder / AUTHORITY}: put the right one there.")
    if certificate.not_valid_after_utc <= datetime.now(UTC):
        raise ConfigError(
            f"The authority in {folder} ended on {certificate.not_valid_after_utc:%Y-%m-%d}: make a new one in another "
            "folder, and new certificates for every machine."
        )
    return certificate, key


def _refuse_existing(*paths: Path) -> None:
    for path in paths:
        if path.exists() or path.is_symlink():
            raise ConfigError(
                f"{path} is there already and is not overwritten, since other machines may trust it. Move it away if "
                "you want a new one."
            )


def _key_pem(key: _Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_public(path: Path, certificate: x509.Certificate) -> None:
    with path.open("xb") as file:
        file.write(certificate.public_bytes(serialization.Encoding.PEM))
        file.flush()
        os.fsync(file.fileno())


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"can't write {path}: {error.strerror or error}")
