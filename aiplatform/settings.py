"""Django's settings. What an operator may set is read in `env` and its neighbours; see `.env.example`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import django_stubs_ext

from aiplatform import admin_theme, collectors, env, logs, own_secrets, public_url, servers

# Django's generic classes can then be written with their parameters: ModelForm[Provider].
django_stubs_ext.monkeypatch()

BASE_DIR: Path = env.BASE_DIR
STATE_DIR: Path = env.STATE_DIR
PRODUCTION: bool = env.PRODUCTION
DEBUG = False
SECRET_KEY = own_secrets.secret_key()
ENCRYPTION_KEYS = own_secrets.encryption_keys()
HOST = env.text("HOST", "127.0.0.1")
PORT = env.integer("PORT", 8000, least=1, most=env.LAST_PORT)
METRICS_PORT = env.integer("METRICS_PORT", 9090, most=env.LAST_PORT)  # 0: no metrics
GRPC_PORT = env.integer("GRPC_PORT", 8087, most=env.LAST_PORT)  # 0: no gRPC
GRPC_TLS = env.grpc_tls()
WEB_WORKERS = env.integer("WEB_WORKERS", 1, least=1, most=1_000)
TOKENS = env.tokens()
ANONYMOUS_CLIENT = env.text("ANONYMOUS_CLIENT")
REDIS_URL = servers.redis_url()
QDRANT_URL, QDRANT_API_KEY = servers.qdrant_url(), servers.qdrant_api_key()

# Hosts: a key or a session guards every door, and no page is built from the Host header.
ALLOWED_HOSTS = env.parts(env.text("ALLOWED_HOSTS", "*"))
FORWARDED_ALLOW_IPS = env.text("FORWARDED_ALLOW_IPS", "127.0.0.1")
CSRF_TRUSTED_ORIGINS = env.trusted_origins()
PUBLIC_URL, PUBLIC_URL_IS_GUESSED = public_url.find(CSRF_TRUSTED_ORIGINS, host=HOST, port=PORT)

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",  # `aiplatform` brings the admin's site
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin.apps.SimpleAdminConfig",  # `urls` has the admin modules loaded
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "accounts",
    "usage",
    "providers",
    "gateway",
    "alerts",
    "vectors",
    "aiplatform",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.acting.middleware",
    "aiplatform.reader_zone.middleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "aiplatform.urls"
ASGI_APPLICATION = "aiplatform.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

DATABASES: dict[str, dict[str, Any]] = {"default": servers.database()}

if REDIS_URL:
    CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": REDIS_URL, "KEY_PREFIX": "aip"}}
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

UNFOLD = admin_theme.UNFOLD
LANGUAGE_CODE = "en-us"
TIME_ZONE = env.time_zone()
FORMAT_MODULE_PATH = ["aiplatform.formats"]
USE_I18N = False
USE_TZ = True
USE_THOUSAND_SEPARATOR = False

STATIC_URL = "/static/"
STATIC_ROOT = STATE_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# Behind a TLS proxy in production; embedded it is plain HTTP on one machine.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if PRODUCTION else None
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = any(
    opened_at.startswith("https:") for opened_at in (PUBLIC_URL, *CSRF_TRUSTED_ORIGINS)
)
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"

REST_FRAMEWORK = {
    # Deny by default: a view without a policy of its own is for administrators and `manage` keys.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.rest.ApiKeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.rest.CanManage"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["accounts.api.bodies.JSONBodies"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "EXCEPTION_HANDLER": "accounts.rest.error_response",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "AI Platform",
    "DESCRIPTION": (
        "Manage LLM providers, call them, and account for what they cost. "
        "Besides the paths here there are a WebSocket, `/ws/complete`, and a gRPC service, `ai_proxy.v1.AIProxy`."
    ),
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,  # what is written alone, a secret say, is in no answer
    "ENUM_NAME_OVERRIDES": {
        "KeyScope": "accounts.models.ApiKey.Scope",
        "BudgetScope": "usage.models.Budget.Scope",
        "ChannelKind": "alerts.channels.CHOICES",
        "DeliveryKind": "alerts.models.Delivery.Kind",
        "HealthStatus": "providers.api.serializers.HEALTH_STATES",
    },
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "aiplatform.openapi.add_doors"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# Alerts and reports: how they go out; their links lead to PUBLIC_URL.
MAIL_SERVER = servers.mail_server()
EMAIL_FROM = env.text("EMAIL_FROM", "AI Platform <ai-platform@localhost>")

_QUEUE_DIR = STATE_DIR / "celery"
_QUEUE_DIR.mkdir(parents=True, exist_ok=True)  # the schedule's last runs are kept there in any case
CELERY_TASK_IGNORE_RESULT = True
CELERY_TIMEZONE = TIME_ZONE
CELERY_WORKER_ENABLE_REMOTE_CONTROL = bool(REDIS_URL)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULER = "aiplatform.schedule:Schedule"
if REDIS_URL:
    CELERY_BROKER_URL = REDIS_URL
    CELERY_BROKER_USE_SSL = servers.broker_tls(REDIS_URL)
    # Without them a Redis that is gone without a word is waited for until the process ends, also where it is back: by
    # the worker, by the schedule, and by whoever saves a provider.
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {"socket_timeout": 5.0, "socket_connect_timeout": 5.0}
else:
    for _folder in ("queue", "control", "processed"):
        (_QUEUE_DIR / _folder).mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_URL = "files://localhost"  # `core.job_files`
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_QUEUE_DIR / "queue"),
        "data_folder_out": str(_QUEUE_DIR / "queue"),
        "control_folder": str(_QUEUE_DIR / "control"),
        "processed_folder": str(_QUEUE_DIR / "processed"),
        "store_processed": False,
    }

EGRESS = env.egress_policy()  # what may be called besides public addresses
RETENTION_MONTHS = env.integer("RETENTION_MONTHS", 0, most=1_200)  # whole months of usage records that are kept; 0: all
AUDIT_RETENTION_DAYS = env.integer("AUDIT_RETENTION_DAYS", 400, most=36_500)  # of the audit trail; 0: all of it is kept
CACHE_TTL_S = env.integer("CACHE_TTL", 3600)  # how long an answer is kept; 0: none is
ENDPOINTS = "aiplatform.doors.require_endpoint"  # what single endpoints' limits may name: for apps below the doors
RATE_LIMIT_REQUESTS = env.integer("RATE_LIMIT_REQUESTS", 0)  # of a key without a tier; 0: no limit
RATE_LIMIT_WINDOW_S = env.integer("RATE_LIMIT_WINDOW", 60, least=1)
# Of new providers: failures in a row that open the circuit, and how long it stays open.
CIRCUIT_BREAKER_MAX_REQUESTS = env.integer("CIRCUIT_BREAKER_MAX_REQUESTS", 5, least=1, most=32_767)
CIRCUIT_BREAKER_TIMEOUT_S = env.integer("CIRCUIT_BREAKER_TIMEOUT", 60, least=1, most=86_400)
QUEUE_LENGTH = env.integer("QUEUE_LENGTH", 100)  # who may wait for each model that bounds its calls at once
QUEUE_TIMEOUT_S = env.integer("QUEUE_TIMEOUT", 30)
MAX_BODY_BYTES = env.integer("MAX_BODY_BYTES", 10 * 1024 * 1024, least=1)
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5_000  # a provider's page has ten for each of a hundred models, and what is added
TRACING = collectors.tracing()  # None: no traces
LOGGING = logs.config(level=env.log_level(), style=env.choice("LOG_FORMAT", "text", ("json", "text")))
