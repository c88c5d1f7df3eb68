"""Tokens from clouds over real HTTP: every method, every refusal, and what it costs."""

import datetime as dt
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.utils import timezone

from registries.kinds import aws_calls, cloud_verdicts
from registries.kinds.minting import WORDS_LIMIT
from tests.lab import azure as azure_lab
from tests.lab.aws import Aws
from tests.lab.azure import CLIENT_SECRET, TENANT, Azure
from tests.lab.clouds import Asked
from tests.lab.google import EMAIL, MACHINE, Google, new_key
from tests.lab.impostors import Answer
from tests.registries.minted import EVERY, EVERY_CLOUD, KEY_ID, ROLE, SECRET_KEY, Case, judge, near

pytestmark = pytest.mark.usefixtures("machine_without_rights")


@pytest.fixture
def ecr(ecr_key: Case) -> Case:
    """Credentials, not the saved registry of this name."""
    return ecr_key


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
