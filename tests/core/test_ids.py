import time
from datetime import UTC, datetime, timedelta

from core.ids import lower_bound, time_of, uuid7, uuid7_at


def test_keys_are_version_7_of_the_right_variant_and_tell_their_time() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    key = uuid7()
    assert (key.version, key.variant) == (7, "specified in RFC 4122")
    assert before <= time_of(key) <= datetime.now(UTC)


def test_a_time_range_is_a_key_range() -> None:
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    unix_ms = int(moment.timestamp() * 1000)
    assert uuid7_at(unix_ms - 1) < lower_bound(moment) <= uuid7_at(unix_ms)


def test_keys_do_not_repeat() -> None:
    unix_ms = time.time_ns() // 1_000_000
    assert len({uuid7_at(unix_ms) for _ in range(10_000)}) == 10_000
