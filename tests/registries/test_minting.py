"""Tokens from clouds over real HTTP: every method, every way to fail, deadlines and clocks."""

import datetime as dt
import json
import logging
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.utils import timezone

from registries import kinds
from registries.kinds import aws_calls, cloud_verdicts, methods, talk
from registries.kinds.methods import Minted, MintFailed
from registries.kinds.minting import WORDS_LIMIT
from servers.verdicts import Verdict
from tests.lab import azure as azure_lab
from tests.lab.aws import CONTAINER_KEYS, MACHINE_KEY, Aws
from tests.lab.azure import CLIENT_ID, CLIENT_SECRET, TENANT, Azure
from tests.lab.certificates import Authority
from tests.lab.clouds import Asked, Cloud
from tests.lab.fixtures import ACR_HOST, ECR_HOST, ECR_PUBLIC_HOST, GOOGLE_HOST
from tests.lab.google import EMAIL, MACHINE, Google, new_key
from tests.lab.impostors import Answer, Dripping, Refusing, Silent

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
ROLE = "arn:aws:iam::210987654321:role/dokreg-pull"
TEN_MINUTES = 600
SHORT = 0.6


@dataclass
class Case:
    """Credentials that are right, the cloud that gives tokens for them, and how to mint."""

    kind: str
    method: str
    host: str
    cloud: Cloud
    account: dict[str, str] = field(default_factory=dict)
    secret: str = ""
    owner: str = ""

    def mint(self, *, secret: str | None = None, **account: str) -> Minted:
        method = kinds.get(self.kind).method(self.method)
        assert method is not None
        return method.mint(
            host=self.host, account=self.account | account, secret=self.secret if secret is None else secret
        )

    def failure(self, *, secret: str | None = None, **account: str) -> MintFailed:
        """How minting fails; no secret is in it, wherever one looks."""
        with pytest.raises(MintFailed) as failed:
            self.mint(secret=secret, **account)
        error = failed.value
        assert error.__cause__ is None
        assert error.__context__ is None
        texts = (str(error), repr(error), repr(error.args), error.words, repr(error.verdict))
        for hidden in self._secret_parts(self.secret if secret is None else secret):
            assert not any(hidden in text for text in texts)
        assert len(error.words) <= WORDS_LIMIT
        return error

    def _secret_parts(self, secret: str) -> list[str]:
        if self.method != "service_account":
            return [secret] if secret else []
        return [line for line in json.loads(secret)["private_key"].splitlines() if len(line) > 20]


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No rights of the machine that the tests run on."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    aws_calls._machine_session.cache_clear()
    yield
    aws_calls._machine_session.cache_clear()


@pytest.fixture
def ecr(aws: Aws) -> Case:
    aws.keys[KEY_ID] = SECRET_KEY
    return Case("ecr", "access_key", ECR_HOST, aws, {"access_key_id": KEY_ID}, SECRET_KEY, KEY_ID)


@pytest.fixture
def ecr_public(ecr: Case) -> Case:
    return Case("ecr_public", "access_key", ECR_PUBLIC_HOST, ecr.cloud, ecr.account, ecr.secret, KEY_ID)


@pytest.fixture
def ecr_machine(aws: Aws, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Case:
    settings.DOKREG_MACHINE_IDENTITY = True
    settings.DOKREG_MACHINE_ROLES = [ROLE]
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", aws.url + CONTAINER_KEYS)
    return Case("ecr", "machine", ECR_HOST, aws, owner=MACHINE_KEY)


@pytest.fixture
def google_key(google: Google) -> Case:
    return Case("google", "service_account", GOOGLE_HOST, google, secret=google.key_file(), owner=EMAIL)


@pytest.fixture
def google_machine(google: Google, settings: Any) -> Case:
    settings.DOKREG_MACHINE_IDENTITY = True
    return Case("google", "machine", GOOGLE_HOST, google, owner=MACHINE)


@pytest.fixture
def acr(azure: Azure) -> Case:
    account = {"tenant": TENANT, "client_id": CLIENT_ID}
    return Case("acr", "service_principal", ACR_HOST, azure, account, CLIENT_SECRET, CLIENT_ID)


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Case)
    return found


EVERY = pytest.mark.parametrize(
    "case", ["ecr", "ecr_public", "ecr_machine", "google_key", "google_machine", "acr"], indirect=True
)
EVERY_CLOUD = pytest.mark.parametrize("case", ["ecr", "google_key", "acr"], indirect=True)


