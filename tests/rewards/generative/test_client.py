"""Questions over HTTP: what is sent, what an answer is worth, what is tried again, what is noted."""

import json
import math

import numpy as np
import pytest
from helpers.chat_server import chat_server

from rewards.generative.answer import WORD_LOGIT, NoAnswer, logit_of
from rewards.generative.client import ChatClient, Unanswered
from rewards.generative.config import ChatConfig, GenerativeConfig
from trajectories.errors import ConfigError

PICTURE = np.full((40, 60, 3), (200, 30, 40), np.uint8)


@pytest.fixture
def served(tmp_path):
    """Server, and a function that makes a client of it; pauses are noted, not waited for."""
    with chat_server(lambda question, pictures: 0.8) as (chat, address):
        pauses = []

        def client(**settings):
            config = ChatConfig(**{"address": address, "model": "eye", "timeout_s": 5.0} | settings)
            return ChatClient(config, tmp_path / "calls.jsonl", pauses.append)

        chat.pauses = pauses
        yield chat, client


def notes(folder):
    return [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]


def test_a_question_and_its_answer(served, tmp_path):
    chat, client = served
    answer = client(side=30, top_logprobs=5).ask("Is it red?", [PICTURE, PICTURE], "episode 7")
    assert answer.logit == pytest.approx(math.log(0.8 / 0.2))
    assert (answer.text, answer.attempts) == ("Yes.", 1)
    (body,) = chat.asked
    assert (body["model"], body["temperature"], body["logprobs"], body["top_logprobs"]) == ("eye", 0, True, 5)
    assert body["messages"][0]["content"][-1] == {"type": "text", "text": "Is it red?"}
    assert [picture.shape for picture in chat.pictures] == [(20, 30, 3)] * 2
    assert np.abs(chat.pictures[0].astype(int).mean((0, 1)) - (200, 30, 40)).max() < 4
    (note,) = notes(tmp_path)
    assert (note["about"], note["attempts"], note["pictures"]) == ("episode 7", 1, 2)
    assert note["tokens"] == {"prompt_tokens": 200, "completion_tokens": 2}
    assert note["latency_s"] > 0
    assert note["bytes_sent"] > 500
    assert "Authorization" not in chat.headers[0]


def test_a_small_picture_is_not_enlarged(served):
    chat, client = served
    client(side=448).ask("?", [PICTURE], "x")
    assert chat.pictures[0].shape == (40, 60, 3)


def test_the_key_comes_from_the_environment(served, monkeypatch):
    chat, client = served
    with pytest.raises(ConfigError, match=r"key_env=EYE_KEY names an environment variable that is not set"):
        client(key_env="EYE_KEY")
    monkeypatch.setenv("EYE_KEY", "open sesame")
    client(key_env="EYE_KEY").ask("?", [PICTURE], "x")
    assert chat.headers[0]["Authorization"] == "Bearer open sesame"


def test_a_server_without_probabilities_is_taken_at_its_word(served):
    chat, client = served
    chat.gives_logprobs = False
    assert client().ask("?", [PICTURE], "x").logit == WORD_LOGIT
    chat.judge = lambda question, pictures: 0.2
    assert client().ask("?", [PICTURE], "x").logit == -WORD_LOGIT


def test_a_server_that_refuses_to_give_probabilities_is_asked_without_from_then_on(served):
    chat, client = served
    chat.refuses_logprobs = True
    asking = client()
    for _ in range(2):
        assert asking.ask("?", [PICTURE], "x").logit == WORD_LOGIT
    assert ["logprobs" in body for body in chat.asked] == [True, False, False]
    assert chat.pauses == []


@pytest.mark.parametrize(
    ("script", "pauses"),
    [
        ([(500, ()), (503, ())], [1.0, 2.0]),
        ([(429, [("Retry-After", "7")])], [7.0]),
        ([(429, [("Retry-After", "3600")])], [60.0]),
        ([(429, [("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT")])], [1.0]),
        ([b"<html>busy</html>", b"[1]", b"{}"], [1.0, 2.0, 4.0]),
        ([b"[" * 100_000], [1.0]),
        ([b'{"choices": [{"message": {"content": "The pot is blue."}}]}'], [1.0]),
        (["cut"], [1.0]),
    ],
)
def test_what_may_pass_is_tried_again_after_a_longer_and_longer_pause(script, pauses, served, tmp_path):
    chat, client = served
    chat.script = list(script)
    answer = client().ask("?", [PICTURE], "x")
    assert answer.logit > 1
    assert answer.attempts == len(pauses) + 1
    assert chat.pauses == pauses
    assert notes(tmp_path)[0]["attempts"] == len(pauses) + 1


