"""One answer for many: from the store, or from an equal call under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from gateway.cache.flights import Dispatch
from gateway.cache.replay import Replay, replay
from gateway.cache.responses import ResponseCache
from gateway.cache.stored import MAX_BODY_BYTES, Stored, Tape, decode, encode, stored
from gateway.cache.stores import MemoryStore
from gateway.calls import Call
from gateway.doors.spec_b import Body, SpecB
from gateway.http import CallerLeftError
from gateway.replies import Reply
from tests.gateway.cache_calls import ALICE, BOB, NOW, Books, Provider, answer, call, reply, way
from tests.servers import PATIENCE_S
from wire import anthropic_messages
from wire.errors import ApiError, Code
from wire.neutral import ChatResponse

REFUSAL = ApiError(Code.BUDGET_EXCEEDED, "No money is left.")


class Scene:
    """A cache, a provider behind it, and who asks."""

    def __init__(self, *outcomes: Any, ttl_s: int = 60) -> None:
        self.cache = ResponseCache(MemoryStore(), ttl_s=ttl_s)
        self.provider = Provider(*outcomes)
        self.books = Books()
        self.counted: list[Call] = []  # without a provider

    async def ask(self, made: Call, dispatch: Dispatch | None = None) -> Reply:
        """As the pipeline does, which counts the call between the two."""
        asked = self.cache.asked(made, [way()])
        kept = await self.cache.kept(made, asked, self._count, self.books) if asked else None
        reply = kept or await self.cache.answer(made, asked, dispatch or self.provider, self.books)
        assert isinstance(reply, Reply)
        return reply

    async def _count(self, made: Call) -> None:
        self.counted.append(made)

    def asking(self, *made: Call) -> list[asyncio.Task[Reply]]:
        return [asyncio.create_task(self.ask(each)) for each in made]


def played(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


async def _settle() -> None:
    """Let all that can go on go on."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_the_second_is_a_hit_with_a_row_of_its_own() -> None:
    async def story() -> None:
        scene = Scene()
        scene.provider.go.set()
        first, second = await scene.ask(call()), await scene.ask(call(end_user="carol"))

        assert (first.cache, second.cache) == ("miss", "hit")
        assert second.body == first.body
        assert len(scene.provider.calls) == 1
        (row,) = scene.books.rows
        assert (row.status, row.evidence, row.cost_pico, row.saved_pico) == ("cached", "none", 0, 7)
        assert (row.provider, row.deployment, row.end_user, row.attempt) == ("own", "gpt", "carol", 0)
        assert (row.input_tokens, row.output_tokens) == (0, 0)
        assert (second.record.input_tokens, second.record.output_tokens) == (3, 4)
        assert (scene.cache.hits, scene.cache.misses) == (1, 1)
        assert [made.end_user for made in scene.counted] == ["carol"]

    played(story)


def test_what_does_not_take_part_is_not_kept() -> None:
    async def story() -> None:
        scene = Scene()
        scene.provider.go.set()
        for made in (call(cache="off"), call(asked={"temperature": 0.5}), call(asked={"temperature": None})):
            assert (await scene.ask(made)).cache == "off"
            assert (await scene.ask(msgspec.structs.replace(made, cache="on"))).cache == "miss"

    played(story)


def test_switched_off_by_its_setting() -> None:
    async def story() -> None:
        scene = Scene(ttl_s=0)
        scene.provider.go.set()
        assert [(await scene.ask(call(cache="on"))).cache for _ in range(2)] == ["off", "off"]

    played(story)


def test_refresh_asks_anew_and_keeps_the_newer_answer() -> None:
    async def story() -> None:
        scene = Scene(answer("one"), answer("two"))
        scene.provider.go.set()
        replies = [await scene.ask(call(cache=wish)) for wish in (None, "refresh", "on")]

        assert [each.cache for each in replies] == ["miss", "miss", "hit"]
        assert replies[2].body == replies[1].body != replies[0].body

    played(story)


def test_two_clients_share_nothing() -> None:
    async def story() -> None:
        scene = Scene()
        waiting = scene.asking(call(caller=ALICE), call(caller=BOB))
        await _settle()
        assert len(scene.provider.calls) == 2
        scene.provider.go.set()
        assert [each.cache for each in await asyncio.gather(*waiting)] == ["miss", "miss"]
        assert (await scene.cache.clear(BOB), await scene.cache.clear(BOB)) == (1, 0)
        assert [(await scene.ask(call(caller=who))).cache for who in (ALICE, BOB)] == ["hit", "miss"]

    played(story)


