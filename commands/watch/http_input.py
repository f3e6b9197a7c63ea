"""What an HTTP request says, checked: host, origin, token, length. Whatever is malformed is refused as such."""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection
from email.message import Message
from http import HTTPStatus
from urllib.parse import SplitResult, parse_qs, urlsplit

_DIGITS = re.compile(r"[0-9]{1,9}")
_BEARER = "Bearer "


class RefusedError(Exception):
    """A request that gets no answer but this.

    Attributes:
        status: HTTP's.
        text: For people.
    """

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


def target_of(path: str) -> SplitResult:
    """Path and query of a request line.

    Raises:
        RefusedError: When it is malformed.
    """
    try:
        return urlsplit(path)
    except ValueError as error:
        raise _malformed("target", path) from error


def require_host(headers: Message, names: Collection[str], url: str) -> str:
    """The `Host` header, once it names this server.

    A foreign name that suddenly points to this computer (DNS rebinding) gets nothing.

    Args:
        headers: Of the request.
        names: Lower-case DNS names and IP addresses of this server; "*.lab" stands for one label before ".lab".
        url: Where the page is, for messages.

    Raises:
        RefusedError: When there is not exactly one, or it is malformed or foreign.
    """
    given = headers.get_all("Host", [])
    if len(given) != 1:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"Expected one Host header, got {len(given)}.")
    try:
        parts = urlsplit(f"//{given[0]}")
        name, _ = parts.hostname, parts.port
    except ValueError as error:
        raise _malformed("Host", given[0]) from error
    if not name or parts.netloc != given[0] or "@" in given[0]:
        raise _malformed("Host", given[0])
    if name not in names and "*." + name.partition(".")[2] not in names:
        raise RefusedError(HTTPStatus.FORBIDDEN, f"This page is at {url}, not at {name!r}.")
    return given[0]


def require_origin(headers: Message, here: str, *, needed: bool) -> None:
    """Other web pages in the same browser ask for nothing here: an `Origin` is this page's.

    Args:
        headers: Of the request.
        here: Scheme and host by which it was asked, "https://robot.lab:8080".
        needed: Whether there must be one. Browsers send it with every POST, but with a GET only to other sites.

    Raises:
        RefusedError: When it is another.
    """
    given = headers.get_all("Origin", [])
    if (needed and not given) or any(origin.lower() != here.lower() for origin in given):
        raise RefusedError(HTTPStatus.FORBIDDEN, "Only this page itself may ask. Elsewhere use `regrasp say`.")


def require_token(headers: Message, query: str, token: str) -> None:
    """The token, in the header `Authorization: Bearer TOKEN` or, for the page itself, in the query `token=TOKEN`.

    The time that the comparison takes tells nothing about the token.

    Args:
        headers: Of the request.
        query: Of its target; empty where the token must be in the header.
        token: The right one.

    Raises:
        RefusedError: When it is missing, malformed or wrong.
    """
    given = [value.removeprefix(_BEARER) for value in headers.get_all("Authorization", []) if value.startswith(_BEARER)]
    try:
        given += parse_qs(query, max_num_fields=8).get("token", [])
        shown = [value.encode() for value in given]
    except ValueError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "The token is malformed.") from error
    if len(shown) != 1 or not hmac.compare_digest(shown[0], token.encode()):
        raise RefusedError(
            HTTPStatus.UNAUTHORIZED,
            "The token is missing or wrong: open the whole address that was printed at the newest start.",
        )


def length_of(headers: Message, most: int) -> int:
    """Size of the body, bytes.

    Raises:
        RefusedError: When it is not said, said twice, malformed or more than `most`.
    """
    given = headers.get_all("Content-Length", [])
    if headers.get("Transfer-Encoding") is not None or len(given) > 1:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "Expected one Content-Length and no Transfer-Encoding.")
    if not given:
        raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "Expected a Content-Length.")
    if not _DIGITS.fullmatch(given[0]):
        raise _malformed("Content-Length", given[0])
    if int(given[0]) > most:
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A request has at most {most} bytes.")
    return int(given[0])


def require_no_body(headers: Message) -> None:
    """Nothing follows the head of a GET.

    Raises:
        RefusedError: When something is announced.
    """
    if headers.get("Transfer-Encoding") is not None or headers.get("Content-Length", "0") != "0":
        raise RefusedError(HTTPStatus.BAD_REQUEST, "A GET has no body.")


def require_text(values: dict[str, object], *names: str) -> list[str]:
    """The entries of these names, texts; a missing one is empty.

    Raises:
        RefusedError: When one is no text, or one that can't be written as UTF-8 (a lone surrogate).
    """
    texts = []
    for name in names:
        text = values.get(name, "")
        if not isinstance(text, str):
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"Expected {name!r} to be a text, got {type(text).__name__}.")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise _malformed(name, text) from error
        texts.append(text)
    return texts


def require_texts(values: dict[str, object], name: str) -> list[str]:
    """The entry of this name, a list of texts; a missing one is empty.

    Raises:
        RefusedError: When it is no list, or as in `require_text`.
    """
    texts = values.get(name, [])
    if not isinstance(texts, list):
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"Expected {name!r} to be a list, got {type(texts).__name__}.")
    return [text for number in range(len(texts)) for text in require_text({name: texts[number]}, name)]


def _malformed(what: str, given: str) -> RefusedError:
    return RefusedError(HTTPStatus.BAD_REQUEST, f"{what} {given[:80]!a} is malformed.")
