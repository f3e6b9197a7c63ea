"""Who may connect: anybody on this machine; off loopback whoever holds a certificate of the same authority.

Off loopback both sides show a certificate. One authority for the laboratory, one certificate for each machine
with the name or IP under which the other one connects as `subjectAltName`.
"""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from trajectories.errors import ConfigError


@dataclass(frozen=True)
class TlsFiles:
    """PEM files of one side.

    Attributes:
        certificate: This machine's certificate (chain).
        key: Its private key, without a passphrase.
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


def split_address(address: str) -> tuple[str, int]:
    """Host and port of "host:port" or "[ipv6]:port".

    Raises:
        ConfigError: For anything else.
    """
    host, separator, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not separator or not bare or not port.isdigit() or int(port) > 65535 or (":" in bare and bare == host):
        raise ConfigError(
            f"the link's address {address!r} is not valid: expected host:port, for example 127.0.0.1:50510"
        )
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


def server_credentials(address: str, files: TlsFiles | None) -> grpc.ServerCredentials | None:
    """Credentials of a server that only lets in clients with a certificate; None: plain text on loopback.

    Raises:
        ConfigError: Off loopback without files, or when the files don't work.
    """
    pem = _load(address, files, ssl.Purpose.CLIENT_AUTH)
    if pem is None:
        return None
    return grpc.ssl_server_credentials(
        [(pem.key, pem.certificate)], root_certificates=pem.authority, require_client_auth=True
    )


def channel_credentials(address: str, files: TlsFiles | None) -> grpc.ChannelCredentials | None:
    """Credentials of a client that shows a certificate and checks the server's; None: plain text on loopback.

    Raises:
        ConfigError: Off loopback without files, or when the files don't work.
    """
    pem = _load(address, files, ssl.Purpose.SERVER_AUTH)
    if pem is None:
        return None
    return grpc.ssl_channel_credentials(
        root_certificates=pem.authority, private_key=pem.key, certificate_chain=pem.certificate
    )


def _load(address: str, files: TlsFiles | None, purpose: ssl.Purpose) -> _Pem | None:
    """The files' contents once OpenSSL has shown that they parse and that the key fits the certificate."""
    if files is None:
        if is_loopback(address):
            return None
        raise ConfigError(
            f"the link's address {address} can be reached from other machines, so it needs mutual TLS: "
            "give the PEM files of certificate, key and authority, or a loopback address like 127.0.0.1:50510"
        )
    named = {"certificate": files.certificate, "key": files.key, "authority": files.authority}
    contents: dict[str, bytes] = {}
    for name, path in named.items():
        try:
            contents[name] = Path(path).read_bytes()
        except OSError as error:
            raise ConfigError(f"can't read the link's TLS {name} file {path}: {error.strerror}") from error
    context = ssl.create_default_context(purpose)
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_passphrase)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(
            f"the link's TLS certificate {files.certificate} and key {files.key} don't work together: "
            f"expected two PEM files of one key pair, the key without a passphrase ({error})"
        ) from error
    try:
        context.load_verify_locations(cafile=files.authority)
    except ssl.SSLError as error:
        raise ConfigError(f"the link's TLS authority {files.authority} is not a PEM certificate ({error})") from error
    return _Pem(**contents)


def _no_passphrase() -> str:
    """Fail instead of asking on the terminal."""
    raise ValueError("the key is protected by a passphrase")
