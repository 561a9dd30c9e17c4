"""What is measured: which calls, how many at once, and at whom."""

from __future__ import annotations

from typing import Literal

import msgspec

from benchmarks import answers
from benchmarks.answers import CHUNKS, FAST
from benchmarks.calls import Door, Identity, Wish, request

Kind = Literal["upstream", "floor", "product", "workers", "peer"]


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is for `--only`. `beside`: the kinds of subject that take it besides the product with one worker.

    `rate_per_s` 0: as fast as the answers come. `pause_s`: of a slow reader. `length`: of its windows, times the
    plan's. `cached`: all but the first call are told its answer. `fails_over`: each answer is of the second provider.
    `is_budgeted`: under a hard budget. `is_close`: its figure lies near its target, and is taken more often.
    """

    name: str
    title: str
    connections: int
    beside: frozenset[Kind] = frozenset()
    door: Door = "openai"
    model: str = FAST
    stream: bool = False
    chunks: int = CHUNKS
    rate_per_s: float = 0.0
    pause_s: float = 0.0
    length: float = 1.0
    cached: bool = False
    fails_over: bool = False
    is_budgeted: bool = False
    is_close: bool = False

    def request(self, who: Identity) -> str:
        wish = Wish(
            model=self.model,
            stream=self.stream,
            cached=self.cached,
            is_large=self.model == answers.LARGE,
            is_budgeted=self.is_budgeted,
        )
        return request(self.door, who, wish)


ALL: frozenset[Kind] = frozenset({"floor", "workers", "peer"})
PEERS: frozenset[Kind] = frozenset({"floor", "peer"})
FLOOR: frozenset[Kind] = frozenset({"floor"})
# Routes of the installation (`prepare`): their first provider fails.
ANSWERS_500, REFUSES = "answers-500-first", "refuses-first"

PLAIN_1 = Scenario(name="plain-1", title="plain calls, 1 at once", connections=1, beside=PEERS)
PLAIN_16 = Scenario(name="plain-16", title="plain calls, 16 at once", connections=16, beside=ALL)
PLAIN_64 = Scenario(name="plain-64", title="plain calls, 64 at once", connections=64, beside=ALL, is_close=True)
BUDGETED = Scenario(name="budgeted", title="plain calls under a hard budget", connections=64, is_budgeted=True)
RATE = Scenario(
    name="rate",
    title="50 calls a second",
    connections=16,
    rate_per_s=50,
    length=4,
    beside=PEERS | frozenset[Kind]({"upstream"}),
)
ANTHROPIC_DOOR = Scenario(
    name="anthropic-door", title="Anthropic's door to OpenAI's dialect", connections=64, door="anthropic", is_close=True
)
TO_ANTHROPIC = Scenario(
    name="to-anthropic",
    title="OpenAI's door to Anthropic's dialect",
    connections=64,
    model=answers.CLAUDE,
    is_close=True,
)
GEMINI_DOOR = Scenario(
    name="gemini-door", title="Gemini's door to OpenAI's dialect", connections=64, door="gemini", is_close=True
)
SPEC_B = Scenario(name="spec-b", title="/api/v1/completion", connections=64, door="spec_b", is_close=True)
SESSION = Scenario(
    name="drf", title="completion through DRF, in a session", connections=64, door="session", is_close=True
)
EMBEDDINGS = Scenario(
    name="embeddings", title="embeddings", connections=64, door="embeddings", model=answers.EMBED, beside=PEERS
)
CACHED = Scenario(name="cache", title="hits of the cache", connections=64, cached=True, is_close=True)
FAILOVER_500 = Scenario(
    name="failover-500", title="failover from an answered 500", connections=64, model=ANSWERS_500, fails_over=True
)
FAILOVER_REFUSED = Scenario(
    name="failover-refused", title="failover from a refused connection", connections=64, model=REFUSES, fails_over=True
)
STREAM = Scenario(name="stream", title="streams", connections=16, stream=True, beside=ALL)
STREAM_ANTHROPIC_DOOR = Scenario(
    name="stream-anthropic-door",
    title="streams, Anthropic's door to OpenAI's dialect",
    connections=16,
    stream=True,
    door="anthropic",
)
STREAM_TO_ANTHROPIC = Scenario(
    name="stream-to-anthropic",
    title="streams, OpenAI's door to Anthropic's dialect",
    connections=16,
    stream=True,
    model=answers.CLAUDE,
)
PACED = Scenario(
    name="paced",
    title="streams, paced",
    connections=16,
    stream=True,
    model=answers.PACED,
    length=2,
    beside=PEERS,
    is_close=True,
)
PACED_ANTHROPIC_DOOR = Scenario(
    name="paced-anthropic-door",
    title="streams, paced, Anthropic's door to OpenAI's dialect",
    connections=16,
    stream=True,
    model=answers.PACED,
    door="anthropic",
    length=2,
)
PACED_TO_ANTHROPIC = Scenario(
    name="paced-to-anthropic",
    title="streams, paced, OpenAI's door to Anthropic's dialect",
    connections=16,
    stream=True,
    model=answers.CLAUDE_PACED,
    length=2,
)
LONG = Scenario(
    name="long",
    title="streams of 2,000 chunks, 4 at once",
    connections=4,
    stream=True,
    model=answers.LONG,
    chunks=answers.LONG_CHUNKS,
    length=2,
    beside=FLOOR,
)
LONG_SLOW_READER = Scenario(
    name="long-slow-reader",
    title="streams of 2,000 chunks, slow readers",
    connections=4,
    stream=True,
    model=answers.LONG,
    chunks=answers.LONG_CHUNKS,
    pause_s=0.005,
    length=2,
    beside=FLOOR,
)
LARGE = Scenario(
    name="large",
    title="prompts of 100,000 tokens, 4 at once",
    connections=4,
    model=answers.LARGE,
    length=2,
    beside=PEERS,
)
USUAL = (
    *(PLAIN_1, PLAIN_16, PLAIN_64, BUDGETED, RATE, ANTHROPIC_DOOR, TO_ANTHROPIC, GEMINI_DOOR, SPEC_B, EMBEDDINGS),
    *(CACHED, FAILOVER_500, FAILOVER_REFUSED, STREAM, STREAM_ANTHROPIC_DOOR, STREAM_TO_ANTHROPIC),
    *(PACED, PACED_ANTHROPIC_DOOR, PACED_TO_ANTHROPIC),
)
# After the memory of usual calls has been taken.
HEAVY = (LONG, LONG_SLOW_READER, LARGE, SESSION)
CROWD = Scenario(name="crowd", title="500 slow calls at once", connections=500, model=answers.SLOW)
CROWD_SESSION = Scenario(
    name="crowd-drf", title="500 slow calls at once through DRF", connections=500, model=answers.SLOW, door="session"
)
CROWDS = (CROWD, CROWD_SESSION)
EVERY = USUAL + HEAVY + CROWDS
