"""Settings from the environment: all mistakes at once, and files in the place of values."""

import os
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from dokreg.configuration import (
    ConfigurationError,
    Environment,
    MailServer,
    as_bind,
    as_bool,
    as_count,
    as_days,
    as_log_format,
    as_own_url,
    as_postgresql,
    as_redis,
    as_roles,
    as_seconds,
    as_sender,
    as_smtp,
    as_token,
    as_url,
)

ROOT = Path(__file__).resolve().parents[2]


def manage(tmp_path: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "DOKREG_DATA": str(tmp_path / "data")} | variables
    return subprocess.run(
        [sys.executable, "manage.py", *(words or ["check"])], cwd=ROOT, env=environment, capture_output=True, text=True
    )


def test_every_mistake_is_reported_in_one_go(tmp_path: Path) -> None:
    refused = manage(
        tmp_path,
        DOKREG_STATIC_ROOT_FILE="/nowhere/at-all",
        DOKREG_BIND="nowhere",
        DOKREG_URL="dokreg.example.com",
        DOKREG_FERNET_KEYS="short",
        DOKREG_DEBUG="perhaps",
        REDIS_URL="http://x",
        DATABASE_URL="x://y",
    )
    assert refused.returncode != 0
    wrong = ["DOKREG_STATIC_ROOT_FILE", "DOKREG_BIND", "DOKREG_URL", "DOKREG_DEBUG", "DATABASE_URL", "REDIS_URL"]
    wrong.append("Key 1 of DOKREG_FERNET_KEYS")
    assert [name for name in wrong if name in refused.stderr] == wrong
    assert "Traceback" not in refused.stderr


def test_postgresql_needs_keys_from_outside(tmp_path: Path) -> None:
    refused = manage(tmp_path, DATABASE_URL="postgresql://u:marked-password@h/db")
    assert "DOKREG_SECRET_KEY is not set" in refused.stderr
    assert "DOKREG_FERNET_KEYS is not set" in refused.stderr
    assert "marked-password" not in refused.stderr


def test_debug_is_refused_where_others_can_see_it(tmp_path: Path) -> None:
    assert "DOKREG_DEBUG" in manage(tmp_path, DOKREG_DEBUG="1", DOKREG_BIND="0.0.0.0:80").stderr


def test_a_value_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    assert Environment({"X_FILE": str(tmp_path / "secret")}).text("X") == "from a file"


def test_a_file_that_is_not_there_is_a_mistake() -> None:
    environment = Environment({"X_FILE": "/nowhere/at-all"})
    environment.text("X")
    with pytest.raises(ConfigurationError, match="X_FILE"):
        environment.complain()