def test_a_server_that_does_not_answer_in_time_is_given_up(served, tmp_path):
    chat, client = served
    chat.script = ["slow", "slow"]
    with pytest.raises(Unanswered, match=r"in 2 attempts; the last one: .*timed out"):
        client(timeout_s=0.2, retries=1).ask("?", [PICTURE], "x")
    (note,) = notes(tmp_path)
    assert "timed out" in note["error"]
    assert note["attempts"] == 2


def test_nobody_at_the_address(served):
    _, client = served
    with pytest.raises(Unanswered, match="refused"):
        client(address="http://127.0.0.1:9/v1", retries=0).ask("?", [PICTURE], "x")


@pytest.mark.parametrize("status", [401, 404])
def test_what_will_not_pass_is_not_tried_again(status, served, tmp_path):
    chat, client = served
    chat.script = [(status, ())]
    with pytest.raises(ConfigError, match=rf"status {status}: not now.*Check reward\.address, reward\.model"):
        client().ask("?", [PICTURE], "x")
    assert len(chat.asked) == 1
    assert str(status) in notes(tmp_path)[0]["error"]


def reply(text, *places):
    choice = {"message": {"content": text}}
    if places:
        choice["logprobs"] = {"content": [place(*one) for one in places]}
    return {"choices": [choice]}


def place(token, probability, **others):
    listed = [{"token": t, "logprob": math.log(p)} for t, p in [(token, probability), *others.items()]]
    return {"token": token, "logprob": math.log(probability), "top_logprobs": listed}


def test_spellings_of_a_word_count_together():
    both = {"token": " yes", "logprob": math.log(0.3)}
    both["top_logprobs"] = [
        {"token": t, "logprob": math.log(p)} for t, p in ((" yes", 0.3), ("Yes", 0.3), ("no", 0.2), ("maybe", 0.1))
    ]
    said = {"choices": [{"message": {"content": "yes"}, "logprobs": {"content": [both]}}]}
    assert logit_of(said) == pytest.approx(math.log(0.6 / 0.2))


def test_a_side_that_is_not_listed_is_less_likely_than_any_that_is():
    assert logit_of(reply("No", ("No", 0.9))) == pytest.approx(math.log(0.1 / 0.9))  # what the listed one leaves over
    one = place("Yes", 0.9)
    one["top_logprobs"].append({"token": "Maybe", "logprob": math.log(0.02)})
    said = {"choices": [{"message": {"content": "Yes"}, "logprobs": {"content": [one]}}]}
    assert logit_of(said) == pytest.approx(math.log(0.9 / 0.02))


@pytest.mark.parametrize(
    ("text", "sign"),
    [("Yes", 1), ("no, the pot is beside it", -1), ("**Yes**, it is not open", 1), ("<think>no?</think>\nYes", 1),
     ("The answer is: yes", 1)],
)  # fmt: skip
def test_words(text, sign):
    assert logit_of(reply(text)) == sign * WORD_LOGIT


@pytest.mark.parametrize("wrong", [reply("It is yes or no"), reply(""), reply(None), {"choices": []}, {"error": "x"}])
def test_no_answer(wrong):
    with pytest.raises(NoAnswer):
        logit_of(wrong)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"address": "127.0.0.1:8000"}, r"reward\.address"), ({"timeout_s": 0.0}, r"reward\.timeout_s"),
        ({"retries": -1}, r"reward\.retries"), ({"quality": 100}, r"reward\.quality"),
        ({"prompt": "Is it done?"}, r"\{instruction\}"), ({"shown": 0}, r"reward\.shown"),
        ({"folds": 2}, r"reward\.folds"),
    ],
)  # fmt: skip
def test_wrong_settings_are_named(settings, said):
    with pytest.raises(ConfigError, match=said):
        GenerativeConfig(**settings)


def test_no_model_is_named(served):
    with pytest.raises(ConfigError, match=r"reward\.model=NAME"):
        served[1](model="")
