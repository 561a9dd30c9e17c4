"""Which deployments a call may go to, and in which order."""

from __future__ import annotations

from collections import Counter
from random import Random
from uuid import UUID

import pytest

from providers import routing
from providers.routing import ModelNotFoundError
from providers.specs import DeploymentSpec, ProviderSpec, TargetSpec, Topology


def deployment(provider: str, name: str, *, kind: str = "openai", type_: str = "chat") -> DeploymentSpec:
    spec = ProviderSpec(
        id=UUID(int=len(provider)),
        slug=provider,
        kind=kind,
        address="",
        organization="",
        priority=10,
        weight=1,
        connect_timeout_s=1,
        first_token_timeout_s=1,
        between_chunks_timeout_s=1,
        timeout_s=1,
        drains=True,
        credentials=(),
    )
    return DeploymentSpec(
        id=UUID(int=1), name=name, model=name, type=type_, provider=spec, max_output_tokens=None, defaults={}, prices=()
    )


_EU = deployment("openai-eu", "gpt")
_US = deployment("openai", "gpt")
_CLAUDE = deployment("anthropic", "claude", kind="anthropic")
_EMBED = deployment("openai", "embed", type_="embedding")
_TOPOLOGY = Topology(
    names={
        "gpt": (TargetSpec(_EU, 5, 1), TargetSpec(_US, 10, 1)),
        "openai/gpt": (TargetSpec(_US, 10, 1),),
        "claude": (TargetSpec(_CLAUDE, 10, 1),),
        "embed": (TargetSpec(_EMBED, 10, 1),),
        "default": (TargetSpec(_CLAUDE, 10, 1), TargetSpec(_US, 1, 1)),
        "shared": (TargetSpec(_US, 10, 3), TargetSpec(_EU, 10, 1)),
    },
    deployments=(_EU, _US, _CLAUDE, _EMBED),
    routes=("default", "shared"),
    catch_all=None,
)


def _find(
    model: str, provider: str | None = None, topology: Topology = _TOPOLOGY, seed: int = 0
) -> list[DeploymentSpec]:
    return routing.candidates(topology, model=model, kind="chat", provider=provider, rng=Random(seed))


def test_higher_priority_is_tried_first() -> None:
    assert _find("gpt") == [_US, _EU]


def test_a_call_that_names_nothing_takes_the_default_route() -> None:
    assert _find("") == [_CLAUDE, _US]


def test_a_provider_and_its_model_name_onedeployment() -> None:
    assert _find("openai/gpt") == [_US]


def test_a_provider_is_meant_by_slug_before_kind() -> None:
    assert _find("gpt", provider="openai") == [_US]
    assert _find("gpt", provider="openai-eu") == [_EU]
    assert _find("", provider="anthropic") == [_CLAUDE]


def test_equals_share_by_weight() -> None:
    first = Counter(_find("shared", seed=seed)[0].provider.slug for seed in range(4_000))
    assert 0.70 < first["openai"] / 4_000 < 0.80


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(ModelNotFoundError, match=r"No model 'nope'\. There is: claude, default, gpt, shared\."):
        _find("nope")
    with pytest.raises(ModelNotFoundError, match="at provider 'anthropic'"):
        _find("gpt", provider="anthropic")


def test_a_model_for_embeddings_does_not_chat() -> None:
    with pytest.raises(ModelNotFoundError):
        _find("embed")


def test_an_empty_installation_says_what_to_do() -> None:
    nothing = Topology(names={}, deployments=(), routes=(), catch_all=None)
    with pytest.raises(ModelNotFoundError, match="An administrator can add one under Providers"):
        _find("gpt", topology=nothing)


def test_a_catch_all_route_answers_any_name() -> None:
    open_to_all = Topology(
        names=_TOPOLOGY.names, deployments=_TOPOLOGY.deployments, routes=_TOPOLOGY.routes, catch_all="default"
    )
    assert _find("gpt-99", topology=open_to_all) == [_CLAUDE, _US]