def near(one: dt.datetime, other: dt.datetime) -> bool:
    return abs(one - other) < dt.timedelta(seconds=3)


# Tokens


@EVERY
def test_a_token_is_minted(case: Case) -> None:
    before = timezone.now()
    minted = case.mint()
    assert minted.username == case.cloud.username
    assert case.cloud.is_alive(minted.secret)
    assert case.cloud.mints == {case.owner: 1}
    assert before <= minted.issued_at <= timezone.now()
    assert near(minted.expires_at, before + dt.timedelta(seconds=case.cloud.life))
    assert minted.secret not in repr(minted)


@EVERY
def test_every_token_is_a_new_one_with_the_life_that_the_cloud_says(case: Case) -> None:
    case.cloud.life = 900
    one, two = case.mint(), case.mint()
    assert one.secret != two.secret
    assert near(two.expires_at, two.issued_at + dt.timedelta(minutes=15))


def test_the_secret_of_ecr_is_what_follows_the_first_colon(ecr: Case) -> None:
    secret = ecr.mint().secret
    assert ":" in secret
    assert not secret.startswith("AWS:")


def test_white_space_around_the_secret_does_no_harm(ecr: Case) -> None:
    assert ecr.cloud.is_alive(ecr.mint(secret=f" {SECRET_KEY}\n").secret)


@pytest.mark.parametrize("external_id", ["", "dokreg-17"])
@pytest.mark.parametrize("case", ["ecr", "ecr_public", "ecr_machine"], indirect=True)
def test_a_role_is_assumed(case: Case, aws: Aws, external_id: str) -> None:
    aws.roles[ROLE] = external_id
    minted = case.mint(role_arn=ROLE, external_id=external_id)
    assert aws.is_alive(minted.secret)
    assert aws.assumed == [ROLE]
    assert case.owner not in aws.mints


def test_the_machines_role_assumes_none_that_only_a_registry_names(ecr_machine: Case, aws: Aws, settings: Any) -> None:
    settings.DOKREG_MACHINE_ROLES = [ROLE.replace("dokreg-pull", "another")]
    aws.roles[ROLE] = ""
    failure = ecr_machine.failure(role_arn=ROLE, external_id="")
    assert (failure.verdict.code, failure.verdict.permanent) == ("mint_key_unusable", True)
    assert "DOKREG_MACHINE_ROLES" in failure.verdict.cause
    assert (aws.assumed, aws.requests) == ([], 0)