def test_fifty_at_once_are_one_call() -> None:
    async def story() -> None:
        scene = Scene()
        waiting = scene.asking(*(call() for _ in range(50)))
        await _settle()
        assert len(scene.provider.calls) == 1
        scene.provider.go.set()
        replies = await asyncio.gather(*waiting)

        assert len({each.body for each in replies}) == 1
        assert sorted(each.cache for each in replies) == ["hit"] * 49 + ["miss"]
        assert len(scene.books.rows) == 49

    played(story)


def test_a_failure_is_the_leaders_own_and_one_follower_leads_the_others() -> None:
    async def story() -> None:
        scene = Scene(REFUSAL)
        scene.provider.go.set()
        replies = await asyncio.gather(*scene.asking(*(call() for _ in range(10))), return_exceptions=True)

        assert [each for each in replies if isinstance(each, ApiError)] == [REFUSAL]
        assert len(scene.provider.calls) == 2
        assert sorted(each.cache for each in replies if isinstance(each, Reply)) == ["hit"] * 8 + ["miss"]

    played(story)


def test_who_has_waited_for_two_failures_in_vain_waits_no_more() -> None:
    async def story() -> None:
        scene = Scene(*[REFUSAL] * 10)
        scene.provider.go.set()
        replies = await asyncio.gather(*scene.asking(*(call() for _ in range(10))), return_exceptions=True)

        assert replies == [REFUSAL] * 10
        assert (await scene.ask(call())).cache == "miss"

    played(story)


def test_a_cancelled_leader_leaves_the_call_to_its_followers() -> None:
    async def story() -> None:
        scene = Scene()
        leader, *followers = scene.asking(*(call() for _ in range(3)))
        await _settle()
        leader.cancel()
        await _settle()
        scene.provider.go.set()
        assert [each.cache for each in await asyncio.gather(*followers)] == ["hit", "hit"]
        assert len(scene.provider.calls) == 1

    played(story)


