"""Settings of dokreg; everything that differs between installations comes from the environment.

README.md lists the variables. Without any, dokreg keeps SQLite, its keys and a private broker in the data folder.
"""

import logging
import os
from pathlib import Path
from urllib.parse import urlsplit

import django_stubs_ext
from csp.constants import NONE, SELF

from dokreg import keys, logs
from dokreg.addresses import is_loopback_name, parse_networks
from dokreg.configuration import (
    as_bind,
    as_bool,
    as_count,
    as_days,
    as_log_format,
    as_log_level,
    as_own_url,
    as_postgresql,
    as_rate,
    as_redis,
    as_roles,
    as_seconds,
    as_sender,
    as_smtp,
    as_token,
    as_url,
    as_words,
    read_environment,
)
from dokreg.places import DEFAULT_DATA, run_folder

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
_env = read_environment()
os.umask(0o077)  # nothing that dokreg writes is anybody else's business

# Where things are
DOKREG_DATA = Path(_env.text("DOKREG_DATA") or DEFAULT_DATA).absolute()
STATIC_ROOT = Path(_env.text("DOKREG_STATIC_ROOT") or DOKREG_DATA / "static").absolute()
DOKREG_BIND = _env.parse("DOKREG_BIND", as_bind, "127.0.0.1:8000")
DOKREG_URL = _env.parse("DOKREG_URL", as_own_url, f"http://{DOKREG_BIND[0]}:{DOKREG_BIND[1]}")
DOKREG_ALLOW_LOOPBACK = _env.parse("DOKREG_ALLOW_LOOPBACK", as_bool, "false")
DOKREG_ALLOWED_NETWORKS = _env.parse("DOKREG_ALLOWED_NETWORKS", parse_networks, "")
DOKREG_TRUSTED_PROXIES = _env.parse("DOKREG_TRUSTED_PROXIES", parse_networks, "")
DOKREG_LOCAL_DOCKER = _env.parse("DOKREG_LOCAL_DOCKER", as_bool, "true")

# What nobody waits for runs a few at a time, over all workers together, so that a click always finds a free one. The
# sum should stay below the number of the workers' threads.
DOKREG_TESTS_AT_ONCE = _env.parse("DOKREG_TESTS_AT_ONCE", as_count, "8")
DOKREG_REFRESHES_AT_ONCE = _env.parse("DOKREG_REFRESHES_AT_ONCE", as_count, "4")
DOKREG_LOGINS_AT_ONCE = _env.parse("DOKREG_LOGINS_AT_ONCE", as_count, "4")
DOKREG_API_REQUESTS_PER_MINUTE = _env.parse("DOKREG_API_REQUESTS_PER_MINUTE", as_rate, "3000")  # of one key
DOKREG_DEPLOYMENTS_AT_ONCE = _env.parse("DOKREG_DEPLOYMENTS_AT_ONCE", as_count, "8")
# From the first rung to the last, a pull of many gigabytes included.
DOKREG_DEPLOYMENT_SECONDS = _env.parse("DOKREG_DEPLOYMENT_MINUTES", as_count, "30") * 60
# How long a worker that is told to end goes on with what it has in hand; less than whoever tells it so waits.
DOKREG_DRAIN_SECONDS = _env.parse("DOKREG_DRAIN_SECONDS", as_seconds, "25")
DOKREG_DELIVERIES_AT_ONCE = _env.parse("DOKREG_DELIVERIES_AT_ONCE", as_count, "2")  # each is a process of its own

# How long what has happened is kept, in days; 0: for ever. What is still needed stays anyway: dokreg.retention
DOKREG_KEEP_TESTS_DAYS = _env.parse("DOKREG_KEEP_TESTS_DAYS", as_days, "90")
DOKREG_KEEP_LOGS_DAYS = _env.parse("DOKREG_KEEP_LOGS_DAYS", as_days, "90")  # of deployments
DOKREG_KEEP_DEPLOYMENTS_DAYS = _env.parse("DOKREG_KEEP_DEPLOYMENTS_DAYS", as_days, "365")
DOKREG_KEEP_AUDIT_DAYS = _env.parse("DOKREG_KEEP_AUDIT_DAYS", as_days, "730")

# Where tokens are minted; empty: the cloud's own address, which depends on the registry's host
DOKREG_AWS_ENDPOINT_URL = _env.parse("DOKREG_AWS_ENDPOINT_URL", as_url, "")
DOKREG_GOOGLE_TOKEN_URL = _env.parse("DOKREG_GOOGLE_TOKEN_URL", as_url, "") or "https://oauth2.googleapis.com/token"
DOKREG_GOOGLE_METADATA_URL = _env.parse("DOKREG_GOOGLE_METADATA_URL", as_url, "") or "http://169.254.169.254"
DOKREG_AZURE_LOGIN_URL = _env.parse("DOKREG_AZURE_LOGIN_URL", as_url, "")
DOKREG_ACR_EXCHANGE_URL = _env.parse("DOKREG_ACR_EXCHANGE_URL", as_url, "")
# Docker Hub's own API, which lists repositories and tags
DOKREG_DOCKER_HUB_URL = _env.parse("DOKREG_DOCKER_HUB_URL", as_url, "") or "https://hub.docker.com"
# Whether registries may use the rights that the machine itself has in its cloud
DOKREG_MACHINE_IDENTITY = _env.parse("DOKREG_MACHINE_IDENTITY", as_bool, "false")
# The roles that it may assume for them; empty: none
DOKREG_MACHINE_ROLES = _env.parse("DOKREG_MACHINE_ROLES", as_roles, "")

