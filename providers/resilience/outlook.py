"""What routing asks of those who could take a call, as this process knows it at that moment."""

from __future__ import annotations

from datetime import datetime

import msgspec

from providers.resilience.board import Board
from providers.specs import DeploymentSpec
from usage.pricing import in_force, upper_bound_pico

ASSUMED_OUTPUT_TOKENS = 1_000  # of a call that gives no bound, to compare what it would cost here and there


class BoardOutlook(msgspec.Struct, frozen=True):
    """`routing.Outlook` by what `board` knows at `now`. A call of so many tokens is priced as of `moment`."""

    board: Board
    now: float
    moment: datetime
    input_tokens: int
    output_tokens: int = ASSUMED_OUTPUT_TOKENS

    def chance(self) -> float:
        return self.board.rng.random()

    def turn(self, name: str) -> int:
        return self.board.turn(name)

    def latency_ms(self, deployment: DeploymentSpec) -> float:
        return self.board.expected_ms(deployment, self.now)

    def success_share(self, deployment: DeploymentSpec) -> float | None:
        return self.board.success_share(deployment, self.now)

    def is_healthy(self, deployment: DeploymentSpec) -> bool:
        return self.board.is_healthy(deployment, self.now)

    def cost_pico(self, deployment: DeploymentSpec) -> int | None:
        rates = in_force(deployment.prices, self.moment)
        if rates is None:
            return None
        return upper_bound_pico(rates, input_tokens=self.input_tokens, output_tokens=self.output_tokens)
