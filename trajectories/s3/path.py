"""Addresses of things in a bucket, s3://BUCKET/KEY, with as much of `pathlib.Path` as a reader of a store needs."""

from __future__ import annotations

import os
import re
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path

from trajectories.errors import ConfigError
from trajectories.s3.connection import Connection, S3Object, answer, connect

SCHEME = "s3://"
ELSEWHERE = (
    "what is recorded and learned goes to a disk. Give a folder; `regrasp export store=FOLDER to=s3://BUCKET/PREFIX` "
    "then copies a store there, to be read from other machines."
)
"""What to do where somebody wants to write to an address."""
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_KEY = re.compile(r"[\w.=+@-]+(/[\w.=+@-]+)*", re.ASCII)


def default_folder() -> Path:
    """`regrasp/episodes` in the user's folder for caches."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regrasp" / "episodes"


@dataclass(frozen=True)
class CopySettings:
    """Where copies of what was read from buckets are kept, and how much of it.

    Attributes:
        folder: On a disk of this machine; made when there is something to keep.
        most_bytes: At most so much is kept; 0 keeps nothing.
    """

    folder: Path = field(default_factory=default_folder)
    most_bytes: int = 50 * 10**9


@dataclass(frozen=True)
class S3Path:
    """The address of an object, or of all objects below it.

    Which server it is, and the key to it, say the variables that AWS's own tools read (`trajectories.s3.connection`);
    an address never holds a secret.

    Attributes:
        bucket: Its name.
        key: Parts with "/" between them; empty for the bucket itself.
        copies: Where copies of episodes below it are kept.
    """

    bucket: str
    key: str = ""
    copies: CopySettings = field(default_factory=CopySettings, repr=False, compare=False)

    @classmethod
    def of(cls, text: str, copies: CopySettings | None = None) -> S3Path:
        """From s3://BUCKET/KEY.

        Raises:
            ConfigError: It is no such address; what is wrong with it, without what may be a secret in it.
        """
        bucket, _, key = text.removeprefix(SCHEME).partition("/")
        key = key.rstrip("/")
        if "@" in bucket or ":" in bucket:
            raise ConfigError(
                f"An address {SCHEME}… has no key and no server in it; expected {SCHEME}BUCKET/PREFIX. "
                "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL say these."
            )
        if not text.startswith(SCHEME) or not _BUCKET.fullmatch(bucket):
            raise ConfigError(
                f"{text!r} is no address in a bucket; expected {SCHEME}BUCKET/PREFIX with 3 to 63 lower-case letters, "
                "digits, dots or hyphens for the bucket."
            )
        if key and (not _KEY.fullmatch(key) or {".", ".."} & set(key.split("/"))):
            raise ConfigError(
                f"{text!r} has a prefix that no store can have; expected names of letters, digits and . _ - + = @ with "
                "single slashes between them."
            )
        return cls(bucket, key, copies or CopySettings())

    def __str__(self) -> str:
        return SCHEME + "/".join(self.parts[1:])

    def __truediv__(self, name: str) -> S3Path:
        return replace(self, key=f"{self.key}/{name}".lstrip("/"))

    @property
    def name(self) -> str:
        """The last part."""
        return self.parts[-1]

    @property
    def parts(self) -> tuple[str, ...]:
        """The scheme, the bucket and the parts of the key."""
        return (SCHEME, self.bucket, *(self.key.split("/") if self.key else ()))

    def resolve(self) -> S3Path:
        """Itself: an address doesn't depend on where one stands."""
        return self

    def is_file(self) -> bool:
        """Whether there is an object with this address.

        Raises:
            S3Error: The bucket can't be read.
        """
        try:
            self.read_bytes()
        except FileNotFoundError:
            return False
        return True

    exists = is_file

    def read_bytes(self) -> bytes:
        """The object.

        Raises:
            FileNotFoundError: There is none.
            S3Error: The bucket can't be read.
        """
        return answer(self.begin_reading())

    def begin_reading(self) -> Future[bytes]:
        """Begin to read the object; `connection.answer` gives it, errors as `read_bytes`."""
        return self.connection.read(self.key)

    def read_text(self, encoding: str = "utf-8") -> str:
        """The object as text; errors as `read_bytes`."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, content: bytes) -> None:
        """Write the object, whole or not at all.

        Raises:
            S3Error: The server refuses.
        """
        answer(self.begin_writing(content))

    def begin_writing(self, content: bytes) -> Future[None]:
        """Begin to write the object; `connection.answer` says when it is done, errors as `write_bytes`."""
        return self.connection.write(self.key, content)

    def objects(self) -> dict[str, S3Object]:
        """Everything below this address: key relative to it -> size and mark.

        Raises:
            S3Error: The bucket can't be listed.
        """
        return self.connection.listed(self.key)

    @property
    def connection(self) -> Connection:
        """To the server that the environment names.

        Raises:
            ConfigError: The environment names none, or no key.
            MissingDependencyError: obstore is not installed.
        """
        return connect(self.bucket)


StorePath = Path | S3Path
"""Where a trajectory store lies."""


def store_path(text: str | Path | S3Path, copies: CopySettings | None = None) -> StorePath:
    """The place of a store from what a person gives: s3://BUCKET/PREFIX, or a folder.

    Args:
        text: What was given; a path stays one.
        copies: Where copies from a bucket are kept; None: see `CopySettings`.

    Raises:
        ConfigError: It begins like an address and is none.
    """
    if isinstance(text, S3Path):
        return text
    return S3Path.of(text, copies) if isinstance(text, str) and is_address(text) else Path(text)


def is_address(text: str) -> bool:
    """Whether a person means something in a bucket by this."""
    return text.lower().startswith("s3:")
