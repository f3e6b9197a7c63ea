"""How sure a chat model's answer is: yes, no, or neither."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

YES = frozenset({"yes", "true", "done"})
NO = frozenset({"no", "false", "not"})
WORD_LOGIT = 3.0
"""Log-odds of an answer of which only the word is known; calibration says what it is worth (`rewards.calibration`)."""
MOST_LOGIT = 20.0
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL | re.IGNORECASE)


class NoAnswer(ValueError):
    """What came back says neither yes nor no."""


def logit_of(reply: Mapping[str, Any], yes: frozenset[str] = YES, no: frozenset[str] = NO) -> float:
    """Log-odds of yes in a reply of `chat/completions`.

    Where the server gives probabilities of tokens, those of the first place at which a yes or a no was likely count:
    log p(yes) - log p(no), summed over the spellings among the listed tokens. A side that isn't listed gets the
    probability of the least likely listed token, or what the listed ones leave over if that is less. Elsewhere the
    answer's word counts, as `WORD_LOGIT`.

    Args:
        reply: The reply's JSON.
        yes: Words, in small letters, that mean yes.
        no: Words that mean no.

    Returns:
        -`MOST_LOGIT` ... `MOST_LOGIT`.

    Raises:
        NoAnswer: When it has no answer, or one that says neither, or both.
    """
    try:
        choice = reply["choices"][0]
        text = choice["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise NoAnswer("The reply has no choices[0].message.content.") from error
    if not isinstance(text, str):
        raise NoAnswer(f"The reply's content is no text but {type(text).__name__}.")
    listed = _from_tokens(choice, yes, no)
    if listed is not None:
        return max(-MOST_LOGIT, min(MOST_LOGIT, listed))
    return WORD_LOGIT if _said(text, yes, no) else -WORD_LOGIT


FIRST = frozenset({"1", "first"})
SECOND = frozenset({"2", "second"})
SAME = frozenset({"0", "same", "neither", "equal"})


def preference_of(reply: Mapping[str, Any]) -> float:
    """Log-odds that the second of two pictures is the better one; 0 for an answer that finds no difference.

    Args:
        reply: The reply's JSON.

    Raises:
        NoAnswer: As `logit_of`.
    """
    try:
        words = re.findall(r"[^\W_]+", _THOUGHTS.sub(" ", str(reply["choices"][0]["message"]["content"])).lower())
    except (KeyError, IndexError, TypeError) as error:
        raise NoAnswer("The reply has no choices[0].message.content.") from error
    if words and words[0] in SAME:
        return 0.0
    return logit_of(reply, SECOND, FIRST)


def _from_tokens(choice: Mapping[str, Any], yes: frozenset[str], no: frozenset[str]) -> float | None:
    """Log-odds by the tokens' probabilities; None where there are none, or none at a place that decides."""
    logprobs = choice.get("logprobs")
    places = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    if not isinstance(places, Sequence) or isinstance(places, str):
        return None
    for place in places:
        try:
            chosen = _word(str(place["token"]))
            if chosen not in yes and chosen not in no:
                continue
            tokens = {str(one["token"]): float(one["logprob"]) for one in (place, *(place.get("top_logprobs") or ()))}
        except (KeyError, TypeError, ValueError):
            return None
        return _log_odds(tokens, yes, no)
    return None


def _log_odds(tokens: Mapping[str, float], yes: frozenset[str], no: frozenset[str]) -> float | None:
    """Of tokens with their log-probabilities, one of them a yes or a no; None where one is not finite."""
    listed = {token: math.exp(min(value, 0.0)) for token, value in tokens.items() if not math.isnan(value)}
    for_yes = sum(p for token, p in listed.items() if _word(token) in yes)
    for_no = sum(p for token, p in listed.items() if _word(token) in no)
    if not for_yes and not for_no:
        return None
    least = min(p for p in listed.values())
    left = max(1.0 - sum(listed.values()), 0.0)
    floor = max(min(least, left), 1e-9)
    return math.log(for_yes or floor) - math.log(for_no or floor)


def _said(text: str, yes: frozenset[str], no: frozenset[str]) -> bool:
    """Whether the words of an answer say yes: the first one where it does, else the only side that is mentioned.

    Raises:
        NoAnswer: When they say neither or both.
    """
    words = re.findall(r"[^\W_]+", _THOUGHTS.sub(" ", text).lower())
    if words and (words[0] in yes or words[0] in no):
        return words[0] in yes
    sides = {word in yes for word in words if word in yes or word in no}
    if len(sides) != 1:
        raise NoAnswer(f"The model answered {text[:120]!r}, which says neither yes nor no.")
    return sides.pop()


def _word(token: str) -> str:
    """A token's letters, small: " Yes." and "▁yes" are the same."""
    return "".join(re.findall(r"[^\W_]+", token.lower().replace("▁", " ").replace("Ġ".lower(), " ")))
