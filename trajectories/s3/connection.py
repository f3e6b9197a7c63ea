"""The connection to a bucket, by obstore: time-outs, a bounded number of tries, and errors that say what to do.

The server and the key to it are what the environment says, as for AWS's own tools:

    AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL             the server; without them Amazon's, in the region
    AWS_REGION, AWS_DEFAULT_REGION                    us-east-1 without them
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY          the key, and AWS_SESSION_TOKEN of one that expires;
    AWS_SKIP_SIGNATURE=true                           none: a bucket that everybody may read

A key is told to nobody but the server, and only by signing: it is in no address, message or file.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from trajectories.errors import ConfigError, MissingDependencyError, StoreError

if TYPE_CHECKING:
    from obstore.store import S3Store

Made = TypeVar("Made")

RETRIES = 6
"""Further tries after a server that doesn't answer, or answers that it can't now."""
RETRY_S = 60.0
"""No further try begins later than this, seconds."""
CONNECT_S, READ_S, WHOLE_S = 5, 30, 600
"""To reach the server; between two pieces of an answer; for a whole answer, seconds."""
AT_ONCE = 16
"""Requests under way at a time."""
_LOOK_S = 0.5
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_OTHER_KEYS = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_KEY_REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "ExpiredToken", "InvalidToken")
_WRONG_REGION = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")


class S3Error(StoreError):
    """A bucket can't be read or written; proves nothing about what is in it."""


@dataclass(frozen=True)
class S3Object:
    """What a listing says of an object.

    Attributes:
        size: Bytes.
        mark: Changes with the content: the server's ETag, or the time of the last change where it gives none.
    """

    size: int
    mark: str


@dataclass(frozen=True)
class Connection:
    """To one bucket; may be used by several threads.

    Requests run in a thread of their own that nobody waits for at the end: Ctrl-C needs no answer of the server.

    Attributes:
        bucket: Its name.
        server: Its server, for a person.
        store: obstore's side of it.
        loop: Runs the requests.
        places: For so many requests under way at a time.
    """

    bucket: str
    server: str
    store: S3Store
    loop: asyncio.AbstractEventLoop
    places: asyncio.Semaphore

    def read(self, key: str) -> Future[bytes]:
        """Begin to read an object; `answer` gives it.

        Raises:
            FileNotFoundError: From `answer`: there is none.
            S3Error: From `answer`: the bucket can't be read.
        """

        async def ask() -> bytes:
            return bytes(await (await self.store.get_async(key)).bytes_async())

        return self._begin("read", key, ask)

    def write(self, key: str, content: bytes) -> Future[None]:
        """Begin to write an object, whole or not at all: as one request, whose signature covers every byte.

        Raises:
            S3Error: From `answer`: the server refuses.
        """

        async def ask() -> None:
            await self.store.put_async(key, content, use_multipart=False)

        return self._begin("written", key, ask)

    def listed(self, key: str) -> dict[str, S3Object]:
        """Everything below `key`: key relative to it -> object.

        Raises:
            S3Error: The bucket can't be listed.
        """
        prefix = f"{key}/" if key else ""

        async def ask() -> dict[str, S3Object]:
            found = await self.store.list(prefix or None).collect_async()
            return {one["path"].removeprefix(prefix): S3Object(one["size"], _mark(one)) for one in found}

        return answer(self._begin("listed", key, ask))

    def _begin(self, done: str, key: str, ask: Callable[[], Coroutine[Any, Any, Made]]) -> Future[Made]:
        from obstore.exceptions import BaseError

        async def asked() -> Made:
            try:
                async with self.places:
                    return await ask()
            except FileNotFoundError as error:
                if "<Code>NoSuchBucket<" in str(error):
                    raise self._error(done, key, error) from None
                raise FileNotFoundError(2, "there is no such object", f"s3://{self.bucket}/{key}") from None
            except BaseError as error:
                raise self._error(done, key, error) from None

        return asyncio.run_coroutine_threadsafe(asked(), self.loop)

    def _error(self, done: str, key: str, error: Exception) -> S3Error:
        return S3Error(f"s3://{self.bucket}/{key} can't be {done} at {self.server}: {reason(error, self.bucket)}")


