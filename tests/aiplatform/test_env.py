"""The environment: what production refuses, and what the embedded start makes by itself."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests import environment

_STRONG = {"SECRET_KEY": "a secret of more than 32 characters", "ENCRYPTION_KEYS": Fernet.generate_key().decode()}


def _settings(state_dir: Path, show: str = "'fine'", **env: str) -> subprocess.CompletedProcess[str]:
    """Load the settings in a process of its own, and print an expression."""
    return subprocess.run(
        [sys.executable, "-c", f"from aiplatform import settings; print({show})"],
        env={**environment.bare(), "STATE_DIR": str(state_dir), **env},
        cwd=environment.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


# Many environments, one after the other in one process: what ended each start, "" where nothing did.
_TRY_ALL = """
import json, os, runpy, sys
before, said = dict(os.environ), []
for case in json.load(sys.stdin):
    os.environ.clear()
    os.environ.update(before | case)
    try:
        runpy.run_module("aiplatform.settings")
        said.append("")
    except SystemExit as end:
        said.append(str(end.code))
json.dump(said, sys.stdout)
"""


def _said_of(state_dir: Path, cases: list[dict[str, str]], **env: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _TRY_ALL],
        env={**environment.bare(), "STATE_DIR": str(state_dir), **env},
        cwd=environment.ROOT,
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return list(json.loads(done.stdout))


@pytest.mark.parametrize("name", ["SECRET_KEY", "ENCRYPTION_KEYS"])
@pytest.mark.parametrize("value", ["", "short", "A" * 43 + "="])
def test_production_refuses_a_weak_secret_in_one_line(tmp_path: Path, name: str, value: str) -> None:
    done = _settings(tmp_path, DJANGO_ENV="production", **(_STRONG | {name: value}))

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert name in done.stderr


def test_production_believes_no_tokens_that_a_weak_secret_signs(tmp_path: Path) -> None:
    tokens = {"JWT_SECRET": "a" * 40, "JWT_AUDIENCE": "us", "JWT_ISSUER": "them"}
    done = _settings(tmp_path, DJANGO_ENV="production", **_STRONG, **tokens)

    assert (done.returncode, done.stderr.split()[0]) == (1, "JWT_SECRET")


_SHARED = {"JWT_SECRET": "a secret of thirty-two character"}
_SET = {"JWT_JWKS_URL": "https://id.example.com/keys"}
_NAMED = {"JWT_AUDIENCE": "us", "JWT_ISSUER": "them"}


def test_tokens_are_believed_by_whom_one_secret_or_set_of_keys_a_name_and_a_signer_are_known(tmp_path: Path) -> None:
    cases = {
        "JWT_SECRET must have at least 32 characters.": {"JWT_SECRET": _SHARED["JWT_SECRET"][:-1], **_NAMED},
        "Set JWT_SECRET (HS256) or JWT_JWKS_URL (RS256), not both.": _SHARED | _SET | _NAMED,
        "JWT_ALGORITHM must be HS256 with JWT_SECRET.": {**_SHARED, **_NAMED, "JWT_ALGORITHM": "RS256"},
        "JWT_ALGORITHM must be RS256 with JWT_JWKS_URL.": {**_SET, **_NAMED, "JWT_ALGORITHM": "HS256"},
        "JSON Web Tokens need JWT_AUDIENCE": {**_SHARED, "JWT_ISSUER": "them"},
        "JSON Web Tokens need JWT_ISSUER": {**_SET, "JWT_AUDIENCE": "us"},
        "JSON Web Tokens need JWT_AUDIENCE and JWT_ISSUER": _SHARED,
    }
    fine = [_NAMED, _SHARED | _NAMED | {"JWT_ALGORITHM": "HS256"}, _SET | _NAMED]

    said = _said_of(tmp_path, [*cases.values(), *fine])

    assert [line.partition(": which")[0] for line in said] == [*cases, *([""] * len(fine))]


def test_in_production_a_secret_of_few_characters_over_and_over_was_typed(tmp_path: Path) -> None:
    typed, made = "abcdefg" * 6, "abcdefgh" * 5
    names = ("SECRET_KEY", "AI_ENCRYPTION_KEY")

    said = _said_of(
        tmp_path,
        [{name: value} for name in names for value in (typed, made)],
        **{"DJANGO_ENV": "production", **_STRONG},
    )

    refused = [f"{name} has fewer than 8 different characters: make it at random." for name in names]
    assert said == [refused[0], "", refused[1], ""]


@pytest.mark.parametrize(
    ("env", "reached"), [({}, "127.0.0.0/8, ::1/128"), ({"DJANGO_ENV": "production", **_STRONG}, "none")]
)
def test_this_machines_own_addresses_are_called_unasked_where_nobody_else_is_served(
    tmp_path: Path, env: dict[str, str], reached: str
) -> None:
    assert _settings(tmp_path, "settings.EGRESS", **env).stdout.strip() == reached


def test_production_refuses_a_weak_key_of_specification_d(tmp_path: Path) -> None:
    done = _settings(tmp_path, DJANGO_ENV="production", AI_ENCRYPTION_KEY="short", **_STRONG)

    assert done.returncode == 1
    assert done.stderr.startswith("AI_ENCRYPTION_KEY is missing or shorter than 32 characters")


@pytest.mark.parametrize("env", [{}, {"DJANGO_ENV": "production", **_STRONG}], ids=["embedded", "production"])
def test_no_start_with_keys_that_encrypt_nothing(tmp_path: Path, env: dict[str, str]) -> None:
    usable = _STRONG["ENCRYPTION_KEYS"]
    unusable = ["x" * 32, "x" * 44, "," * 32, f"{usable},{'x' * 32}", "\N{EURO SIGN}" * 40]
    phrase = {"AI_ENCRYPTION_KEY": "any text of more than 32 characters"}
    cases = [{"ENCRYPTION_KEYS": keys} for keys in unusable] + [{"ENCRYPTION_KEYS": "x" * 32, **phrase}]

    *said, fine = _said_of(tmp_path, [*cases, {"ENCRYPTION_KEYS": f" {usable} , {usable} "}], **env)

    assert fine == ""
    for line in said:
        assert line.startswith("ENCRYPTION_KEYS must be comma-separated Fernet keys")
        assert "python3 -c" in line  # how to make one
        assert "\n" not in line


def test_production_starts_with_strong_secrets(tmp_path: Path) -> None:
    done = _settings(tmp_path, "settings.PRODUCTION", DJANGO_ENV="production", **_STRONG)

    assert done.stdout == "True\n", done.stderr


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mounted"
    file.write_text("f" * 40 + "\n")  # as echo writes it

    done = _settings(tmp_path, "repr(settings.SECRET_KEY)", SECRET_KEY_FILE=str(file), SECRET_KEY="not this one")

    assert done.stdout.strip() == repr("f" * 40)


def test_a_secrets_file_that_cannot_be_read_is_named_with_its_setting(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff" * 40)
    files = [str(tmp_path / "missing"), str(tmp_path), str(binary)]

    said = _said_of(tmp_path, [{"JWT_SECRET_FILE": file} for file in files])

    for line, file in zip(said, files, strict=True):
        assert line.startswith(f"JWT_SECRET_FILE names {file}, which cannot be read: ")


def test_a_file_of_settings_is_read_in_the_forms_that_editors_write(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"\xef\xbb\xbfFIRST=1 \r\n\r\n  \r\n  # a note\r\n export  SECOND='two #words'\r\nGIVEN=file\r\n")

    said = _read(file, GIVEN="environment")

    assert said == "1 two #words environment"
    assert _read(tmp_path / "missing", FIRST="1", SECOND="2", GIVEN="3") == "1 2 3"


def test_a_file_of_settings_that_is_not_understood_ends_the_start(tmp_path: Path) -> None:
    """As a whole: with the default of what it says, the books would be kept elsewhere."""
    folder, foreign, cut = (tmp_path / name for name in ("folder", "foreign", "cut"))
    folder.mkdir()
    foreign.write_bytes("PORT=8123\n".encode("utf-16"))
    cut.write_bytes(b"PORT=81\0")

    assert _read(folder) == f"{folder} cannot be read: Is a directory."
    assert _read(foreign) == f"{foreign} cannot be read: it is not text in UTF-8."
    assert _read(cut).startswith(f"{cut}, line 1: must be NAME=value")


@pytest.mark.parametrize(
    "line", ["SECRET_KEY = canary", "SECRET_KEY=canary # ours", "SECRET_KEY='canary", "SECRET-KEY=canary", "canary"]
)
def test_a_line_of_settings_that_would_be_taken_for_another_value_is_named_without_it(
    tmp_path: Path, line: str
) -> None:
    file = tmp_path / ".env"
    file.write_text(f"PORT=8123\n{line}\n")

    told = _read(file)

    assert told.startswith(f"{file}, line 2: must be NAME=value, ")
    assert "canary" not in told


def _read(file: Path, **env: str) -> str:
    """What is in force by a file of settings, or the one line that ends the start."""
    show = "print(*(os.environ[name] for name in ('FIRST', 'SECOND', 'GIVEN')))"
    script = f"import os, pathlib, sys; from aiplatform import env; env.read_file(pathlib.Path(sys.argv[1])); {show}"
    done = subprocess.run(
        [sys.executable, "-c", script, str(file)],
        env=environment.bare() | {"STATE_DIR": str(file.parent / "state")} | env,
        cwd=environment.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.stdout + done.stderr).strip()


def test_a_secret_may_begin_with_a_dollar(tmp_path: Path) -> None:
    secret = "$tr0ng" + "x" * 30
    env = {"JWT_SECRET": secret, "JWT_AUDIENCE": "us", "JWT_ISSUER": "them"}

    done = _settings(tmp_path, "settings.TOKENS.secret.reveal()", **env)

    assert done.stdout.strip() == secret


def test_embedded_secrets_are_made_once_and_readable_by_their_owner_alone(tmp_path: Path) -> None:
    first = _settings(tmp_path, "settings.SECRET_KEY")
    second = _settings(tmp_path, "settings.SECRET_KEY")

    kept = tmp_path / "secrets" / "secret_key"
    assert first.stdout == second.stdout == kept.read_text() + "\n"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.stat().st_uid == os.getuid()
    assert kept.parent.stat().st_mode & 0o777 == 0o700


def test_others_on_the_machine_cannot_look_into_the_folder_of_an_installation(tmp_path: Path) -> None:
    """The sessions in the database are as good as the passwords of those who have signed in."""
    state_dir = tmp_path / "var"

    _settings(state_dir, "settings.DEBUG")

    assert state_dir.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "http"), ("DJANGO_ENV", "prod"), ("LOG_FORMAT", "xml"), ("WEB_WORKERS", "two")]
)
def test_a_value_that_makes_no_sense_stops_the_start_in_one_line(tmp_path: Path, name: str, value: str) -> None:
    done = _settings(tmp_path, **{name: value})

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert name in done.stderr
    assert value in done.stderr


_WHOLE = "must be a whole number from"
_REFUSED = [
    ("LOG_LEVEL", "verbose", "must be one of CRITICAL"),
    ("TIME_ZONE", "Berlin", "must be a zone's name"),
    ("TIME_ZONE", "Europe", "must be a zone's name"),
    ("TIME_ZONE", "../UTC", "must be a zone's name"),
    ("DATABASE_URL", "nonsense", "must be postgres://"),
    ("DATABASE_URL", "mysql://u:canary@h/name", "must be postgres://"),
    ("DATABASE_URL", "postgres://u:canary@host:bad/name", "must be postgres://"),
    ("DATABASE_URL", "postgres://u:canary@host", "must be postgres://"),
    ("DATABASE_URL", "postgres://u:canary@host/name?sslmode=require&pool=true", "must have options of PostgreSQL's"),
    ("DATABASE_URL", "sqlite:////tmp/platform.sqlite3?timeout=1", "must have nothing after its ?"),
    ("REDIS_URL", "redis://:canary@h:bad/0", "must be redis://"),
    ("REDIS_URL", "rediss://:canary@h/0?ssl_cert_reqs=CERT_NONE", "must have one of required"),
    ("REDIS_URL", "http://:canary@h:6379", "must be redis://"),
    ("QDRANT_URL", "http://vectors:bad", "must be an address such as http://"),
    ("JWT_JWKS_URL", "ftp://x", "must be an address such as https://"),
    ("CSRF_TRUSTED_ORIGINS", "https://a.example.com,ai.example.com", "must be addresses such as https://"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:bad", "must be an address such as http://"),
    *[("PORT", port, f"{_WHOLE} 1 to 65535") for port in ("0", "-1", "99999")],
    *[(name, port, f"{_WHOLE} 0 to 65535") for name in ("GRPC_PORT", "METRICS_PORT") for port in ("-1", "65536")],
    ("WEB_WORKERS", "0", f"{_WHOLE} 1"),
    ("MAX_BODY_BYTES", "-1", f"{_WHOLE} 1"),
    ("MAX_BODY_BYTES", "2147483648", f"{_WHOLE} 1 to 2147483647"),  # more than gRPC's option holds
    ("CACHE_TTL", "-5", f"{_WHOLE} 0"),
    ("RETENTION_MONTHS", "-1", f"{_WHOLE} 0"),
    ("RETENTION_MONTHS", "999999", f"{_WHOLE} 0"),
    ("AUDIT_RETENTION_DAYS", "-1", f"{_WHOLE} 0"),
    ("QUEUE_LENGTH", "-1", f"{_WHOLE} 0"),
    ("QUEUE_TIMEOUT", "-1", f"{_WHOLE} 0"),
    ("RATE_LIMIT_REQUESTS", "-1", f"{_WHOLE} 0"),
    ("RATE_LIMIT_WINDOW", "0", f"{_WHOLE} 1"),
    ("CIRCUIT_BREAKER_MAX_REQUESTS", "0", f"{_WHOLE} 1"),
    ("CIRCUIT_BREAKER_TIMEOUT", "86401", f"{_WHOLE} 1 to 86400"),
]


def test_a_value_out_of_its_bounds_ends_the_start_with_what_is_allowed(tmp_path: Path) -> None:
    said = _said_of(tmp_path, [{name: value} for name, value, _ in _REFUSED])

    assert len(said) == len(_REFUSED)
    for line, (name, value, allowed) in zip(said, _REFUSED, strict=True):
        assert line.startswith(f"{name} {allowed}"), (name, value)
        assert "canary" not in line
        assert "\n" not in line


def test_half_of_what_tls_needs_is_no_tls_and_no_start(tmp_path: Path) -> None:
    files = {"GRPC_TLS_CERTIFICATE": "cert.pem", "GRPC_TLS_KEY": "key.pem"}

    *halves, fine = _said_of(tmp_path, [*({name: file} for name, file in files.items()), files])

    assert halves == ["gRPC over TLS needs GRPC_TLS_CERTIFICATE and GRPC_TLS_KEY, not one of them."] * 2
    assert fine == ""


def test_a_folder_for_the_state_that_cannot_be_ends_the_start(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    folders = (file, file / "below", Path("/proc"))  # where not even root can write

    said = _said_of(tmp_path, [{"STATE_DIR": str(folder)} for folder in folders])

    for line, folder in zip(said, folders, strict=True):
        assert line.startswith(f"STATE_DIR must be a folder that can be written to, not {folder}: ")


def test_the_port_of_specification_e_is_looked_at_where_its_host_is_set(tmp_path: Path) -> None:
    port = {"QDRANT_PORT": "tcp://10.0.0.1:6333"}  # as Kubernetes sets it for a service called qdrant

    said = _said_of(tmp_path, [port, {"QDRANT_HOST": "vectors", **port}])

    assert said[0] == ""
    assert said[1].startswith(f"QDRANT_PORT {_WHOLE} 1 to 65535")


def test_values_at_their_bounds_and_in_their_other_forms_are_fine(tmp_path: Path) -> None:
    cases = [
        {"LOG_LEVEL": "debug", "TIME_ZONE": "Europe/Berlin", "PORT": "65535", "GRPC_PORT": "0", "METRICS_PORT": "0"},
        {"DATABASE_URL": "postgresql://u:p%40ss@[::1]:5432/name", "REDIS_URL": "rediss://:pw@h/1", "CACHE_TTL": "0"},
        {"DATABASE_URL": "sqlite:////tmp/platform.sqlite3", "REDIS_ADDR": "cache", "QDRANT_URL": "vectors:6333"},
        {"RETENTION_MONTHS": "0", "AUDIT_RETENTION_DAYS": "0", "QUEUE_LENGTH": "0", "RATE_LIMIT_REQUESTS": "0"},
    ]

    assert _said_of(tmp_path, cases) == [""] * len(cases)


def test_options_of_the_databases_address_win_over_ours(tmp_path: Path) -> None:
    url = (
        "postgres://u:p@h/n?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem&target_session_attrs=any&connect_timeout=9"
    )

    done = _settings(tmp_path, "settings.DATABASES['default']['OPTIONS']", DATABASE_URL=url)

    options = ast.literal_eval(done.stdout)
    assert options.items() >= {
        ("sslmode", "verify-full"),
        ("sslrootcert", "/etc/ca.pem"),
        ("target_session_attrs", "any"),
        ("connect_timeout", 9),
        ("keepalives_idle", 10),  # one of ours
    }


def test_trusted_origins_are_read_in_djangos_form(tmp_path: Path) -> None:
    done = _settings(
        tmp_path, "settings.CSRF_TRUSTED_ORIGINS", CSRF_TRUSTED_ORIGINS="https://ai.example.com/, https://*.example.org"
    )

    assert ast.literal_eval(done.stdout) == ["https://ai.example.com", "https://*.example.org"]


@pytest.mark.parametrize("name", ["PUBLIC_URL", "CSRF_TRUSTED_ORIGINS"])
@pytest.mark.parametrize(("scheme", "shown"), [("https", "True True"), ("http", "False False")])
def test_cookies_of_a_session_go_over_tls_where_people_come_by_it(
    tmp_path: Path, name: str, scheme: str, shown: str
) -> None:
    both = "settings.SESSION_COOKIE_SECURE, settings.CSRF_COOKIE_SECURE"

    done = _settings(tmp_path, both, **{name: f"{scheme}://ai.example.com"})

    assert done.stdout.strip() == shown


@pytest.mark.parametrize(
    ("given", "shown", "expected"),
    [
        ({"AI_SERVICE_PORT": "8001"}, "settings.PORT", "8001"),
        ({"AI_PROVIDER_PORT": "8002", "PORT": "8003"}, "settings.PORT", "8003"),
        ({"REDIS_ADDR": "cache:6379"}, "settings.REDIS_URL", "redis://cache:6379"),
        ({"AI_ENCRYPTION_KEY": "any text"}, "len(settings.ENCRYPTION_KEYS[0])", "44"),
        ({"QDRANT_HOST": "vectors", "QDRANT_PORT": "6399"}, "settings.QDRANT_URL", "http://vectors:6399"),
        ({"CIRCUIT_BREAKER_MAX_REQUESTS": "7"}, "settings.CIRCUIT_BREAKER_MAX_REQUESTS", "7"),
        ({"CIRCUIT_BREAKER_TIMEOUT": "30"}, "settings.CIRCUIT_BREAKER_TIMEOUT_S", "30"),
        ({"RATE_LIMIT_REQUESTS": "100", "RATE_LIMIT_WINDOW": "60"}, "settings.RATE_LIMIT_REQUESTS", "100"),
    ],
)
def test_the_specifications_names_are_understood(
    tmp_path: Path, given: dict[str, str], shown: str, expected: str
) -> None:
    assert _settings(tmp_path, shown, **given).stdout.strip() == expected


def test_what_was_encrypted_before_the_key_of_specification_d_was_set_stays_readable(tmp_path: Path) -> None:
    (made,) = ast.literal_eval(_settings(tmp_path, "settings.ENCRYPTION_KEYS").stdout)
    ring = ast.literal_eval(_settings(tmp_path, "settings.ENCRYPTION_KEYS", AI_ENCRYPTION_KEY="any text").stdout)

    assert len(ring) == 2
    assert ring[1] == made != ring[0]


def test_a_setting_that_means_nothing_here_is_named_once(tmp_path: Path) -> None:
    env = {"AI_ENCRYPTION_IV": "canary-iv", "AI_MODEL_SERVICE_ADDR": "model:50051"}

    done = subprocess.run(
        [sys.executable, "manage.py", "serve", "--only", "setup"],
        env={**environment.bare(), "STATE_DIR": str(tmp_path), **env},
        cwd=environment.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert [done.stderr.count(name) for name in env] == [1, 1]
    assert "canary-iv" not in done.stderr


_OTLP = "OTEL_EXPORTER_OTLP_ENDPOINT"
_LANGFUSE = {"LANGFUSE_HOST": "http://fuse:3000/", "LANGFUSE_PUBLIC_KEY": "pk", "LANGFUSE_SECRET_KEY": "sk"}


def test_traces_are_off_unless_there_is_somebody_to_take_them(tmp_path: Path) -> None:
    done = _settings(tmp_path, "settings.TRACING", OTEL_SERVICE_NAME="house", OTEL_TRACES_SAMPLER="always_on")

    assert done.stdout == "None\n", done.stderr


def test_traces_go_where_the_standard_variables_say(tmp_path: Path) -> None:
    env = {_OTLP: "http://collector:4318/", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=se%20cret, x-b=2", **_LANGFUSE}
    show = "[(c.url, {k: v.reveal() for k, v in c.headers.items()}) for c in settings.TRACING.collectors]"

    done = _settings(tmp_path, show, **env)

    assert ast.literal_eval(done.stdout) == [
        ("http://collector:4318/v1/traces", {"x-key": "se cret", "x-b": "2"}),
        ("http://fuse:3000/api/public/otel/v1/traces", {"Authorization": "Basic cGs6c2s="}),
    ]


def test_a_collectors_secrets_are_not_printed(tmp_path: Path) -> None:
    env = {_OTLP: "http://collector:4318", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=canary-key", **_LANGFUSE}

    done = _settings(tmp_path, "settings.TRACING", **env)

    assert "collector:4318" in done.stdout
    assert "canary-key" not in done.stdout
    assert "cGs6c2s" not in done.stdout


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({_OTLP: "collector:4318"}, _OTLP),
        ({_OTLP: "http://collector", "OTEL_EXPORTER_OTLP_HEADERS": "canary"}, "OTEL_EXPORTER_OTLP_HEADERS"),
        ({_OTLP: "http://collector", "OTEL_TRACES_SAMPLER": "sometimes"}, "OTEL_TRACES_SAMPLER"),
        *(
            ({_OTLP: "http://collector", "OTEL_TRACES_SAMPLER_ARG": share}, "OTEL_TRACES_SAMPLER_ARG")
            for share in ("half", "nan", "10", "-0.1")
        ),
        ({"LANGFUSE_HOST": "http://fuse"}, "LANGFUSE_SECRET_KEY"),
        ({**_LANGFUSE, "LANGFUSE_HOST": "fuse"}, "LANGFUSE_HOST"),
    ],
)
def test_settings_of_traces_that_make_no_sense_stop_the_start(tmp_path: Path, env: dict[str, str], named: str) -> None:
    done = _settings(tmp_path, **env)

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert named in done.stderr
    assert "canary" not in done.stderr
