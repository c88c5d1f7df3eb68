"""Clouds that fail, hang, answer oddly or have another time: minting ends in time and says why."""

import datetime as dt
import json
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from registries.kinds import cloud_verdicts, methods, talk
from tests.lab.aws import Aws
from tests.lab.certificates import Authority
from tests.lab.clouds import Asked
from tests.lab.google import Google
from tests.lab.impostors import Answer, Dripping, Refusing, Silent
from tests.patience import SOON
from tests.registries.minted import EVERY, EVERY_CLOUD, ROLE, Case, judge, near

pytestmark = pytest.mark.usefixtures("machine_without_rights")
TEN_MINUTES = 600
SHORT = 0.6


@pytest.fixture
def ecr(ecr_key: Case) -> Case:
    """Credentials, not the saved registry of this name."""
    return ecr_key


# A cloud in trouble

TROUBLE = {
    "500": ("mint_cloud_failed", {"answers_500": True}),
    "throttling": ("mint_throttled", {"throttles": True}),
    "nonsense": ("mint_answer_unreadable", {"talks_nonsense": True}),
    "too much": ("mint_answer_unreadable", {"talks_too_much": True}),
    "an expired token": ("mint_expired_token", {"gives_expired_tokens": True}),
    "a token that ends at once": ("mint_expired_token", {"life": 30}),
}


@EVERY_CLOUD
@pytest.mark.parametrize(("code", "changes"), TROUBLE.values(), ids=list(TROUBLE))
def test_trouble_of_the_cloud_is_not_for_ever(case: Case, code: str, changes: dict[str, Any]) -> None:
    with case.cloud.having(**changes):
        failure = case.failure()
    assert (failure.verdict.code, failure.verdict.permanent) == (code, False)
    case.mint()


@pytest.mark.parametrize("case", ["google_key", "acr"], indirect=True)
def test_how_long_to_wait_is_passed_on(case: Case) -> None:
    with case.cloud.having(throttles=True):
        assert case.failure().retry_after == 7


@EVERY_CLOUD
def test_a_redirect_is_not_followed(case: Case) -> None:
    with Google() as elsewhere:
        with case.cloud.having(sends_elsewhere=elsewhere.url):
            failure = case.failure()
        assert elsewhere.requests == 0
    assert (failure.verdict.code, failure.verdict.permanent) == ("mint_refused", False)


