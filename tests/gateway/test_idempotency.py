"""One key, one call: who waits, who is told again, and who is told no."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cryptography.fernet import Fernet
from pytest_django.fixtures import Settings

from gateway import idempotency
from gateway.cache import keys, remembered
from gateway.cache.stored import Stored
from gateway.calls import Call
from gateway.http import CallerLeftError
from gateway.idempotency import Idempotency
from gateway.replies import Reply
from tests.gateway.cache_calls import BOB, Books, Provider, answer, call
from tests.servers import PATIENCE_S
from tests.threads import all_taken
from usage.idempotency import Claim, Kept, KeyInUseError
from wire.errors import ApiError, Code

KEY = "order-17"
CLAIM = Claim(UUID(int=5), "alice", KEY, "", "req_1", call().started_at)
FAILURE = ApiError(Code.PROVIDER_ERROR, "It failed.")


class Scene:
    def __init__(self, *outcomes: Any, free: Callable[[UUID], None] | None = None) -> None:
        self.freed: list[UUID] = []
        self.idempotency = Idempotency(free or self.freed.append)
        self.provider = Provider(*outcomes)
        self.books = Books()

    async def ask(self, made: Call) -> Reply:
        reply = await self.idempotency.answer(made, self.provider, self.books)
        assert isinstance(reply, Reply)
        return reply

    async def ask_together(self, *made: Call) -> list[Reply | BaseException]:
        waiting = [asyncio.create_task(self.ask(each)) for each in made]
        for _ in range(20):
            await asyncio.sleep(0)
        self.provider.go.set()
        return await asyncio.gather(*waiting, return_exceptions=True)


def played(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


def in_use(made: Call, *, status: str = "", content: Stored | None = None, **changed: Any) -> KeyInUseError:
    """What the ledger says of a key that another call has."""
    sealed = remembered.sealed(CLAIM, content)
    told = sealed.content if sealed else None
    kept = Kept(CLAIM.id, keys.fingerprint(made), "req_1", UUID(int=9), status, told)
    return KeyInUseError(msgspec.structs.replace(kept, **changed))


def refused(scene: Scene, made: Call) -> str:
    """The conflict's message; its row is in the books."""
    scene.provider.go.set()
    errors: list[ApiError] = []

    async def story() -> None:
        try:
            await scene.ask(made)
        except ApiError as error:
            errors.append(error)
        await asyncio.sleep(0)

    played(story)
    (error,) = errors
    assert error.code is Code.IDEMPOTENCY_CONFLICT
    assert [row.error_code for row in scene.books.rows] == ["IDEMPOTENCY_CONFLICT"]
    return error.message


def test_a_call_without_a_key_goes_its_way() -> None:
    async def story() -> None:
        scene = Scene()
        await scene.ask_together(call(), call())
        assert [made.claim for made in scene.provider.calls] == [None, None]
        assert [made.is_kept for made in scene.provider.calls] == [False, False]

    played(story)


def test_a_call_with_a_key_claims_it() -> None:
    async def story() -> None:
        scene = Scene()
        made = call(key=KEY)
        await scene.ask_together(made)
        (sent,) = scene.provider.calls
        assert sent.claim is not None
        assert (sent.claim.client, sent.claim.key, sent.claim.request_id) == ("alice", KEY, made.request_id)
        assert sent.claim.fingerprint == keys.fingerprint(made)
        assert sent.is_kept

    played(story)


def test_twenty_at_once_are_one_call() -> None:
    async def story() -> None:
        scene = Scene()
        replies = await scene.ask_together(*(call(key=KEY) for _ in range(20)))
        assert len(scene.provider.calls) == 1
        assert len({each.body for each in replies if isinstance(each, Reply)}) == 1
        assert len(replies) == 20
        assert [row.status for row in scene.books.rows] == ["cached"] * 19

    played(story)


def test_other_keys_other_clients_and_other_bodies_are_other_calls() -> None:
    async def story() -> None:
        scene = Scene()
        await scene.ask_together(call(key=KEY), call(key="other"), call(key=KEY, caller=BOB), call("Hello!", key=KEY))
        assert len(scene.provider.calls) == 4  # of the last the ledger will say that its key is in use

    played(story)


def test_after_a_failure_another_one_makes_the_call() -> None:
    async def story() -> None:
        scene = Scene(FAILURE)
        replies = await scene.ask_together(*(call(key=KEY) for _ in range(3)))
        assert len(scene.provider.calls) == 2
        assert [each for each in replies if not isinstance(each, Reply)] == [FAILURE]
        assert scene.freed == [made.claim.id for made in scene.provider.calls[:1] if made.claim]

    played(story)


@pytest.mark.parametrize("outcome", [FAILURE, CallerLeftError()], ids=["failed", "its caller left"])
def test_a_key_is_given_back_whoever_else_waits_in_threads(outcome: Exception) -> None:
    async def story() -> None:
        scene = Scene(outcome)
        async with all_taken():
            await scene.ask_together(call(key=KEY))
        assert len(scene.freed) == 1

    played(story)


def test_a_database_that_hangs_does_not_hide_why_the_call_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "_FREE_S", 0.05)
    is_back = threading.Event()

    def hang(_: UUID) -> None:
        is_back.wait(PATIENCE_S)

    async def story() -> None:
        scene = Scene(FAILURE, free=hang)
        try:
            assert await scene.ask_together(call(key=KEY)) == [FAILURE]
        finally:
            is_back.set()
            await scene.idempotency._thread.stop()

    played(story)


def test_an_answer_that_the_ledger_has_is_told_again() -> None:
    async def story() -> None:
        made = call(key=KEY)
        scene = Scene(in_use(made, status="ok", content=answer("kept")))
        (told,) = await scene.ask_together(made)
        assert isinstance(told, Reply)
        assert told.body == answer("kept").body
        assert [row.status for row in scene.books.rows] == ["cached"]

    played(story)


@pytest.mark.parametrize("status", ["", "ok", "error"])
def test_another_body_under_the_key(status: str) -> None:
    made = call(key=KEY)
    error = in_use(made, status=status, content=answer(), fingerprint="of another body")

    message = refused(Scene(error), made)

    assert "another body" in message
    assert str(UUID(int=9)) in message


def test_one_that_runs_elsewhere_or_was_cut_off() -> None:
    made = call(key=KEY)

    message = refused(Scene(in_use(made)), made)

    assert "still running" in message
    assert f"{UUID(int=9)}, of request req_1" in message


def test_one_that_a_crash_cut_off_says_how_to_go_on() -> None:
    made = call(key=KEY)

    message = refused(Scene(in_use(made, status="interrupted")), made)

    assert "was cut off, and may have been answered and billed" in message
    assert f"{UUID(int=9)}, of request req_1" in message
    assert "send a new key" in message


def test_one_whose_answer_is_not_kept() -> None:
    made = call(key=KEY)

    assert "is not kept" in refused(Scene(in_use(made, status="ok")), made)


def test_one_whose_answer_can_be_read_no_more(settings: Settings) -> None:
    made = call(key=KEY)
    error = in_use(made, status="ok", content=answer())
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]

    assert "is not kept" in refused(Scene(error), made)


def test_a_turned_ring_still_reads_what_it_sealed(settings: Settings) -> None:
    sealed = remembered.sealed(CLAIM, answer("canary"))
    assert sealed is not None
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.ENCRYPTION_KEYS]

    assert remembered.opened(sealed.content) == answer("canary")
    assert b"canary" not in sealed.content
    assert remembered.sealed(None, answer()) is None
    assert remembered.sealed(CLAIM, None) is None