@pytest.mark.parametrize(("text", "bind"), [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:8000", ("[::1]", 8000))])
def test_a_listen_address(text: str, bind: tuple[str, int]) -> None:
    assert as_bind(text) == bind


@pytest.mark.parametrize("text", ["", "80", "host:0", "host:70000", "a b:80"])
def test_what_is_no_listen_address(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        as_bind(text)


def test_words_for_true_and_false() -> None:
    assert (as_bool("Yes"), as_bool("off"), as_bool("")) == (True, False, False)


def test_a_database_address_is_taken_apart() -> None:
    database = as_postgresql("postgresql://me:p%40ss@db.example:5433/name")
    assert database is not None
    assert (database["USER"], database["PASSWORD"], database["PORT"]) == ("me", "p@ss", "5433")


def test_a_broker_address_must_be_redis() -> None:
    with pytest.raises(ValueError, match="redis://"):
        as_redis("amqp://x")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", ""),
        ("redis://:p%2Fw@h:6379/1", "redis://:p%2Fw@h:6379/1"),
        ("redis+socket:///run/redis.sock", "redis+socket:///run/redis.sock"),
        ("rediss://:p%2Fw@h/1", "rediss://:p%2Fw@h/1?ssl_cert_reqs=required&ssl_check_hostname=true"),
        (
            "rediss://h?ssl_ca_certs=/etc/own.pem",
            "rediss://h?ssl_ca_certs=/etc/own.pem&ssl_cert_reqs=required&ssl_check_hostname=true",
        ),
        ("rediss://h?ssl_cert_reqs=none", "rediss://h?ssl_cert_reqs=none"),
        ("redis://:p@a/0;redis://:p@b/0", "redis://:p@a/0;redis://:p@b/0"),
        (
            "rediss://:p@a/0;rediss://:p@b/0",
            ";".join(f"rediss://:p@{host}/0?ssl_cert_reqs=required&ssl_check_hostname=true" for host in "ab"),
        ),
    ],
)
def test_a_broker_whose_certificate_is_checked_unless_it_is_said_otherwise(text: str, address: str) -> None:
    assert as_redis(text) == address
    if address.startswith("rediss"):
        tls: Any = Connection(address).ssl
        assert tls["ssl_cert_reqs"] == (ssl.CERT_NONE if "none" in text else ssl.CERT_REQUIRED)


@pytest.mark.parametrize(
    ("parser", "scheme"), [(as_postgresql, "postgresql"), (as_redis, "redis"), (as_redis, "rediss"), (as_smtp, "smtp")]
)
@pytest.mark.parametrize(
    "password", ["marked/1", "mar[ked]x", "marked\uff1f1", "[marked", "a@b/ark", "a@b/c@ark", "12/x?ark", "12#ark"]
)
def test_no_mistake_quotes_a_password(parser: Callable[[str], object], scheme: str, password: str) -> None:
    with pytest.raises(ValueError, match="not valid") as refused:
        parser(f"{scheme}://u:{password}@host:25/name")
    assert "ark" not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_an_option_of_the_address_may_have_an_at_in_it() -> None:
    database = as_postgresql("postgresql://u:p@h/name?sslkey=/run/credentials/dokreg@1.service/key")
    assert database is not None
    assert database["OPTIONS"]["sslkey"] == "/run/credentials/dokreg@1.service/key"


def test_an_option_that_is_a_passwords_end_is_not_quoted() -> None:
    with pytest.raises(ValueError, match="what is none of") as refused:
        as_postgresql("postgresql://u:12/x?marked=1@host/name")
    assert "ark" not in str(refused.value)


def test_a_day_is_the_longest_that_a_worker_may_take_to_end() -> None:
    assert (as_seconds("1"), as_seconds("86400")) == (1, 86400)
    with pytest.raises(ValueError, match="1 to 86400"):
        as_seconds("86401")


@pytest.mark.parametrize(
    ("url", "host"), [("http://[2001:db8::1]:8000", "[2001:db8::1]"), ("https://a.example", "a.example")]
)
def test_the_host_of_its_address_is_let_in(tmp_path: Path, url: str, host: str) -> None:
    code = "from django.conf import settings; from django.http.request import validate_host; "
    code += f"print(validate_host('{host}', settings.ALLOWED_HOSTS))"
    assert manage(tmp_path, "shell", "--no-imports", "--command", code, DOKREG_URL=url).stdout.strip() == "True"


@pytest.mark.parametrize("text", ["", "dokreg.example.com", "https://a.example/dokreg", "https://u:p@a.example"])
def test_what_is_no_address_of_its_own(text: str) -> None:
    with pytest.raises(ValueError, match="it must"):
        as_own_url(text)


@pytest.mark.parametrize("text", ["", "0", "1001", "-1", "four", "4.0"])
def test_what_is_no_count(text: str) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        as_count(text)


@pytest.mark.parametrize(("text", "days"), [("0", 0), (" 0 ", 0), ("1", 1), ("36500", 36500)])
def test_days_may_be_for_ever(text: str, days: int) -> None:
    assert as_days(text) == days


@pytest.mark.parametrize("text", ["", "00", "-1", "36501", "90 days", "1.5"])
def test_what_is_no_number_of_days_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a whole number"):
        as_days(text)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("", MailServer()),
        ("smtp://mail.example.com", MailServer(host="mail.example.com", port=587, starttls=True)),
        ("smtp://mail:25?tls=none", MailServer(host="mail", port=25)),
        (
            "smtps://dokreg%40example.com:p%2Fw@mail.example.com",
            MailServer("mail.example.com", 465, "dokreg@example.com", "p/w", implicit_tls=True),
        ),
    ],
)
def test_a_mail_server(text: str, server: MailServer) -> None:
    assert as_smtp(text) == server


@pytest.mark.parametrize(
    "text",
    [
        "mail.example.com",
        "http://mail.example.com",
        "smtp://",
        "smtp://u:marked#password@mail.example.com",
        "smtp://u:marked/password@mail.example.com",
        "smtp://mail?tls=perhaps",
        "smtps://mail?tls=none",
        "smtp://mail?timeout=3",
    ],
)
def test_no_mail_server(text: str) -> None:
    with pytest.raises(ValueError, match=r"smtp|port|tls") as refused:
        as_smtp(text)
    assert "marked" not in str(refused.value)


