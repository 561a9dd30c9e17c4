"""How a deployment has done of late: the share of its calls that succeeded, and how fast it answers."""

from __future__ import annotations

from providers.resilience.window import Window

_NEWEST_WEIGHS = 0.2
_HALF_LIFE_S = 60.0


class Figures:
    """`latency_ms` is an exponentially weighted mean of the successes: to the first word of a stream, or the whole."""

    __slots__ = ("_measured_at", "_window", "latency_ms")

    def __init__(self) -> None:
        self.latency_ms: float | None = None
        self._measured_at = 0.0
        self._window = Window()

    def succeeded(self, latency_ms: float, now: float, window_s: float) -> None:
        old = self.latency_ms
        self.latency_ms = latency_ms if old is None else old + _NEWEST_WEIGHS * (latency_ms - old)
        self._measured_at = now
        self._window.add(now, window_s, failed=False)

    def failed(self, now: float, window_s: float) -> None:
        self._window.add(now, window_s, failed=True)

    def success_share(self, now: float, window_s: float) -> float | None:
        """None where there were no calls of late."""
        calls, failures = self._window.counts(now, window_s)
        return 1 - failures / calls if calls else None

    def calls(self, now: float, window_s: float) -> tuple[int, int]:
        """Calls of late, and failures among them."""
        return self._window.counts(now, window_s)

    def expected_ms(self, now: float) -> float:
        """What a call now may take. An old figure fades, so that who was slow once is asked again; unknown is 0."""
        if self.latency_ms is None:
            return 0.0
        return float(self.latency_ms * 0.5 ** ((now - self._measured_at) / _HALF_LIFE_S))
