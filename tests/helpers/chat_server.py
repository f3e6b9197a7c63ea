"""A server of the test's own that speaks OpenAI's chat/completions, and misbehaves on demand."""

import base64
import io
import json
import math
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image


class ChatServer:
    """Answers questions about pictures by a function.

    Attributes:
        asked: Bodies of all requests, in order.
        headers: Their headers.
        pictures: The pictures of the last request, uint8 (H, W, 3).
        script: What to do with the next requests instead of answering, see `Handler.misbehave`.
        gives_logprobs: Whether probabilities of tokens are given where they are asked for.
        words: What it answers where it is less than half sure, and else.
        refuses_logprobs: Whether a request that asks for them gets status 400.
    """

    def __init__(self, judge):
        self.judge, self.asked, self.headers, self.script, self.pictures = judge, [], [], [], []
        self.gives_logprobs, self.refuses_logprobs, self.words = True, False, ("No", "Yes")
        self.released = threading.Event()

    def reply(self, body):
        content = body["messages"][0]["content"]
        urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
        assert all(url.startswith("data:image/jpeg;base64,") for url in urls)
        self.pictures = [np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))) for url in urls]
        question = next(part["text"] for part in content if part["type"] == "text")
        sure = self.judge(question, self.pictures)
        word = self.words[sure >= 0.5]
        choice = {"index": 0, "message": {"role": "assistant", "content": f"{word}."}, "finish_reason": "stop"}
        if body.get("logprobs") and self.gives_logprobs:
            listed = [
                {"token": t, "logprob": math.log(p)} for t, p in zip(self.words, (1 - sure, sure), strict=True) if p > 0
            ]
            listed.sort(key=lambda one: -one["logprob"])
            full_stop = {"token": ".", "logprob": 0.0, "top_logprobs": []}
            choice["logprobs"] = {"content": [{**listed[0], "top_logprobs": listed}, full_stop]}
        return {"choices": [choice], "usage": {"prompt_tokens": 100 * len(urls), "completion_tokens": 2}}


@contextmanager
def chat_server(judge):
    """A server on loopback; gives it and its address."""
    chat = ChatServer(judge)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            chat.asked.append(body)
            chat.headers.append(dict(self.headers))
            if self.path != "/v1/chat/completions":
                return self.say(404, b"no such path")
            if chat.refuses_logprobs and "logprobs" in body:
                return self.say(400, b'{"error": "unknown field logprobs"}')
            if chat.script:
                return self.misbehave(chat.script.pop(0))
            return self.say(200, json.dumps(chat.reply(body)).encode())

        def misbehave(self, how):
            """A status with headers, raw bytes, "slow": no answer until the test ends, "cut": half an answer."""
            if how == "slow":
                chat.released.wait(20)
            elif how == "cut":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b'{"choices": [')
            elif isinstance(how, bytes):
                self.say(200, how)
            else:
                status, headers = how
                self.say(status, b"not now", headers)

        def say(self, status, raw, headers=()):
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield chat, f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        chat.released.set()
        server.shutdown()
        server.server_close()