DEBUG = _env.parse("DOKREG_DEBUG", as_bool, "false")
if DEBUG and not is_loopback_name(DOKREG_BIND[0]):
    _env.mistakes.append("DOKREG_DEBUG shows internals to everybody; it needs a loopback address in DOKREG_BIND.")

_database = _env.parse("DATABASE_URL", as_postgresql, "")
_connections = _env.parse("DOKREG_DATABASE_CONNECTIONS", as_count, "20")  # of one process
if _database is not None:
    _database["OPTIONS"]["pool"]["max_size"] = _connections
_broker = _env.parse("REDIS_URL", as_redis, "")
_smtp = _env.parse("DOKREG_SMTP_URL", as_smtp, "")
_sender = _env.parse("DOKREG_EMAIL_FROM", as_sender, "")
if _smtp.host and not _sender:
    _env.mistakes.append("DOKREG_EMAIL_FROM is not set; DOKREG_SMTP_URL needs it, such as dokreg@example.com.")

# Keys: from the environment, or files in the data folder where everything else is kept there too
SECRET_KEY = _env.text("DOKREG_SECRET_KEY")
FERNET_KEYS = as_words(_env.text("DOKREG_FERNET_KEYS"))
for _name in ("DOKREG_SECRET_KEY", "DOKREG_FERNET_KEYS"):
    if _env.is_given(_name) and not _env.text(_name):
        _env.mistakes.append(f"{_name} is given and empty.")
if _database is not None:
    if not SECRET_KEY:
        _env.mistakes.append("DOKREG_SECRET_KEY is not set. Make one with: python -m dokreg.keys")
    if not FERNET_KEYS:
        _env.mistakes.append("DOKREG_FERNET_KEYS is not set. Make a key with: python -m dokreg.keys")
DOKREG_EXTRA_HOSTS = as_words(_env.text("DOKREG_ALLOWED_HOSTS"))
DOKREG_LOG_LEVEL = _env.parse("DOKREG_LOG_LEVEL", as_log_level, "INFO")
DOKREG_LOG_FORMAT = _env.parse("DOKREG_LOG_FORMAT", as_log_format, "text")
# Who may read /metrics; with neither nobody may, and with both it takes both
DOKREG_METRICS_TOKEN = _env.parse("DOKREG_METRICS_TOKEN", as_token, "")
DOKREG_METRICS_NETWORKS = _env.parse("DOKREG_METRICS_NETWORKS", parse_networks, "")
DOKREG_METRICS = bool(DOKREG_METRICS_TOKEN or DOKREG_METRICS_NETWORKS)
DOKREG_SOURCES = _env.sources  # for manage.py doctor: where each setting comes from
try:
    DOKREG_DATA.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _env.mistakes:  # else none are made
        SECRET_KEY = SECRET_KEY or keys.load_or_create(DOKREG_DATA / "keys", keys.SECRET_KEY_FILE)
        FERNET_KEYS = FERNET_KEYS or as_words(keys.load_or_create(DOKREG_DATA / "keys", keys.FERNET_KEYS_FILE))
    if FERNET_KEYS or not _env.mistakes:
        keys.check_fernet_keys(FERNET_KEYS, secret_key=SECRET_KEY)
except keys.BadKeys as error:
    _env.mistakes.append(str(error))
except OSError as error:
    _env.mistakes.append(f"DOKREG_DATA: {DOKREG_DATA} cannot be used: {error.strerror}.")
_env.complain()

# Web
_host = urlsplit(DOKREG_URL).hostname or ""
ALLOWED_HOSTS = [
    "127.0.0.1",
    "localhost",
    "[::1]",
    *filter(None, [f"[{_host}]" if ":" in _host else _host, *DOKREG_EXTRA_HOSTS]),
]
CSRF_TRUSTED_ORIGINS = [DOKREG_URL]
_secure = DOKREG_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _secure
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_NAME = "dokreg_session"
CSRF_COOKIE_NAME = "dokreg_csrf"
SESSION_COOKIE_AGE = 14 * 24 * 3600
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if DOKREG_TRUSTED_PROXIES else None
SECURE_HSTS_SECONDS = 30 * 24 * 3600 if _secure else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
APPEND_SLASH = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    }
}
ROOT_URLCONF = "dokreg.urls"
WSGI_APPLICATION = "dokreg.wsgi.application"
DEFAULT_EXCEPTION_REPORTER_FILTER = "dokreg.http.SilentExceptionReporterFilter"
CSRF_FAILURE_VIEW = "dokreg.views.csrf_failure"