def test_the_machines_configuration_plays_no_part_with_an_access_key(
    ecr: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ecr.mint()  # the stand-in itself looks at the machine's configuration, when it is first asked
    configuration = tmp_path / "config"
    configuration.write_text("[default]\nregion = nowhere-1\nendpoint_url = http://127.0.0.1:1\n")
    for name, value in {
        "AWS_PROFILE": "somebody",
        "AWS_CONFIG_FILE": str(configuration),
        "AWS_SHARED_CREDENTIALS_FILE": str(configuration),
        "AWS_ACCESS_KEY_ID": "AKIAOFTHEMACHINE0000",
        "AWS_SECRET_ACCESS_KEY": "of the machine",
        "AWS_SESSION_TOKEN": "of the machine",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_REGION": "nowhere-1",
    }.items():
        monkeypatch.setenv(name, value)
    aws_calls._session.cache_clear()
    aws_calls._client_of.cache_clear()
    assert ecr.cloud.is_alive(ecr.mint().secret)
    assert set(ecr.cloud.mints) == {KEY_ID}


def test_many_threads_with_keys_of_their_own_do_not_mix_them_up(ecr: Case, aws: Aws) -> None:
    ids = [f"AKIA{number:016d}" for number in range(40)]
    aws.keys |= {key_id: f"secret+of/{key_id}".ljust(40, "x") for key_id in ids}
    with ThreadPoolExecutor(8) as threads:
        minted = list(threads.map(lambda key_id: ecr.mint(secret=aws.keys[key_id], access_key_id=key_id), ids))
    assert aws.mints == dict.fromkeys(ids, 1)
    assert len({token.secret for token in minted}) == len(ids)


def test_nothing_is_taken_from_netrc(google_key: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password of-the-machine\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    seen: list[str] = []

    def respond(asked: Asked) -> Answer:
        seen.append(asked.header("Authorization"))
        return Google.respond(google_key.cloud, asked)  # type: ignore[arg-type]  # it is one

    monkeypatch.setattr(google_key.cloud, "respond", respond)
    google_key.mint()
    assert seen == [""]


# Credentials that are refused

REFUSALS = {
    "unknown key": ("mint_key_refused", {"revoked": {KEY_ID}}, {}),
    "right missing": ("mint_not_allowed", {"denied": {KEY_ID: "ecr:GetAuthorizationToken"}}, {}),
    "role refused": ("mint_role_refused", {}, {"role_arn": ROLE, "external_id": ""}),
    "wrong external id": ("mint_role_refused", {"roles": {ROLE: "right"}}, {"role_arn": ROLE, "external_id": "wrong"}),
    "unknown key for a role": ("mint_key_refused", {"revoked": {KEY_ID}}, {"role_arn": ROLE, "external_id": ""}),
}


@pytest.mark.parametrize(("code", "changes", "account"), REFUSALS.values(), ids=list(REFUSALS))
def test_aws_refuses(ecr: Case, code: str, changes: dict[str, Any], account: dict[str, str]) -> None:
    with ecr.cloud.having(**changes):
        failure = ecr.failure(**account)
    assert (failure.verdict.code, failure.verdict.permanent) == (code, True)
    assert failure.words
    assert ecr.cloud.mints == {}
    ecr.mint()


@pytest.mark.parametrize("case", ["ecr", "ecr_public"], indirect=True)
@pytest.mark.parametrize("account", [{}, {"role_arn": ROLE}], ids=["key", "role"])
def test_a_wrong_secret_access_key_is_named(case: Case, account: dict[str, str]) -> None:
    failure = case.failure(secret=SECRET_KEY[::-1], **account)
    assert (failure.verdict.code, failure.verdict.permanent) == ("mint_key_refused", True)
    assert "the secret does not belong to it" in failure.verdict.cause


def test_the_missing_right_is_named(ecr_public: Case, aws: Aws) -> None:
    aws.denied[KEY_ID] = "sts:GetServiceBearerToken"
    assert "sts:GetServiceBearerToken" in ecr_public.failure().verdict.fix


def test_a_machine_without_a_role_is_told_so(ecr_machine: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    assert ecr_machine.failure().verdict.code == "mint_no_identity"


def test_google_does_not_know_the_key_any_more(google_key: Case) -> None:
    with google_key.cloud.having(revoked={EMAIL}):
        failure = google_key.failure()
    assert (failure.verdict.code, failure.verdict.permanent) == ("mint_key_refused", True)
    assert failure.words == "invalid_grant: Invalid JWT Signature."


def test_google_knows_another_key_of_the_account(google_key: Case, google: Google) -> None:
    with google_key.cloud.having(accounts={EMAIL: new_key()}):
        assert google_key.failure().verdict.code == "mint_key_refused"


@pytest.mark.parametrize("words", ["Invalid grant: account not found", "Account has been disabled"])
def test_googles_account_is_gone(words: str) -> None:
    verdict = judge(f"invalid_grant: {words}", cloud_verdicts.GOOGLE_ROWS)
    assert (verdict.code, verdict.permanent) == ("mint_key_refused", True)
    assert "deleted or disabled" in verdict.cause


@pytest.mark.parametrize("changes", [{"is_machine_of_google": False}, {"revoked": {MACHINE}}])
def test_a_machine_that_is_not_googles(google_machine: Case, changes: dict[str, Any]) -> None:
    with google_machine.cloud.having(**changes):
        failure = google_machine.failure()
    assert (failure.verdict.code, failure.verdict.permanent) == ("mint_no_identity", False)


AZURE_REFUSALS = {
    "wrong secret": ("mint_key_refused", {}, {}, "wrong~secret"),
    "ended secret": ("mint_key_expired", {"ended_secrets": {CLIENT_SECRET}}, {}, CLIENT_SECRET),
    "unknown app": ("mint_unknown_app", {}, {"client_id": TENANT}, CLIENT_SECRET),
    "unknown tenant": ("mint_unknown_tenant", {}, {"tenant": "acme.com"}, CLIENT_SECRET),
    "exchange": ("mint_not_allowed", {"hosts": set()}, {}, CLIENT_SECRET),
    "network": ("mint_network_refused", {"allows_this_network": False}, {}, CLIENT_SECRET),
}


@pytest.mark.parametrize(("code", "changes", "account", "secret"), AZURE_REFUSALS.values(), ids=list(AZURE_REFUSALS))
def test_azure_refuses(acr: Case, code: str, changes: dict[str, Any], account: dict[str, str], secret: str) -> None:
    with acr.cloud.having(**changes):
        failure = acr.failure(secret=secret, **account)
    assert (failure.verdict.code, failure.verdict.permanent) == (code, True)
    assert failure.words
    acr.mint()


def test_what_nobody_knows_is_shown_and_tried_again(acr: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acr.cloud, "respond", lambda _asked: azure_lab.problem("odd", 1234567, "Never heard of it."))
    failure = acr.failure()
    assert (failure.verdict.code, failure.verdict.permanent) == ("mint_refused", False)
    assert "AADSTS1234567: Never heard of it." in failure.verdict.cause
    assert "AADSTS1234567" in failure.words


def test_a_secret_that_the_cloud_repeats_is_scrubbed_and_its_words_are_bounded(
    acr: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    repeated = azure_lab.problem("odd", 1, f"You sent {CLIENT_SECRET}. " + "x" * 9000)
    monkeypatch.setattr(acr.cloud, "respond", lambda _asked: repeated)
    failure = acr.failure()
    assert "You sent ********." in failure.words
    assert len(failure.words) == WORDS_LIMIT


def test_a_secret_that_the_cloud_repeats_is_not_in_the_sentences_either(
    acr: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    repeated = azure_lab.problem("odd", 1234567, f"You sent {CLIENT_SECRET}.")
    monkeypatch.setattr(acr.cloud, "respond", lambda _asked: repeated)
    assert "You sent ********." in acr.failure().verdict.cause


def test_a_token_that_the_registry_repeats_is_not_in_the_sentences_either(
    acr: Case, azure: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in, sent = azure.respond, []

    def repeat(asked: Asked) -> Answer:
        if asked.path != "/oauth2/exchange":
            return sign_in(asked)
        sent.append(parse_qs(asked.body.decode())["access_token"][0])
        return Answer(400, f"A proxy does not like {sent[0]}", "text/plain")

    monkeypatch.setattr(azure, "respond", repeat)
    failure = acr.failure()
    assert "A proxy does not like ********" in failure.verdict.cause
    assert sent[0][-200:] not in failure.words + failure.verdict.cause


def test_a_secret_at_the_end_of_the_words_is_not_cut_before_it_is_recognised(
    acr: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    repeated = Answer(400, "x" * (WORDS_LIMIT - 12) + CLIENT_SECRET, "text/plain")
    monkeypatch.setattr(acr.cloud, "respond", lambda _asked: repeated)
    failure = acr.failure()
    assert CLIENT_SECRET[:8] not in failure.words + failure.verdict.cause


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
    assert time.monotonic() - started < SHORT + 1
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
    assert time.monotonic() - started < SHORT + 1
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
    assert time.monotonic() - started < SHORT + 1


def test_metadata_of_aws_that_hangs_is_given_up(ecr_machine: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "MINT_DEADLINE", SHORT)
    started = time.monotonic()
    with Silent() as server:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://{server.host}/")
        assert ecr_machine.failure().verdict.code == "mint_timeout"
        assert time.monotonic() - started < SHORT + 1


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
    assert time.monotonic() - started < SHORT + 1


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


def judge(words: str, rows: Any, *, status: int = 400) -> Verdict:
    facts = {"cloud": "The cloud", "credentials": "the key", "credentials_help": "Look.", "host": "h"}
    return cloud_verdicts.of_refusal(words, rows, status=status, clock_ahead=None, facts=facts)


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


# Costs


def test_a_thousand_keys_do_not_need_a_thousand_clients_or_threads(ecr: Case, aws: Aws) -> None:
    ecr.mint()
    clients, threads = aws_calls._client_of.cache_info().currsize, threading.active_count()
    for number in range(30):
        ecr.mint(access_key_id=f"AKIA{number:016d}")
    assert aws_calls._client_of.cache_info().currsize == clients
    assert threading.active_count() <= threads + 2  # those of the stand-in come and go


@EVERY_CLOUD
def test_no_log_level_is_low_enough_to_log_a_secret(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        minted = case.mint()
        with case.cloud.having(answers_500=True):
            case.failure()
    assert minted.secret not in caplog.text
    assert case.secret not in caplog.text
    assert "x-amz-security-token" not in caplog.text.lower()
