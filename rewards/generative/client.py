"""Asks a chat model about pictures over HTTP by OpenAI's `chat/completions`, as vLLM, llama.cpp and Ollama speak it."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from rewards.generative.answer import NoAnswer, logit_of
from rewards.generative.config import ChatConfig
from trajectories.errors import ConfigError, RegraspError
from trajectories.types import UInt8

_LONGEST_REPLY = 4 << 20
_LONGEST_PAUSE_S = 60.0
_AGAIN = (408, 409, 425, 429)
"""Statuses below 500 after which the same question may be answered."""


class Unanswered(RegraspError):
    """The model gave no answer in all attempts."""


class _Refused(Exception):
    """One attempt failed; the next may not."""

    def __init__(self, why: str, pause_s: float | None = None) -> None:
        super().__init__(why)
        self.pause_s = pause_s


class _Rejected(Exception):
    """The server does not take the question as it is put."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"status {status}: {body}")
        self.status = status


@dataclass(frozen=True)
class Answer:
    """What the model said.

    Attributes:
        logit: Log-odds of yes, or of the second picture, see `rewards.generative.answer`.
        text: Its words.
        latency_s: From the first attempt to the answer, s.
        attempts: How many it took.
    """

    logit: float
    text: str
    latency_s: float
    attempts: int


class ChatClient:
    """Asks yes-or-no questions about pictures, one at a time.

    Every question is noted in a file of JSON lines, whatever came of it: when, about what, how long it took, attempts,
    bytes and pictures sent, tokens as the server counted them, answer or error.
    """

    def __init__(self, config: ChatConfig, log: Path, sleep: Callable[[float], None] = time.sleep) -> None:
        """Nothing is asked yet.

        Args:
            config: Where and how.
            log: File of JSON lines that gets one for every question.
            sleep: Waits so many seconds.

        Raises:
            ConfigError: When no model is named, or the environment variable of the key is not set.
        """
        if not config.model:
            raise ConfigError(
                f"No model is named for the server at {config.address}: give reward.model=NAME, as the server calls it."
            )
        self._config, self._log, self._sleep = config, log, sleep
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if config.key_env is not None:
            if not os.environ.get(config.key_env):
                raise ConfigError(f"reward.key_env={config.key_env} names an environment variable that is not set.")
            self._headers["Authorization"] = f"Bearer {os.environ[config.key_env]}"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the local network: no proxy
        self._logprobs = config.top_logprobs > 0

    def ask(
        self,
        question: str,
        pictures: Sequence[UInt8],
        about: str,
        read: Callable[[Mapping[str, Any]], float] = logit_of,
    ) -> Answer:
        """Ask about pictures uint8 (H, W, 3) in order of time.

        Args:
            question: The prompt.
            pictures: What it is about.
            about: What the log calls this question, e.g. the id of an episode.
            read: The logit of a reply; raises `NoAnswer` for one that has none.

        Raises:
            Unanswered: When no attempt brought an answer; says what the last one brought.
            ConfigError: When the server refuses the question, e.g. for an unknown model or a wrong key.
        """
        began, sent, last = time.monotonic(), 0, ""
        note: dict[str, Any] = {"unix_s": time.time(), "about": about, "pictures": len(pictures)}
        urls = [self._data_url(picture) for picture in pictures]
        attempts = 0
        try:
            while attempts <= self._config.retries:
                attempts += 1
                try:
                    body = self._body(question, urls)
                    sent += len(body)
                    reply = self._post(body)
                    note["tokens"] = reply.get("usage")
                    logit, text = read(reply), str(reply["choices"][0]["message"]["content"])
                    note |= {"logit": logit, "answer": text[:200]}
                    return Answer(logit, text, time.monotonic() - began, attempts)
                except (_Refused, NoAnswer) as error:
                    last = str(error)
                    if attempts <= self._config.retries:
                        self._sleep(self._pause_s(attempts, getattr(error, "pause_s", None)))
                except _Rejected as error:
                    if not self._logprobs or error.status not in (400, 422):
                        note["error"] = str(error)
                        raise ConfigError(
                            f"{self._config.address} does not take the question ({error}). Check reward.address, "
                            "reward.model and reward.key_env, and that the model sees pictures."
                        ) from error
                    self._logprobs, attempts = False, attempts - 1  # a server without probabilities: never again
            note["error"] = last
            raise Unanswered(f"No answer from {self._config.address} in {attempts} attempts; the last one: {last}")
        finally:
            note |= {"latency_s": time.monotonic() - began, "attempts": attempts, "bytes_sent": sent}
            with self._log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(note) + "\n")

    def _pause_s(self, attempts: int, asked: float | None) -> float:
        pause = self._config.backoff_s * 2.0 ** (attempts - 1) if asked is None else asked
        return min(pause, _LONGEST_PAUSE_S)

    def _body(self, question: str, urls: Sequence[str]) -> bytes:
        content: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
        content.append({"type": "text", "text": question})
        body: dict[str, Any] = {
            "model": self._config.model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": self._config.max_tokens,
            "temperature": 0,
        }
        if self._logprobs:
            body |= {"logprobs": True, "top_logprobs": self._config.top_logprobs}
        return json.dumps(body).encode()

    def _post(self, body: bytes) -> Mapping[str, Any]:
        """One attempt.

        Raises:
            _Refused: It failed, and another may not.
            _Rejected: The server won't have this question.
        """
        address = f"{self._config.address.rstrip('/')}/chat/completions"
        request = urllib.request.Request(address, body, self._headers, method="POST")
        until = time.monotonic() + self._config.timeout_s
        try:
            with self._opener.open(request, timeout=self._config.timeout_s) as response:
                raw = _read(response, until)
        except urllib.error.HTTPError as error:
            said = error.read(2000).decode("utf-8", "replace")[:300]
            if error.code >= 500 or error.code in _AGAIN:
                raise _Refused(f"status {error.code}: {said}", _seconds(error.headers.get("Retry-After"))) from error
            raise _Rejected(error.code, said) from error
        except (OSError, http.client.HTTPException) as error:  # URLError and TimeoutError are OSErrors
            raise _Refused(f"{type(error).__name__}: {error}") from error
        try:
            reply = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise _Refused(f"no JSON but {raw[:120]!r}") from error
        if not isinstance(reply, Mapping):
            raise _Refused(f"no JSON object but {raw[:120]!r}")
        return reply

    def _data_url(self, picture: UInt8) -> str:
        image = Image.fromarray(picture)
        image.thumbnail((self._config.side, self._config.side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=self._config.quality)
        return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _read(response: Any, until: float) -> bytes:
    """The whole reply, in the time that is left."""
    parts: list[bytes] = []
    while part := response.read1(65536):
        parts.append(part)
        if sum(map(len, parts)) > _LONGEST_REPLY:
            raise _Refused(f"a reply of more than {_LONGEST_REPLY} bytes")
        if time.monotonic() > until:
            raise _Refused("the reply did not end in time")
    return b"".join(parts)


def _seconds(retry_after: str | None) -> float | None:
    """A Retry-After in seconds; None for none, or a date."""
    try:
        seconds = float(retry_after) if retry_after is not None else None
    except ValueError:
        return None
    return seconds if seconds is not None and seconds >= 0 else None