def test_the_password_of_the_mail_server_is_not_in_its_repr() -> None:
    assert "marked" not in repr(as_smtp("smtp://u:marked@mail.example.com"))


@pytest.mark.parametrize("text", ["dokreg@example.com", "dokreg <dokreg@example.com>", ""])
def test_a_sender(text: str) -> None:
    assert as_sender(text) == text


@pytest.mark.parametrize("text", ["dokreg", "dokreg <dokreg>", "a@b@c"])
def test_no_sender(text: str) -> None:
    with pytest.raises(ValueError, match="e-mail address"):
        as_sender(text)


def test_a_mail_server_needs_a_sender(tmp_path: Path) -> None:
    assert "DOKREG_EMAIL_FROM is not set" in manage(tmp_path, DOKREG_SMTP_URL="smtp://mail.example.com").stderr
    assert (
        manage(tmp_path, DOKREG_SMTP_URL="smtp://mail.example.com", DOKREG_EMAIL_FROM="dokreg@example.com").returncode
        == 0
    )


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("", ""),
        ("https://cloud.example.com/", "https://cloud.example.com"),
        ("http://127.0.0.1:5000/token", "http://127.0.0.1:5000/token"),
        ("http://[::1]:5000", "http://[::1]:5000"),
    ],
)
def test_an_address_of_a_service(text: str, url: str) -> None:
    assert as_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "cloud.example.com",
        "ftp://cloud.example.com",
        "https://",
        "https:///path",
        "https://me:marked-password@cloud.example.com",
        "https://cloud.example.com?x",
        "https://cloud.example.com#x",
        "https://cloud.example.com:http",
        "https://cloud.example.com:70000",
        "https://[::1",
        "https://cloud example.com",
        "https://clöud.example.com",
    ],
)
def test_what_is_no_address_of_a_service(text: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        as_url(text)


def test_roles_are_arns_with_spaces_between_them() -> None:
    roles = ["arn:aws:iam::123456789012:role/dokreg,pull", "arn:aws-cn:iam::123456789012:role/team/x"]
    assert as_roles(f" {roles[0]}\n{roles[1]} ") == roles
    assert as_roles("") == []
    for text in ("dokreg-pull", "arn:aws:iam::123456789012:user/x", ",".join(roles)):
        with pytest.raises(ValueError, match="a space between"):
            as_roles(text)


def test_addresses_of_clouds_are_checked_at_the_start(tmp_path: Path) -> None:
    clouds = ("AWS_ENDPOINT", "GOOGLE_TOKEN", "GOOGLE_METADATA", "AZURE_LOGIN", "ACR_EXCHANGE")
    names = [*(f"DOKREG_{cloud}_URL" for cloud in clouds), "DOKREG_MACHINE_IDENTITY"]
    refused = manage(tmp_path, **dict.fromkeys(names, "https://me:marked-password@cloud.example.com"))
    assert [name for name in names if f"{name}: " in refused.stderr] == names
    assert "marked-password" not in refused.stderr


def test_it_is_known_where_a_setting_comes_from_and_no_secret_is(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("marked-token-from-a-file")
    environment = Environment(
        {
            "DATABASE_URL": "postgresql://u:marked@h/db",
            "DOKREG_URL": "https://u:marked@dokreg.example.com",
            "DOKREG_METRICS_TOKEN_FILE": str(tmp_path / "token"),
        }
    )
    for name in ("DATABASE_URL", "DOKREG_URL", "DOKREG_METRICS_TOKEN"):
        environment.text(name)
    environment.text("DOKREG_BIND", "127.0.0.1:8000")
    assert {name: (source.origin, source.shown) for name, source in environment.sources.items()} == {
        "DATABASE_URL": ("the environment", ""),
        "DOKREG_URL": ("the environment", "https://dokreg.example.com"),
        "DOKREG_METRICS_TOKEN": (f"the file {tmp_path / 'token'}", ""),
        "DOKREG_BIND": ("default", "127.0.0.1:8000"),
    }


@pytest.mark.parametrize("text", ["short", "sixteen letters with spaces", "sixteen-letters-ü"])
def test_what_is_no_token_for_the_metrics(text: str) -> None:
    with pytest.raises(ValueError, match="at least 16 ASCII characters"):
        as_token(text)


def test_logs_are_text_or_json() -> None:
    assert (as_log_format("JSON"), as_log_format("text")) == ("json", "text")
    with pytest.raises(ValueError, match="text or json"):
        as_log_format("xml")
