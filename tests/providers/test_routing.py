"""Which deployments a call may go to, and in which order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import routing
from providers.allowed import narrowed
from providers.routing import Choice, ModelNotFoundError
from providers.specs import DeploymentSpec, RouteSpec, Strategy, TargetSpec, Topology
from tests.providers.topologies import deployment

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


@dataclass
class _Outlook:
    """What a test says of those who could take a call, by their providers' names."""

    rng: Random
    latencies_ms: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    costs_pico: dict[str, int] = field(default_factory=dict)
    unhealthy: tuple[str, ...] = ()
    turns: Counter[str] = field(default_factory=Counter)

    def chance(self) -> float:
        return self.rng.random()

    def turn(self, name: str) -> int:
        self.turns[name] += 1
        return self.turns[name]

    def latency_ms(self, deployment: DeploymentSpec) -> float:
        return self.latencies_ms.get(deployment.provider.slug, 0)

    def success_share(self, deployment: DeploymentSpec) -> float | None:
        return self.shares.get(deployment.provider.slug)

    def is_healthy(self, deployment: DeploymentSpec) -> bool:
        return deployment.provider.slug not in self.unhealthy

    def cost_pico(self, deployment: DeploymentSpec) -> int | None:
        return self.costs_pico.get(deployment.provider.slug)


def _find(
    model: str, provider: str | None = None, topology: Topology = _TOPOLOGY, seed: int = 0
) -> list[DeploymentSpec]:
    outlook = _Outlook(Random(seed))
    choices = routing.candidates(topology, model=model, kind="chat", provider=provider, outlook=outlook)
    return [choice.deployment for choice in choices]


def test_higher_priority_is_tried_first() -> None:
    assert _find("gpt") == [_US, _EU]


def test_a_call_that_names_nothing_takes_the_default_route() -> None:
    assert _find("") == [_CLAUDE, _US]


def test_a_provider_and_its_model_name_one_deployment() -> None:
    assert _find("openai/gpt") == [_US]


def test_a_provider_is_meant_by_slug_before_kind() -> None:
    assert _find("gpt", provider="openai") == [_US]
    assert _find("gpt", provider="openai-eu") == [_EU]
    assert _find("", provider="anthropic") == [_CLAUDE]


def test_a_provider_is_meant_by_its_id_and_all_of_a_kind_by_that() -> None:
    assert _find("gpt", provider=str(_EU.provider.id)) == _find("", provider=str(_EU.provider.id)) == [_EU]
    assert _find("", provider="openai-eu") == [_EU]

    hosts = [deployment(name, kind="custom") for name in ("acme", "other")]
    own = Topology(names={}, deployments=(*hosts, _CLAUDE), routes=(), catch_all=None)
    assert {each.provider.slug for each in _find("", provider="custom", topology=own)} == {"acme", "other"}


def test_equals_share_by_weight() -> None:
    first = Counter(_find("shared", seed=seed)[0].provider.slug for seed in range(4_000))
    assert 0.70 < first["openai"] / 4_000 < 0.80


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(ModelNotFoundError, match=r"No model 'nope'\. There is: claude, default, gpt, shared\."):
        _find("nope")
    with pytest.raises(ModelNotFoundError, match="at provider 'anthropic'"):
        _find("gpt", provider="anthropic")


def test_a_model_for_embeddings_does_not_chat() -> None:
    with pytest.raises(ModelNotFoundError, match=r"'embed' is for embeddings alone\. There is: claude"):
        _find("embed")


def test_a_model_that_chats_makes_no_embeddings() -> None:
    with pytest.raises(ModelNotFoundError, match=r"'gpt' makes no embeddings\. There is: embed\."):
        routing.candidates(_TOPOLOGY, model="gpt", kind="embedding", outlook=_Outlook(Random(0)))


def test_what_there_is_for_embeddings_names_no_route_that_only_chats() -> None:
    outlook = _Outlook(Random(0))
    with pytest.raises(ModelNotFoundError, match=r"No default model\. There is: embed\."):
        routing.candidates(_TOPOLOGY, model="", kind="embedding", outlook=outlook)


def test_an_empty_installation_says_what_to_do() -> None:
    nothing = Topology(names={}, deployments=(), routes=(), catch_all=None)
    with pytest.raises(ModelNotFoundError, match="An administrator can add one under Providers"):
        _find("gpt", topology=nothing)


def test_a_catch_all_route_answers_any_name() -> None:
    open_to_all = Topology(
        names=_TOPOLOGY.names, deployments=_TOPOLOGY.deployments, routes=_TOPOLOGY.routes, catch_all="default"
    )
    assert _find("gpt-99", topology=open_to_all) == [_CLAUDE, _US]


