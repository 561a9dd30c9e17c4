import pytest
from cryptography.fernet import Fernet
from pytest_django import Settings

from core import vault
from core.vault import Secret, UnreadableSecretError


def test_a_secret_does_not_print_itself() -> None:
    secret = Secret("sk-live-0123456789")
    shown = f"{secret} {secret!r} {[secret]} { ({'key': secret}) }"
    assert "0123" not in shown
    assert "••••6789" in shown
    assert Secret("short-one").hint == "••••"


def test_an_old_key_still_decrypts_after_a_new_one_was_put_first(settings: Settings) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [old]
    token = vault.encrypt("sk-live")
    settings.ENCRYPTION_KEYS = [new, old]
    assert vault.decrypt(token).reveal() == "sk-live"
    settings.ENCRYPTION_KEYS = [new]
    with pytest.raises(UnreadableSecretError, match="ENCRYPTION_KEYS"):
        vault.decrypt(token)


def test_any_phrase_makes_a_key() -> None:
    assert Fernet(vault.fernet_key_from("your-32-character-encryption-key"))