@EVERY_CLOUD
@pytest.mark.parametrize("habit", ["hangs", "drips"])
def test_a_cloud_that_does_not_finish_is_given_up(case: Case, habit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case.mint()
    monkeypatch.setattr(methods, "MINT_DEADLINE", SHORT)
    started = time.monotonic()
    with case.cloud.having(**{habit: True}):
        failure = case.failure()
    assert time.monotonic() - started < SHORT + SOON
    assert (failure.verdict.code, failure.verdict.permanent) == ("mint_timeout", False)


def lead_to(settings: Any, url: str) -> None:
    """Have every cloud at this address."""
    settings.DOKREG_AWS_ENDPOINT_URL = settings.DOKREG_AZURE_LOGIN_URL = settings.DOKREG_GOOGLE_METADATA_URL = url
    settings.DOKREG_GOOGLE_TOKEN_URL = url
    settings.DOKREG_ACR_EXCHANGE_URL = url


def with_token_uri(case: Case, url: str) -> str:
    return (
        case.secret.replace(json.loads(case.secret)["token_uri"], url) if case.secret.startswith("{") else case.secret
    )


@EVERY_CLOUD
@pytest.mark.parametrize("impostor", [Silent, Dripping], ids=["silent", "headers drop by drop"])
def test_a_connection_on_which_no_answer_begins_is_given_up(
    case: Case, impostor: type[Silent | Dripping], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(methods, "MINT_DEADLINE", SHORT)
    started = time.monotonic()
    with impostor() as server:
        lead_to(settings, f"http://{server.host}")
        failure = case.failure(secret=with_token_uri(case, f"http://{server.host}"))
    assert time.monotonic() - started < SHORT + SOON
    assert failure.verdict.code in {"mint_timeout", "mint_unreachable"}
    assert not failure.verdict.permanent


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_handshake_that_stalls_is_given_up(
    acr: Case, scheme: str, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(methods, "MINT_DEADLINE", SHORT)
    started = time.monotonic()
    with Silent() as server:
        lead_to(settings, f"{scheme}://{server.host}")
        assert acr.failure().verdict.code == "mint_timeout"
    assert time.monotonic() - started < SHORT + SOON


def test_metadata_of_aws_that_hangs_is_given_up(ecr_machine: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "MINT_DEADLINE", SHORT)
    started = time.monotonic()
    with Silent() as server:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://{server.host}/")
        assert ecr_machine.failure().verdict.code == "mint_timeout"
        assert time.monotonic() - started < SHORT + SOON


@pytest.mark.parametrize("case", ["ecr", "acr"], indirect=True)
def test_the_deadline_holds_for_both_steps_together(case: Case, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first answer comes late and the second would come later still."""
    monkeypatch.setattr(methods, "MINT_DEADLINE", SHORT)
    if isinstance(case.cloud, Aws):
        case.cloud.roles[ROLE] = ""
    respond = case.cloud.respond

    def slowly(asked: Asked) -> Answer:
        time.sleep(SHORT * 0.7)
        return respond(asked)

    monkeypatch.setattr(case.cloud, "respond", slowly)
    started = time.monotonic()
    assert case.failure(role_arn=ROLE).verdict.code == "mint_timeout"
    assert time.monotonic() - started < SHORT + SOON


@EVERY_CLOUD
def test_a_refused_connection_is_named(case: Case, settings: Any) -> None:
    with Refusing() as server:
        lead_to(settings, f"http://{server.host}")
        failure = case.failure(secret=with_token_uri(case, f"http://{server.host}"))
    assert (failure.verdict.code, failure.verdict.permanent) == ("mint_unreachable", False)
    assert "the connection was refused" in failure.verdict.cause


def test_a_name_that_is_not_found_is_named(acr: Case, settings: Any) -> None:
    lead_to(settings, "http://login.nowhere.invalid")
    failure = acr.failure()
    assert failure.verdict.code == "mint_unreachable"
    assert "not found in the DNS" in failure.verdict.cause


@pytest.mark.parametrize(("name", "value"), [("HTTPS_PROXY", "gopher://x"), ("SSL_CERT_FILE", "/nowhere/at-all")])
def test_an_environment_that_cannot_be_used_is_named(
    acr: Case, settings: Any, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    talk._talker_of.cache_clear()
    lead_to(settings, "https://127.0.0.1:1")
    try:
        failure = acr.failure()
    finally:
        talk._talker_of.cache_clear()
    assert failure.verdict.code == "mint_unreachable"


def test_a_proxy_of_the_environment_is_used(acr: Case, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with Refusing() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.host}")
        monkeypatch.setenv("NO_PROXY", "")
        talk._talker_of.cache_clear()
        try:
            assert acr.failure().verdict.code == "mint_unreachable"
        finally:
            talk._talker_of.cache_clear()


def test_a_certificate_that_nobody_vouches_for_is_refused(acr: Case, settings: Any, tmp_path: Path) -> None:
    certified = Authority().certify("127.0.0.1")
    (tmp_path / "both.pem").write_text(certified.key_pem + certified.certificate_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    with TlsSilent(context) as server:
        lead_to(settings, f"https://{server.host}")
        failure = acr.failure()
    assert failure.verdict.code == "mint_unreachable"
    assert "TLS handshake failed: unable to get local issuer certificate" in failure.verdict.cause


class TlsSilent(Silent):
    """Shakes hands, and that is all."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self.context = context

    def talk(self, connection: Any) -> None:
        with self.context.wrap_socket(connection, server_side=True):
            self._stopped.wait()


# Clocks


@EVERY
@pytest.mark.parametrize("offset", [-TEN_MINUTES, TEN_MINUTES], ids=["slow", "fast"])
def test_a_cloud_whose_clock_is_ten_minutes_off_changes_nothing(case: Case, offset: float) -> None:
    """That is as if dokreg's own were off: it is the difference that counts."""
    case.cloud.checks_clock = case.kind == "google"
    with case.cloud.having(clock_offset=offset):
        minted = case.mint()
        assert near(minted.expires_at, timezone.now() + dt.timedelta(seconds=case.cloud.life))
        assert case.cloud.is_alive(minted.secret)


def test_a_cloud_that_tells_no_date_is_measured_by_our_own_clock(ecr: Case) -> None:
    with ecr.cloud.having(tells_no_date=True):
        assert near(ecr.mint().expires_at, timezone.now() + dt.timedelta(hours=12))


CLOCKS = {"fast": (-TEN_MINUTES, "10 min fast"), "slow": (TEN_MINUTES, "10 min slow")}


@pytest.mark.parametrize(("offset", "words"), CLOCKS.values(), ids=list(CLOCKS))
@pytest.mark.parametrize("account", [{}, {"role_arn": ROLE}], ids=["key", "role"])
def test_aws_refuses_a_signature_of_another_time(ecr: Case, offset: float, words: str, account: dict[str, str]) -> None:
    with ecr.cloud.having(clock_offset=offset):
        failure = ecr.failure(**account)
    assert (failure.verdict.code, failure.verdict.permanent) == ("mint_clock_off", False)
    assert words in failure.verdict.cause
    assert "the clock of the machine that dokreg runs on" in failure.verdict.cause


@pytest.mark.parametrize(("offset", "words"), [(-3600, "60 min fast"), (7200, "120 min slow")])
def test_google_refuses_an_assertion_of_another_time(google_key: Case, offset: float, words: str) -> None:
    with google_key.cloud.having(clock_offset=offset):
        failure = google_key.failure()
    assert (failure.verdict.code, failure.verdict.permanent) == ("mint_clock_off", False)
    assert words in failure.verdict.cause


@pytest.mark.parametrize(
    "words",
    [
        "GetAuthorizationToken RequestExpired: Request has expired.",
        "AssumeRole SignatureDoesNotMatch: Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z",
        "GetAuthorizationToken InvalidSignatureException: Signature not yet current: 20260101T000000Z",
    ],
)
def test_a_clock_that_is_off_is_told_from_a_wrong_key(words: str) -> None:
    verdict = judge(words, cloud_verdicts.AWS_ROWS)
    assert (verdict.code, verdict.permanent) == ("mint_clock_off", False)
    assert verdict.cause.endswith("runs on is wrong.")


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        ("GetAuthorizationToken ThrottlingException: Rate exceeded", 400, "mint_throttled"),
        ("GetAuthorizationToken TooManyRequestsException: x", 400, "mint_throttled"),
        ("AssumeRole Throttling: Rate exceeded", 400, "mint_throttled"),
        ("anything", 429, "mint_throttled"),
        ("GetAuthorizationToken ServerException: x", 500, "mint_cloud_failed"),
        ("GetAuthorizationToken AccessDeniedException: x", 503, "mint_cloud_failed"),
        ("GetAuthorizationToken InternalFailure: x", 400, "mint_cloud_failed"),
        ("GetAuthorizationToken ExpiredTokenException: x", 400, "mint_key_expired"),
        ("GetAuthorizationToken AccessDeniedException: x", 400, "mint_not_allowed"),
        ("GetAuthorizationToken OptInRequired: x", 400, "mint_refused"),
        ("", 400, "mint_refused"),
    ],
)
def test_what_aws_says_and_what_it_means(words: str, status: int, code: str) -> None:
    assert judge(words, cloud_verdicts.AWS_ROWS, status=status).code == code


# Answers that are not as they should be


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"authorizationData": []},
        {"authorizationData": [{"expiresAt": 4e9}]},
        {"authorizationData": [{"authorizationToken": "%%%", "expiresAt": 4e9}]},
        {"authorizationData": [{"authorizationToken": "QVdTOg==", "expiresAt": 4e9}]},
        {"authorizationData": [{"authorizationToken": "QVdTOng="}]},
        {"authorizationData": "x"},
        {"authorizationData": ["x"]},
        {"authorizationData": [{"authorizationToken": 1, "expiresAt": 4e9}]},
        {"authorizationData": [{"authorizationToken": "QVdTOng=", "expiresAt": 1e300}]},
        {"authorizationData": [{"authorizationToken": "QVdTOng=", "expiresAt": "soon"}]},
        [],
        None,
    ],
)
def test_an_odd_answer_of_ecr(ecr: Case, monkeypatch: pytest.MonkeyPatch, body: object) -> None:
    monkeypatch.setattr(ecr.cloud, "respond", lambda _asked: Answer(200, json.dumps(body)))
    assert ecr.failure().verdict.code == "mint_answer_unreadable"


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "{}",
        '{"access_token": "", "expires_in": 3600}',
        '{"access_token": "x"}',
        '{"access_token": "x", "expires_in": "soon"}',
        '{"access_token": "x", "expires_in": NaN}',
        '{"access_token": "x", "expires_in": true}',
        "[" * 100_000,
    ],
)
def test_an_odd_answer_of_google(google_key: Case, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    monkeypatch.setattr(google_key.cloud, "respond", lambda _asked: Answer(200, body))
    assert google_key.failure().verdict.code == "mint_answer_unreadable"


@pytest.mark.parametrize("life", ["1e400", "999999999999999999999", "1e18"])
def test_nobody_believes_in_a_token_that_lives_for_ever(
    google_key: Case, monkeypatch: pytest.MonkeyPatch, life: str
) -> None:
    body = f'{{"access_token": "x", "expires_in": {life}}}'
    monkeypatch.setattr(google_key.cloud, "respond", lambda _asked: Answer(200, body))
    minted = google_key.mint()
    assert minted.expires_at - minted.issued_at == dt.timedelta(days=1)


@pytest.mark.parametrize(
    "token", ["x", "a.b.c", "e30.e30.x", "e30.W10.x", "e30.eyJleHAiOiAieCIsICJpYXQiOiAxfQ.x", "é.é"]
)
def test_an_odd_refresh_token(acr: Case, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    respond = acr.cloud.respond

    def exchanged_oddly(asked: Asked) -> Answer:
        is_exchange = asked.path.endswith("/exchange")
        return Answer(200, json.dumps({"refresh_token": token})) if is_exchange else respond(asked)

    monkeypatch.setattr(acr.cloud, "respond", exchanged_oddly)
    assert acr.failure().verdict.code == "mint_answer_unreadable"


def test_a_compressed_answer_is_not_unpacked(google_key: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        google_key.cloud, "respond", lambda _asked: Answer(200, "x", headers={"Content-Encoding": "gzip"})
    )
    assert "compressed" in google_key.failure().verdict.cause