def test_calls_are_shared_in_the_way_of_the_route_that_answers_them() -> None:
    ways = {"default": RouteSpec("default", "score"), "shared": RouteSpec("shared", "least_cost")}
    closed = msgspec.structs.replace(_TOPOLOGY, sharing=ways)
    open_to_all = msgspec.structs.replace(closed, catch_all="default")

    assert [routing.sharing(open_to_all, name).strategy for name in ("", "gpt-99", "shared")] == [
        *("score", "score", "least_cost")
    ]
    assert routing.sharing(open_to_all, "gpt") == routing.sharing(closed, "gpt-99") == RouteSpec("")


def test_of_many_names_the_first_twenty_are_shown() -> None:
    names = [str(number) for number in range(10, 31)]

    assert routing.some_of(names[:20]) == ", ".join(names[:20])
    assert routing.some_of(names).endswith(", 29 and 1 more")


class TestACatchAllRoute:
    """Where unknown names are answered, those of providers are too; one that is known is never replaced by another."""

    TOPOLOGY = msgspec.structs.replace(
        _TOPOLOGY, catch_all="default", providers=frozenset({"openai", "openai-eu", "anthropic", "switched-off"})
    )

    def test_it_answers_for_a_provider_that_nobody_knows(self) -> None:
        assert _find("claude", provider="nobody", topology=self.TOPOLOGY) == [_CLAUDE]
        assert _find("gpt-99", provider="nobody", topology=self.TOPOLOGY) == [_CLAUDE, _US]

    def test_not_for_one_that_is_known(self) -> None:
        assert _find("gpt-99", provider="openai", topology=self.TOPOLOGY) == [_US]
        for model, provider in (("claude", "openai-eu"), ("gpt", "switched-off"), ("", "switched-off")):
            with pytest.raises(ModelNotFoundError, match=f"at provider '{provider}'"):
                _find(model, provider=provider, topology=self.TOPOLOGY)

    def test_not_for_one_that_the_caller_may_not_use(self) -> None:
        mine = narrowed(self.TOPOLOGY, [["claude"]])
        with pytest.raises(ModelNotFoundError, match=r"No model 'claude' at provider 'openai-eu'\. There is: claude"):
            _find("claude", provider="openai-eu", topology=mine)


_THREE = [deployment(name) for name in ("one", "two", "three")]


def _share(
    strategy: Strategy,
    outlook: _Outlook,
    *,
    weights: tuple[int, ...] = (1, 1, 1),
    priorities: tuple[int, ...] = (10, 10, 10),
    sticky: bool = False,
    end_user: str = "",
) -> list[Choice]:
    targets = tuple(
        TargetSpec(each, priority, weight) for each, priority, weight in zip(_THREE, priorities, weights, strict=True)
    )
    topology = Topology(
        names={"smart": targets},
        deployments=tuple(_THREE),
        routes=("smart",),
        catch_all=None,
        sharing={"smart": RouteSpec("smart", strategy, sticky)},
    )
    return routing.candidates(topology, model="smart", kind="chat", outlook=outlook, end_user=end_user)


def _slugs(choices: list[Choice]) -> list[str]:
    return [choice.deployment.provider.slug for choice in choices]


def test_in_turn() -> None:
    outlook = _Outlook(Random(0))

    first = [_slugs(_share("round_robin", outlook))[0] for _ in range(6)]

    assert Counter(first) == {"one": 2, "two": 2, "three": 2}
    assert first[:3] == first[3:]


def test_each_route_has_turns_of_its_own_and_so_has_each_priority() -> None:
    """Routes that are called alternately would else give all their calls to the same targets."""
    outlook = _Outlook(Random(0))

    _share("round_robin", outlook, priorities=(10, 10, 5))
    _share("round_robin", outlook, priorities=(10, 5, 5))

    assert outlook.turns == {"smart 10": 1, "smart 5": 1}


@pytest.mark.parametrize("strategy", ["least_latency", "least_cost", "score"])
def test_those_of_whom_nothing_is_known_share_by_chance(strategy: Strategy) -> None:
    outlook = _Outlook(Random(0))

    first = {_slugs(_share(strategy, outlook))[0] for _ in range(100)}

    assert first == {"one", "two", "three"}


def test_the_fastest_first_and_who_is_unknown_before_it() -> None:
    outlook = _Outlook(Random(0), latencies_ms={"one": 900, "two": 300})

    choices = _share("least_latency", outlook)

    assert _slugs(choices) == ["three", "two", "one"]
    assert choices[0].why == "priority 10, speed not known yet"
    assert choices[1].why == "priority 10, answers in about 300 ms"


