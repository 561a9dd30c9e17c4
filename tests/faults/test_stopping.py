"""SIGTERM while PostgreSQL hangs: what is cut off is in the journal before anybody kills."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from aiplatform.stopping import KILLED_AFTER_S
from tests.faults import invariants, load
from tests.faults.conftest import Limit, MortalPostgres, NewInstallation
from tests.journeys import operating
from tests.journeys.dialects import OPENAI
from tests.servers import wait_until
from tests.upstream import Fault, Upstream

LIMITS = (Limit(name="all", scope="all", cap_pico=10**15, hard=False),)


@pytest.mark.faults  # as long as the grace is
def test_4_stopped_while_the_database_hangs(
    new_installation: NewInstallation, postgres: MortalPostgres, upstream: Upstream
) -> None:
    upstream.always("up-chat", Fault(chunk_s=0.5, words=1_000))
    with new_installation(workers=1, limits=LIMITS) as product, ThreadPoolExecutor(1) as callers:
        heard = callers.submit(OPENAI.stream, product, "up-chat")
        wait_until(lambda: upstream.bill and upstream.bill[0].output_tokens > 1, what="the first words")
        postgres.freeze()
        began = time.monotonic()
        product.web.signal(signal.SIGTERM)
        assert heard.result().error
        wait_until(lambda: operating.is_journalling(product), what="the journal")
        journalled_s = time.monotonic() - began
        wait_until(lambda: not product.web.is_running, timeout_s=KILLED_AFTER_S, what="its end")
        ended_s = time.monotonic() - began

        product.kill_web()
        postgres.thaw()
        upstream.reset_scripts()
        product.start()
        invariants.settled(product)
        [row] = invariants.read(product).records
        assert (row["status"], row["evidence"]) == ("cancelled", "estimated")
        load.say(f"row 4: journalled {journalled_s:.1f} s after SIGTERM, ended after {ended_s:.1f} s")
        assert ended_s < KILLED_AFTER_S
