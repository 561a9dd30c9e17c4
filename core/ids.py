"""UUIDv7 keys (RFC 9562, section 5.7): the first 48 bits are Unix milliseconds, so a time range is a key range."""

import time
from datetime import UTC, datetime, timedelta
from random import getrandbits
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62
_LOW_62 = (1 << 62) - 1


def uuid7() -> UUID:
    """A new key, ordered by the millisecond in which it was made."""
    return uuid7_at(time.time_ns() // 1_000_000)


def uuid7_hex() -> str:
    """The same as text: 32 hexadecimal digits."""
    return f"{_number(time.time_ns() // 1_000_000):032x}"


def uuid7_at(unix_ms: int) -> UUID:
    """A new key of a given millisecond since 1970."""
    return UUID(int=_number(unix_ms))


def _number(unix_ms: int) -> int:
    noise = getrandbits(74)
    return (unix_ms << 80) | _VERSION_7 | ((noise >> 62) << 64) | _VARIANT | (noise & _LOW_62)


def uuid7_of(moment: datetime) -> UUID:
    """A new key of a given moment."""
    return uuid7_at(_unix_ms(moment))


def lower_bound(moment: datetime) -> UUID:
    """The smallest key of a moment. A time range is the keys from one such bound up to, and without, another."""
    return UUID(int=_unix_ms(moment) << 80)


def _unix_ms(moment: datetime) -> int:
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def time_of(key: UUID) -> datetime:
    """When a UUIDv7 was made, to the millisecond."""
    return _EPOCH + timedelta(milliseconds=key.int >> 80)
