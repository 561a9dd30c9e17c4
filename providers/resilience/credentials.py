"""Which of a provider's keys takes the next call.

Keys take turns by weight. One that the provider has limited (429) waits for as long as the provider says; one that it
has refused (401, 402, 403) is put aside until somebody changes it, but for one call a minute that looks whether it is
taken again. 401 and 402 concern a key as a whole; 403 and 429 the model that was asked, since providers permit and
limit by model.
"""

from __future__ import annotations

import math
from uuid import UUID

import msgspec

from providers.specs import CredentialSpec, DeploymentSpec

RETRIAL_S = 60.0
MOST_COOLING_S = 3_600.0  # what asks for more is mistaken, or says: today no more
MOST_WAITING = 100  # calls for one key's end of cooling
_FIRST_COOLING_S = 1.0
_MOST_GUESSED_S = 30.0


class Aside(msgspec.Struct):
    """A key that is not used until `until`. `deployment_id` None: for no model. `times` in a row it has happened.

    `awaited` counts the calls that wait for it.
    """

    credential: CredentialSpec
    deployment_id: UUID | None
    status: int
    until: float
    times: int = 1
    awaited: int = 0

    @property
    def is_refused(self) -> bool:
        return self.status != 429


class Chosen(msgspec.Struct, frozen=True):
    """The key for a call; None: the provider needs none."""

    credential: CredentialSpec | None


class NoneReady(msgspec.Struct, frozen=True):
    """`last_resort` is a key that was refused, where none is merely limited: asking costs nothing, and may be right."""

    ready_in_s: float
    last_resort: CredentialSpec | None


class Keys:
    """All keys of a process."""

    def __init__(self) -> None:
        self._asides: dict[tuple[UUID, UUID | None], Aside] = {}
        self._turns: dict[UUID, float] = {}

    def choose(self, deployment: DeploymentSpec, now: float) -> Chosen | NoneReady:
        keys = deployment.provider.credentials
        if not self._asides:
            return Chosen(self._next(keys)) if keys else _KEYLESS
        if not keys:
            return _KEYLESS
        ready = tuple(key for key in keys if not self._standing(key, deployment.id, now))
        if not ready:
            return _none_ready(keys, [aside for _, aside in self.asides(deployment, now)], now)
        chosen = self._next(ready)
        self._look_once(chosen, deployment.id, now)
        return Chosen(chosen)

    def has_ready(self, deployment: DeploymentSpec, now: float) -> bool:
        """Whether some key could take a call, without choosing one."""
        keys = deployment.provider.credentials
        return not keys or any(not self._standing(key, deployment.id, now) for key in keys)

    def ready_in_s(self, deployment: DeploymentSpec, now: float) -> float:
        """How long until some key can take a call: 0 for now."""
        if self.has_ready(deployment, now):
            return 0.0
        return min(aside.until for _, aside in self.asides(deployment, now)) - now

    def await_s(self, deployment: DeploymentSpec, now: float) -> float:
        """As `ready_in_s`, for a call that would wait; infinite where enough do, or they would all be limited again."""
        if self.has_ready(deployment, now):
            return 0.0
        soonest = min((aside for _, aside in self.asides(deployment, now)), key=lambda aside: aside.until)
        soonest.awaited += 1
        return soonest.until - now if soonest.awaited <= MOST_WAITING else math.inf

    def refused(self, credential: CredentialSpec, deployment: DeploymentSpec, status: int, now: float) -> None:
        """The provider answered 401, 402 or 403."""
        where = deployment.id if status == 403 else None
        self._put_aside(credential, where, status, now + RETRIAL_S)

    def limited(
        self, credential: CredentialSpec, deployment: DeploymentSpec, retry_after_s: float | None, now: float
    ) -> bool:
        """The provider answered 429. Returns whether that was news: False where the key was cooling already."""
        known = self._asides.get((credential.id, deployment.id))
        if known and known.credential.secret == credential.secret and known.until > now:
            return False
        times = known.times if known else 0
        guessed_s = min(_FIRST_COOLING_S * 2**times, _MOST_GUESSED_S)
        wait_s = guessed_s if retry_after_s is None else min(retry_after_s, MOST_COOLING_S)
        self._put_aside(credential, deployment.id, 429, now + wait_s, times + 1)
        return True

    def accepted(self, credential: CredentialSpec, deployment: DeploymentSpec) -> None:
        """The provider answered as it should: whatever was held against the key is over."""
        if self._asides:
            self._asides.pop((credential.id, deployment.id), None)
            self._asides.pop((credential.id, None), None)

    def forgive(self, credentials: tuple[CredentialSpec, ...]) -> None:
        """Nothing is held against these keys any more."""
        ids = {credential.id for credential in credentials}
        self._asides = {where: aside for where, aside in self._asides.items() if aside.credential.id not in ids}

    def asides(self, deployment: DeploymentSpec, now: float) -> list[tuple[CredentialSpec, Aside]]:
        """The keys that are aside for `deployment`, for people to read."""
        found = [(key, self._standing(key, deployment.id, now)) for key in deployment.provider.credentials]
        return [(key, aside) for key, aside in found if aside]

    def _put_aside(
        self, credential: CredentialSpec, where: UUID | None, status: int, until: float, times: int = 1
    ) -> None:
        self._asides[credential.id, where] = Aside(credential, where, status, until, times)

    def _standing(self, key: CredentialSpec, deployment_id: UUID, now: float) -> Aside | None:
        """What keeps `key` from taking a call now. A changed key is another key."""
        for where in (None, deployment_id):
            aside = self._asides.get((key.id, where))
            if aside and aside.credential.secret == key.secret and aside.until > now:
                return aside
        return None

    def _look_once(self, key: CredentialSpec, deployment_id: UUID, now: float) -> None:
        """Where the time of a refused key has come, one call looks, and the next in a minute."""
        for where in (None, deployment_id):
            aside = self._asides.get((key.id, where))
            if aside and aside.is_refused:
                aside.until = now + RETRIAL_S

    def _next(self, keys: tuple[CredentialSpec, ...]) -> CredentialSpec:
        """Smooth weighted round-robin (nginx, 2012): each gains its weight, the richest pays for all."""
        if len(keys) == 1:
            return keys[0]
        turns = self._turns
        for key in keys:
            turns[key.id] = turns.get(key.id, 0) + key.weight
        chosen = max(keys, key=lambda key: turns[key.id])
        turns[chosen.id] -= sum(key.weight for key in keys)
        return chosen


_KEYLESS = Chosen(None)


def _none_ready(keys: tuple[CredentialSpec, ...], asides: list[Aside], now: float) -> NoneReady:
    soonest = min(asides, key=lambda aside: aside.until)
    only_refused = all(aside.is_refused for aside in asides)
    return NoneReady(soonest.until - now, keys[0] if only_refused else None)