def answer(asked: Future[Made]) -> Made:
    """The result of a request; raises what went wrong.

    Waits in pieces: a signal that comes just before a wait begins is otherwise not looked at until the wait is over.
    """
    while True:
        try:
            return asked.result(_LOOK_S)
        except TimeoutError:
            if asked.done():
                raise


def _mark(found: Mapping[str, Any]) -> str:
    return str(found["e_tag"] or found["last_modified"])


def reason(error: Exception, bucket: str) -> str:
    """What an error of obstore's means and what to do, for a person."""
    text = str(error).partition("Debug source:")[0]
    code = next(iter(re.findall(r"<Code>(\w+)<", text)), "")
    tries = next(iter(re.findall(r"after (\d+) retries", text)), "0")
    if code == "NoSuchBucket":
        return f"there is no bucket {bucket!r}. Make it, or correct the address or AWS_ENDPOINT_URL."
    if code in _KEY_REFUSED or type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError"):
        return (
            f"the server refuses the key ({code or 'no reason given'}). Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY "
            "and AWS_SESSION_TOKEN, and what this key may do with the bucket."
        )
    if code in _WRONG_REGION or "301 Moved" in text:
        return f"the bucket is in another region ({code}). Set AWS_REGION to its own."
    if "HTTP error" in text:
        what = re.sub(r"\s+", " ", text.rpartition("HTTP error:")[2]).strip()
        return (
            f"no whole answer in {int(tries) + 1} tries ({what}). Check AWS_ENDPOINT_URL, the network and the server, "
            "then give the same command again."
        )
    message = next(iter(re.findall(r"<Message>([^<]*)<", text)), "")
    status = next(iter(re.findall(r"status code: ([\w ]+)", text)), "")
    said = " ".join(part for part in (status, code, message) if part) or re.sub(r"\s+", " ", text)[:300].strip()
    return f"{said} ({int(tries) + 1} tries)."


def connect(bucket: str) -> Connection:
    """The connection to a bucket of the server that the environment names; the same for the same environment.

    Raises:
        ConfigError: The environment names no key, or no possible server.
        MissingDependencyError: obstore is not installed.
    """
    endpoint = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), "")
    if endpoint and not re.fullmatch(r"https?://[\w.\[\]:-]+/?", endpoint):
        variable = next(name for name in _ENDPOINTS if os.environ.get(name))
        raise ConfigError(f"{variable} is no address of a server; expected e.g. https://s3.example.org:9000.")
    signs = os.environ.get("AWS_SKIP_SIGNATURE", "").lower() not in ("true", "1")
    given = all(os.environ.get(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    if signs and not given and not any(map(os.environ.get, _OTHER_KEYS)):
        raise ConfigError(
            f"There is no key to s3://{bucket}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_ENDPOINT_URL "
            "where the server isn't Amazon's), or AWS_SKIP_SIGNATURE=true for a bucket that everybody may read."
        )
    environment = tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))
    return _connection(bucket, endpoint, environment, os.getpid())


@lru_cache(maxsize=8)
def _connection(bucket: str, endpoint: str, environment: tuple[tuple[str, str], ...], process: int) -> Connection:
    """One for each environment, which obstore reads by itself, and each process: the thread doesn't outlive a fork."""
    try:
        from obstore.store import S3Store
    except ImportError as error:
        raise MissingDependencyError(
            f"Addresses s3://… need obstore, which does not load ({error}); run `pip install obstore`."
        ) from error
    second = timedelta(seconds=1)
    options: dict[str, Any] = {
        "connect_timeout": CONNECT_S * second,
        "read_timeout": READ_S * second,
        "timeout": WHOLE_S * second,
        "allow_http": endpoint.startswith("http://"),
    }
    backoff = {"init_backoff": 0.1 * second, "max_backoff": 5 * second, "base": 2}
    retries: Any = {"max_retries": RETRIES, "retry_timeout": RETRY_S * second, "backoff": backoff}
    store = S3Store(bucket, client_options=options, retry_config=retries)  # type: ignore[arg-type]
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name=f"s3 {bucket}", daemon=True).start()
    return Connection(bucket, endpoint or "Amazon S3", store, loop, asyncio.Semaphore(AT_ONCE))
