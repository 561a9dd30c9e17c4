"""What a provider offers, and which of it is to be set up, as the management API speaks of it."""

from __future__ import annotations

from rest_framework import serializers

from accounts.api.camel import CamelCase
from providers.discovery import Verdict

_MOST_AT_ONCE = 500


def _rate(name: str) -> serializers.DecimalField:
    return serializers.DecimalField(
        20, 10, source=f"rates.{name}", allow_null=True, normalize_output=True, help_text="Null: no published price."
    )


class CandidateSerializer(CamelCase):
    """`new` can be added, `here` has been, `unsuitable` neither chats nor embeds. Prices are in dollars."""

    name = serializers.CharField()
    verdict = serializers.ChoiceField(choices=[(each.value, each.value) for each in Verdict])
    type = serializers.ChoiceField(source="offer.type", choices=["chat", "embedding", "other"])
    context_window = serializers.IntegerField(source="offer.context_window", allow_null=True)
    max_output_tokens = serializers.IntegerField(source="offer.max_output_tokens", allow_null=True)
    capabilities = serializers.ListField(source="offer.capabilities", child=serializers.CharField())
    input_per_million = _rate("input_per_million")
    output_per_million = _rate("output_per_million")
    notes = serializers.ListField(child=serializers.CharField())


class OfferedSerializer(CamelCase):
    """`ok` false: the provider gave no list, and `detail` says why. `gone` are set up here and offered no more."""

    ok = serializers.BooleanField()
    detail = serializers.CharField(source="summary")
    models = CandidateSerializer(many=True, source="candidates")
    gone = serializers.ListField(child=serializers.CharField(), help_text="As provider/model.")


class AdoptSerializer(CamelCase):
    models = serializers.ListField(
        child=serializers.CharField(max_length=128), min_length=1, max_length=_MOST_AT_ONCE, help_text="By their names."
    )


class AdoptedSerializer(CamelCase):
    added = serializers.ListField(child=serializers.CharField(), help_text="As provider/model.")