def test_who_has_only_failed_of_late_is_not_the_fastest() -> None:
    outlook = _Outlook(Random(0), latencies_ms={"one": 900, "two": 300}, shares={"one": 0.1, "two": 0.0, "three": 0.0})

    choices = _share("least_latency", outlook)

    assert _slugs(choices) == ["one", "three", "two"]
    assert choices[1].why == "priority 10, has only failed of late"


def test_the_cheapest_first_and_who_has_no_price_last() -> None:
    outlook = _Outlook(Random(0), costs_pico={"one": 20_000_000, "three": 3_000_000})

    choices = _share("least_cost", outlook)

    assert _slugs(choices) == ["three", "one", "two"]
    assert choices[0].why == "priority 10, about $0.000003"


def test_who_costs_nothing_is_the_cheapest() -> None:
    outlook = _Outlook(Random(0), costs_pico={"one": 1, "two": 0, "three": 2})

    assert _slugs(_share("least_cost", outlook)) == ["two", "one", "three"]


def test_who_always_fails_has_no_score_for_success() -> None:
    outlook = _Outlook(Random(0), shares={"one": 0.0})

    assert routing.score(outlook, _THREE[0]) == pytest.approx(0.6)
    assert routing.score(outlook, _THREE[1]) == pytest.approx(1.0)


def test_the_score_of_specification_b() -> None:
    outlook = _Outlook(
        Random(0),
        latencies_ms={"one": 2_500, "two": 100, "three": 9_000},
        shares={"one": 1.0, "two": 0.5, "three": 1.0},
        unhealthy=("two",),
    )

    scores = {each.provider.slug: routing.score(outlook, each) for each in _THREE}

    assert scores == {"one": pytest.approx(0.85), "two": pytest.approx(0.494), "three": pytest.approx(0.7)}
    assert _slugs(_share("score", outlook)) == ["one", "three", "two"]


def test_priority_goes_before_every_strategy() -> None:
    outlook = _Outlook(Random(0), latencies_ms={"one": 900, "two": 300, "three": 1})

    assert _slugs(_share("least_latency", outlook, priorities=(20, 20, 10))) == ["two", "one", "three"]


def test_a_sticky_split_keeps_its_users_and_its_shares() -> None:
    outlook = _Outlook(Random(0))

    def first(user: str) -> str:
        return _slugs(_share("weighted", outlook, weights=(8, 1, 1), sticky=True, end_user=user))[0]

    groups = {f"user-{number}": first(f"user-{number}") for number in range(2_000)}

    assert all(first(user) == group for user, group in groups.items())
    assert _share("weighted", outlook, sticky=True, end_user="ann")[0].why.endswith(", kept for this end user")
    assert 0.75 < Counter(groups.values())["one"] / 2_000 < 0.85


@pytest.mark.parametrize(("sticky", "end_user"), [(True, ""), (False, "ann")])
def test_who_names_no_end_user_is_not_kept_nor_anybody_where_the_route_is_not_sticky(
    *, sticky: bool, end_user: str
) -> None:
    outlook = _Outlook(Random(0))

    choices = [_share("weighted", outlook, sticky=sticky, end_user=end_user)[0] for _ in range(100)]

    assert len(set(_slugs(choices))) == 3
    assert {choice.why for choice in choices} == {"priority 10, weight 1 of 3"}


@given(st.lists(st.text(min_size=1), min_size=1, max_size=50), st.integers(1, 100))
def test_a_target_that_grows_takes_users_and_moves_no_others(users: list[str], weight: int) -> None:
    outlook = _Outlook(Random(0))
    for user in users:
        before = _slugs(_share("weighted", outlook, sticky=True, end_user=user))[0]
        after = _slugs(_share("weighted", outlook, sticky=True, end_user=user, weights=(weight, 1, 1)))[0]
        assert after in (before, "one")


@given(
    st.sampled_from(["priority", "weighted", "round_robin", "least_latency", "least_cost", "score"]),
    st.tuples(*[st.integers(-5, 5)] * 3),
    st.integers(),
)
def test_every_strategy_names_all_by_priority(strategy: Strategy, priorities: tuple[int, ...], seed: int) -> None:
    choices = _share(strategy, _Outlook(Random(seed)), priorities=priorities)

    by_slug = dict(zip(("one", "two", "three"), priorities, strict=True))
    found = [by_slug[slug] for slug in _slugs(choices)]
    assert sorted(_slugs(choices)) == ["one", "three", "two"]
    assert found == sorted(found, reverse=True)
