"""Who may connect: on loopback whoever can read the run's folder, otherwise a machine of the same authority.

Both sides always show a certificate and check the other's (TLS, so nobody reads or alters what passes). On loopback it
is the pair that lies in the run's folder. Otherwise there is one authority for the laboratory and one certificate for
each machine, with the name or IP under which the other one connects as `subjectAltName`. `robot.link.certificates`
makes all of them.
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import grpc
from cryptography import x509

from trajectories.errors import ConfigError
from trajectories.private_file import read_private

_PORT = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True)
class TlsFiles:
    """PEM files of one side.

    Attributes:
        certificate: This machine's certificate (chain).
        key: Its private key, without a passphrase, readable by this account only.
        authority: Certificate of the authority that signed the other side's certificate.
    """

    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True)
class _Pem:
    certificate: bytes
    key: bytes
    authority: bytes


def split_address(address: str, what: str = "the link's address", example: str = "127.0.0.1:50510") -> tuple[str, int]:
    """Host and port of "host:port" or "[ipv6]:port".

    Args:
        address: To split.
        what: Whose it is, for the error.
        example: A valid one, for the error.

    Raises:
        ConfigError: For anything else.
    """
    host, separator, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not separator or not bare or not _PORT.fullmatch(port) or int(port) > 65535 or (":" in bare and bare == host):
        raise ConfigError(f"{what} {address!r} is not valid: expected host:port, for example {example}")
    return bare, int(port)


def is_loopback(address: str) -> bool:
    """True when only this machine can reach `address`; names other than localhost count as other machines."""
    host, _ = split_address(address)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def server_configuration(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    """What a server shows, and of which authority its clients have to be.

    Raises:
        ConfigError: When the files don't work.
    """
    pem = _load(files, ssl.Purpose.CLIENT_AUTH)
    return grpc.ssl_server_certificate_configuration([(pem.key, pem.certificate)], root_certificates=pem.authority)


def channel_credentials(files: TlsFiles) -> grpc.ChannelCredentials:
    """Credentials of a client that shows a certificate and checks the server's.

    Raises:
        ConfigError: When the files don't work.
    """
    pem = _load(files, ssl.Purpose.SERVER_AUTH)
    return grpc.ssl_channel_credentials(
        root_certificates=pem.authority, private_key=pem.key, certificate_chain=pem.certificate
    )


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS of a server whose clients show no certificate, for a web page.

    Raises:
        ConfigError: When the files don't work.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    contents = _read({"certificate": certificate, "key": key})
    _load_pair(context, certificate, key, contents["certificate"], contents["key"])
    return context


def _load(files: TlsFiles, purpose: ssl.Purpose) -> _Pem:
    """The files' contents once OpenSSL has shown that they parse and that the key fits the certificate.

    What is shown to it are these very bytes: somebody may be replacing the files, and a certificate or key that is
    still empty makes gRPC abort the process.
    """
    contents = _read({"certificate": files.certificate, "key": files.key, "authority": files.authority})
    context = ssl.create_default_context(purpose)
    _load_pair(context, files.certificate, files.key, contents["certificate"], contents["key"])
    try:
        context.load_verify_locations(cadata=contents["authority"].decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"the TLS authority {files.authority} is not a PEM certificate ({error})") from error
    return _Pem(**contents)


def _read(named: dict[str, Path]) -> dict[str, bytes]:
    """Contents of the files; the key's mode is checked."""
    contents: dict[str, bytes] = {}
    for name, path in named.items():
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise ConfigError(f"the TLS {name} file {path} is no regular file: give the PEM file itself")
        try:
            contents[name] = read_private(Path(path)) if name == "key" else Path(path).read_bytes()
        except OSError as error:
            raise ConfigError(f"can't read the TLS {name} file {path}: {error.strerror}") from error
    return contents


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path, chain: bytes, secret: bytes) -> None:
    """Show the contents of certificate and key to OpenSSL, and the certificate's end to the clock."""
    try:
        with _named(chain) as chain_path, _named(secret) as secret_path:
            context.load_cert_chain(chain_path, secret_path, password=_no_passphrase)
        end = x509.load_pem_x509_certificate(chain).not_valid_after_utc
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(
            f"the TLS certificate {certificate} and key {key} don't work together: "
            f"expected two PEM files of one key pair, the key without a passphrase ({error})"
        ) from error
    if end <= datetime.now(UTC):
        raise ConfigError(
            f"the TLS certificate {certificate} ended on {end:%Y-%m-%d}: make a new one with `regrasp certificates`, "
            "or set this computer's clock right"
        )


@contextmanager
def _named(content: bytes) -> Iterator[str]:
    """A path of bytes in memory, for a library that reads files alone."""
    descriptor = os.memfd_create("tls")
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _no_passphrase() -> str:
    """Fail instead of asking on the terminal."""
    raise ValueError("the key is protected by a passphrase")