class Leaving:
    """A leader, `followed` or not, whose provider is given up once `made.watch` says that all have left."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.scene = Scene()
        self.gone: list[asyncio.Future[None]] = [loop.create_future() for _ in range(2)]

    async def provider(self, made: Call) -> Reply:
        assert made.watch is not None
        left, done = made.watch(), asyncio.ensure_future(self.scene.provider.go.wait())
        await asyncio.wait({left, done}, return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            done.cancel()
            raise CallerLeftError
        return reply(made, answer())

    async def ask(self, number: int) -> asyncio.Task[Any]:
        made = call(watch=lambda: self.gone[number])
        asking = asyncio.ensure_future(self.scene.ask(made, self.provider))
        await _settle()
        return asking

    async def leave(self, number: int) -> None:
        self.gone[number].set_result(None)
        await _settle()


def test_a_leader_whose_caller_hangs_up_goes_on_as_long_as_others_wait() -> None:
    async def story() -> None:
        they = Leaving()
        leader, follower = await they.ask(0), await they.ask(1)
        await they.leave(0)
        assert not leader.done()
        they.scene.provider.go.set()
        assert [(await each).cache for each in (leader, follower)] == ["miss", "hit"]

    played(story)


def test_a_follower_who_leaves_takes_nothing_from_the_leader() -> None:
    async def story() -> None:
        they = Leaving()
        leader, follower = await they.ask(0), await they.ask(1)
        await they.leave(1)
        assert isinstance(follower.exception(), CallerLeftError)
        they.scene.provider.go.set()
        assert (await leader).cache == "miss"

    played(story)


@pytest.mark.parametrize("leaving", [[0], [1, 0], [0, 1]], ids=["alone", "its follower first", "its follower last"])
def test_a_call_is_given_up_when_all_who_waited_for_it_have_left(leaving: list[int]) -> None:
    async def story() -> None:
        they = Leaving()
        waiting = [await they.ask(number) for number in range(len(leaving))]
        for number in leaving:
            await they.leave(number)
        for each in waiting:
            assert isinstance(each.exception(), CallerLeftError)

    played(story)


def test_a_follower_waits_no_longer_than_its_own_deadline() -> None:
    async def story() -> None:
        scene = Scene()
        leader, follower = scene.asking(call(), call(timeout_s=0.02))
        while len(scene.provider.calls) < 2:  # noqa: ASYNC110 - it is told by nobody
            await asyncio.sleep(0.005)
        scene.provider.go.set()
        assert [(await each).cache for each in (leader, follower)] == ["miss", "miss"]

    played(story)


def test_who_came_while_an_equal_call_was_under_way_is_told_its_answer_though_it_has_ended() -> None:
    """Limits are asked between the look and the wait; the call may end meanwhile."""

    async def story() -> None:
        scene = Scene()
        (leader,) = scene.asking(call())
        await _settle()
        made = call()
        asked = scene.cache.asked(made, [way()])
        scene.provider.go.set()
        assert (await leader).cache == "miss"
        assert asked is not None
        assert await scene.cache.kept(made, asked, scene._count, scene.books) is None
        reply = await scene.cache.answer(made, asked, scene.provider, scene.books)
        assert isinstance(reply, Reply)
        assert (reply.cache, len(scene.provider.calls), scene.counted) == ("hit", 1, [])

    played(story)


STREAMED = msgspec.structs.replace(
    answer(),
    body=(
        b'data: {"id":"1","model":"gpt","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
        b'data: {"id":"1","model":"gpt","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
        b"data: [DONE]\n\n"
    ),
)


async def _replayed(made: Call, kept: Stored, books: Books) -> Replay:
    told = await replay(made, kept, books)
    assert isinstance(told, Replay)
    return told


def test_a_kept_stream_ends_when_its_row_is_durable_and_has_one() -> None:
    async def story() -> None:
        books = Books()
        told = await _replayed(call(asked={"stream": True}, end_user="carol"), STREAMED, books)
        assert not told.drains
        assert (told.outset.provider, told.outset.model, told.outset.cache) == ("own", "gpt-1-2026", "hit")

        frames = told.frames()
        assert b"Hi" in await anext(frames)
        assert books.rows == []
        last = await anext(frames)
        assert last.endswith(b"data: [DONE]\n\n")
        (row,) = books.rows
        assert (row.status, row.end_user, row.saved_pico) == ("cached", "carol", 7)
        assert [frame async for frame in frames] == []
        await told.aclose()
        assert books.rows == [row]

    played(story)


def test_a_kept_stream_that_nobody_takes_has_its_row() -> None:
    async def story() -> None:
        books = Books()
        await (await _replayed(call(asked={"stream": True}), STREAMED, books)).aclose()
        assert [row.status for row in books.rows] == ["cached"]

    played(story)


def test_a_kept_stream_says_in_a_specifications_words_what_it_once_took() -> None:
    """Also where its provider told no usage."""

    async def story() -> None:
        door = SpecB(Body)
        body = {"messages": [{"role": "user", "content": "Hi"}], "model": "gpt", "stream": True}
        made = call(dialect=door, envelope=door.open_chat(msgspec.json.encode(body)))
        frames = [frame async for frame in (await _replayed(made, STREAMED, Books())).frames()]
        told = [msgspec.json.decode(line[6:]) for line in b"".join(frames).splitlines() if line]

        assert [event["content"] for event in told[:-1]] == ["Hi"]
        assert (told[-1]["model"], told[-1]["provider"], told[-1]["cost_estimate"]) == ("gpt-1-2026", "own", 0)
        assert told[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}

    played(story)


def test_a_kept_answer_says_when_it_was_made_where_its_provider_did_not() -> None:
    async def story() -> None:
        body = b'{"id":"1","model":"m","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn"}'
        kept = msgspec.structs.replace(answer(), dialect=anthropic_messages.name, body=body, started_at=NOW)
        told = await replay(call(), kept, Books())

        assert isinstance(told, Reply)
        assert isinstance(told.response, ChatResponse)
        assert told.response.created == NOW.timestamp()

    played(story)


def test_what_cannot_be_read_any_more_is_a_miss() -> None:
    async def story() -> None:
        scene = Scene(msgspec.structs.replace(answer(), dialect="spoken no more"))
        scene.provider.go.set()
        assert [(await scene.ask(call())).cache for _ in range(3)] == ["miss", "miss", "hit"]

    played(story)


def test_answers_in_store() -> None:
    assert decode(encode(answer())) == answer()
    assert decode(b"\x91\xa1x") is None
    record = reply(call(), answer()).record
    kept = stored(record, dialect="openai_chat", body=b"x" * MAX_BODY_BYTES)
    assert kept is not None
    assert (kept.provider, kept.served_model) == ("own", "gpt-1-2026")
    assert stored(record, dialect="openai_chat", body=b"x" * (MAX_BODY_BYTES + 1)) is None


def test_a_tape_that_grows_too_long_keeps_nothing() -> None:
    tape = Tape()
    tape.add(b"one")
    tape.add(b"two")
    assert tape.content == b"onetwo"
    tape.add(b"x" * MAX_BODY_BYTES)
    assert tape.content is None