INSTALLED_APPS = [
    "dokreg.apps.DokregConfig",
    "organisations",
    "servers",
    "registries",
    "applications",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.forms",
    "django_htmx",
    "template_partials",
    "auditlog",
    "axes",
    "csp",
]
MIDDLEWARE = [
    "dokreg.logs.middleware.RequestIdMiddleware",
    *(["dokreg.metrics.requests.CountRequestsMiddleware"] if DOKREG_METRICS else []),
    "dokreg.http.ClientAddressMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "dokreg.http.RefuseNulMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "dokreg.http.HtmxRedirectMiddleware",
    "auditlog.middleware.AuditlogMiddleware",
    "axes.middleware.AxesMiddleware",
]
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
                "organisations.context.frame",
            ],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "dokreg.static_files.StaticFiles"},
}

# People
AUTH_USER_MODEL = "organisations.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "organisations.backends.MembershipBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign_in"
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_CALLABLE = "organisations.views.sign_in.locked_out"
AXES_VERBOSE = False
AXES_SENSITIVE_PARAMETERS = ["next", "csrfmiddlewaretoken"]  # `next` may be the one-time link of an invitation

# Audit trail
AUDITLOG_LOGENTRY_MODEL = "organisations.AuditEntry"
AUDITLOG_DISABLE_ON_RAW_SAVE = True
AUDITLOG_CID_HEADER = None  # nobody outside writes into the audit trail

# Data
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": _database
    or {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(DOKREG_DATA / "dokreg.sqlite3"),
        # To open one means to read the whole schema, and the last one that is closed writes the log back into the file.
        "CONN_MAX_AGE": 600,
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": (
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; PRAGMA secure_delete=ON"
            ),
        },
    }
}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# Work in the background: the rows are the truth, the broker only carries their ids
DOKREG_RUN_DIR = run_folder(DOKREG_DATA)
DOKREG_BROKER_SOCKET = DOKREG_RUN_DIR / "broker.sock"
DOKREG_BROKER_EMBEDDED = not _broker
CELERY_BROKER_URL = _broker or f"redis+socket://{DOKREG_BROKER_SOCKET}"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 180,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "socket_keepalive": not DOKREG_BROKER_EMBEDDED,
    "health_check_interval": 15,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CHANNEL_ERROR_RETRY = True  # a Redis that is full or cannot write: workers wait for it, too
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    f"{app}.tasks.{name}": {"queue": "ssh"}
    for app, name in (
        ("servers", "run_server_test"),
        ("registries", "run_registry_test"),
        ("registries", "run_config_check"),
        ("registries", "sync_logins"),
        ("registries", "tidy_after"),
        ("applications", "run_deployment"),
        ("applications", "run_container_look"),
        ("applications", "poll_application"),
        ("applications", "see_quota"),
        ("registries", "run_catalog_look"),
    )
}
# More than the longest task takes (a token, a login and a pull right, each with its deadline), less than the broker's
# visibility_timeout.
CELERY_TASK_TIME_LIMIT = 170
CELERY_TASK_SOFT_TIME_LIMIT = 150
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"

# E-mail: for notifications alone
DOKREG_SENDS_EMAIL = bool(_smtp.host)
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if DOKREG_SENDS_EMAIL else 'dummy'}.EmailBackend"
EMAIL_HOST, EMAIL_PORT = _smtp.host, _smtp.port
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _smtp.user, _smtp.password
EMAIL_USE_TLS, EMAIL_USE_SSL = _smtp.starttls, _smtp.implicit_tls
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = _sender

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "dokreg.logs.formatting.Lines"}
        if DOKREG_LOG_FORMAT == logs.JSON
        else {"format": logs.LINE, "style": "{"}
    },
    "filters": {"links": {"()": "dokreg.http.MaskOneTimeLinks"}, "request": {"()": "dokreg.logs.AddRequestId"}},
    "handlers": {
        "terminal": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["links", "request"],
        },
        "nothing": {"class": "logging.NullHandler"},
    },
    "root": {"handlers": ["terminal"], "level": DOKREG_LOG_LEVEL},
    "loggers": {
        # paramiko logs tracebacks with text that the other side chose.
        "paramiko": {"handlers": ["nothing"], "propagate": False},
        "invoke": {"handlers": ["nothing"], "propagate": False},
        "fabric": {"handlers": ["nothing"], "propagate": False},
        # apprise logs addresses, which hold tokens.
        "apprise": {"handlers": ["nothing"], "propagate": False},
        # These log what they send and receive, tokens too.
        **{name: {"level": "WARNING"} for name in ("botocore", "google", "httpcore", "httpx", "urllib3")},
        "axes": {"level": "WARNING"},
        "celery": {"level": "WARNING"},
        "kombu": {"level": "WARNING"},
    },
}
logging.captureWarnings(DOKREG_LOG_FORMAT == logs.JSON)  # else they would be the only lines that are none
