"""What lists say of each model: what it is for, whose it is, and how long its answers may be."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from gateway.doors.model_facts import facts
from gateway.doors.models import _gemini_model
from providers.specs import DeploymentSpec, TargetSpec, Topology
from tests.providers.topologies import deployment

CHAT, EMBEDDER = deployment("first"), deployment("second", type_="embedding")


def topology(*deployments: DeploymentSpec) -> Topology:
    targets = tuple(TargetSpec(each, priority=0, weight=1) for each in deployments)
    return Topology(names={"gpt": targets}, deployments=deployments, routes=(), catch_all=None)


@pytest.mark.parametrize(
    ("deployments", "chats", "embeds"),
    [((CHAT,), True, False), ((EMBEDDER,), False, True), ((CHAT, EMBEDDER), True, True)],
    ids=["a chat", "an embedder", "both of one name"],
)
def test_googles_clients_are_told_what_a_model_is_for(
    deployments: tuple[DeploymentSpec, ...], *, chats: bool, embeds: bool
) -> None:
    methods = _gemini_model("gpt", topology(*deployments))["supportedGenerationMethods"]

    assert ("generateContent" in methods, "embedContent" in methods) == (chats, embeds)


@pytest.mark.parametrize(("most", "window", "told"), [(4_000, 128_000, 4_000), (None, 128_000, 128_000)])
def test_the_longest_answer_is_its_own_bound_or_the_windows(most: int | None, window: int, told: int) -> None:
    model = msgspec.structs.replace(CHAT, max_output_tokens=most, context_window=window)

    assert facts(model, datetime.now(UTC))["max_tokens"] == told
