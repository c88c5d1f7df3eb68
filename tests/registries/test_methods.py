"""The ways to mint tokens, before anything is asked of a cloud: checks at input, help, policies."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registries import kinds
from registries.kinds.methods import Method, MintFailed, Policy
from tests.lab.fixtures import ACR_HOST, ECR_HOST, ECR_PUBLIC_HOST, GOOGLE_HOST
from tests.lab.google import EMAIL, Google
from tests.patience import SOON
from tests.servers.crafted import ENDLESS_PARTS, unchecked_rsa

METHODS = [(kind, method) for kind in kinds.all_kinds() for method in kind.methods]
EACH = pytest.mark.parametrize(
    ("kind", "method"), METHODS, ids=[f"{kind.slug}-{method.slug}" for kind, method in METHODS]
)
HOST_OF = {"ecr": ECR_HOST, "ecr_public": ECR_PUBLIC_HOST, "google": GOOGLE_HOST, "acr": ACR_HOST}
KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
ROLE = "arn:aws:iam::210987654321:role/team/dokreg-pull"
TENANT = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
CLIENT_ID = "11111111-2222-3333-4444-555555555555"


def method_of(kind: str, slug: str) -> Method:
    method = kinds.get(kind).method(slug)
    assert method is not None
    return method


def complaints(kind: str, slug: str, *, host: str = "", **account: str) -> dict[str, str]:
    return method_of(kind, slug).check_account(host=host or HOST_OF[kind], account=account)


def test_these_kinds_mint() -> None:
    assert {(kind.slug, method.slug) for kind, method in METHODS} == {
        ("ecr", "access_key"),
        ("ecr", "machine"),
        ("ecr_public", "access_key"),
        ("ecr_public", "machine"),
        ("google", "service_account"),
        ("google", "machine"),
        ("acr", "service_principal"),
    }


@EACH
def test_every_text_for_people_is_whole_sentences(kind: kinds.Kind, method: Method) -> None:
    for text in (method.summary, method.secret_help, method.token_life, method.credentials_help):
        assert text == "" or (text[0].isupper() and text.endswith("."))
    assert all(field.help_text.endswith(".") for field in method.fields)
    assert method.name
    assert method.summary
    assert method.credentials_help


@EACH
def test_the_username_is_one_that_the_kind_takes(kind: kinds.Kind, method: Method) -> None:
    assert kind.check_username(method.username) is None


@EACH
def test_the_machines_rights_are_nobodys_unless_the_installation_says_so(
    kind: kinds.Kind, method: Method, settings: Any
) -> None:
    reason = method.unavailable()
    if method.slug != "machine":
        assert reason is None
        return
    assert not method.needs_secret
    assert reason is not None
    assert "everybody who may add a registry" in reason
    assert "DOKREG_MACHINE_IDENTITY=true" in reason
    with pytest.raises(MintFailed) as failed:
        method.mint(host=HOST_OF[kind.slug], account={}, secret="")
    assert (failed.value.verdict.code, failed.value.verdict.fix) == ("mint_not_available", reason)
    settings.DOKREG_MACHINE_IDENTITY = True
    assert method.unavailable() is None


@EACH
@pytest.mark.parametrize("host", ["", "registry.example.com", f"{ECR_HOST}.example.com", f"{ACR_HOST}:5000", "a b"])
def test_a_host_that_is_not_the_clouds_gets_no_policy_and_no_token(
    kind: kinds.Kind, method: Method, settings: Any, host: str
) -> None:
    settings.DOKREG_MACHINE_IDENTITY = True
    settings.DOKREG_AWS_ENDPOINT_URL = settings.DOKREG_GOOGLE_METADATA_URL = "http://127.0.0.1:1"
    if kind.slug != "ecr_public":
        assert method.policy(host=host, account={}) is None
    with pytest.raises(MintFailed) as failed:
        method.mint(host=host, account={"access_key_id": KEY_ID}, secret=SECRET_KEY)
    assert (failed.value.verdict.code, failed.value.verdict.permanent) == ("mint_wrong_host", True)


@EACH
@pytest.mark.parametrize("secret", ["", "\ud800", "line\nline", "\x00"])
def test_what_was_never_checked_at_input_is_checked_before_anything_is_sent(
    kind: kinds.Kind, method: Method, settings: Any, secret: str
) -> None:
    if not method.needs_secret:
        assert method.check_secret(account={}, secret=secret) is None
        return
    account = {"access_key_id": KEY_ID, "tenant": TENANT, "client_id": CLIENT_ID}
    for odd in ({}, dict.fromkeys(account, "\ud800"), account):
        with pytest.raises(MintFailed) as failed:
            method.mint(host=HOST_OF[kind.slug], account=odd, secret=secret)
        assert (failed.value.verdict.code, failed.value.verdict.permanent) == ("mint_key_unusable", True)


@EACH
@given(account=st.dictionaries(st.sampled_from(["access_key_id", "role_arn", "tenant", "client_id"]), st.text()))
def test_no_input_is_too_odd_to_be_judged(kind: kinds.Kind, method: Method, account: dict[str, str]) -> None:
    for host in ("", HOST_OF[kind.slug]):
        assert all(method.check_account(host=host, account=account).values())
        assert isinstance(method.policy(host=host, account=account), Policy | None)
    for secret in account.values():
        assert method.check_secret(account=account, secret=secret) != ""
        method.doubt_secret(account=account, secret=secret)
        assert isinstance(method.describe(account=account, secret=secret), str)


@pytest.mark.parametrize("kind", ["ecr", "ecr_public"])
def test_a_role_for_the_machine_is_named_by_who_runs_dokreg(kind: str, settings: Any) -> None:
    assert "DOKREG_MACHINE_ROLES" in complaints(kind, "machine", role_arn=ROLE)["role_arn"]
    settings.DOKREG_MACHINE_ROLES = [f"{ROLE}-2"]
    assert list(complaints(kind, "machine", role_arn=ROLE)) == ["role_arn"]
    assert complaints(kind, "machine", role_arn=f"{ROLE}-2") == {}
    assert complaints(kind, "machine", role_arn="") == {}


def test_a_good_access_key() -> None:
    assert complaints("ecr", "access_key", access_key_id=KEY_ID, role_arn="", external_id="") == {}
    assert complaints("ecr", "access_key", access_key_id=KEY_ID, role_arn=ROLE, external_id="dokreg-17") == {}
    method = method_of("ecr", "access_key")
    assert method.check_secret(account={}, secret=SECRET_KEY) is None
    assert method.doubt_secret(account={}, secret=SECRET_KEY) == ()
    assert method.describe(account={"access_key_id": KEY_ID}, secret=SECRET_KEY) == ""  # the page shows the id anyway


@pytest.mark.parametrize(
    ("account", "name", "words"),
    [
        ({"access_key_id": "ASIAIOSFODNN7EXAMPLE"}, "access_key_id", "temporary key"),
        ({"access_key_id": SECRET_KEY}, "access_key_id", "secret access key"),
        ({"access_key_id": "alice"}, "access_key_id", "begins with AKIA"),
        ({"access_key_id": KEY_ID, "role_arn": "dokreg-pull"}, "role_arn", "not the ARN of a role"),
        ({"access_key_id": KEY_ID, "role_arn": "arn:aws:iam::210987654321:user/x"}, "role_arn", "not the ARN"),
        ({"access_key_id": KEY_ID, "role_arn": ROLE.replace("aws:", "aws-cn:", 1)}, "role_arn", "do not meet"),
        ({"access_key_id": KEY_ID, "external_id": "x1"}, "external_id", "with a role"),
        ({"access_key_id": KEY_ID, "role_arn": ROLE, "external_id": "a b"}, "external_id", "2 to 1224"),
    ],
)
def test_a_bad_aws_account_is_refused_at_input(account: dict[str, str], name: str, words: str) -> None:
    wrong = complaints("ecr", "access_key", **account)
    assert list(wrong) == [name]
    assert words in wrong[name]


def test_a_chinese_registry_takes_a_chinese_role() -> None:
    host = "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"
    role = ROLE.replace("aws:", "aws-cn:", 1)
    assert complaints("ecr", "access_key", host=host, access_key_id=KEY_ID, role_arn=role) == {}


@pytest.mark.parametrize("secret", [KEY_ID, f"{SECRET_KEY}\n{SECRET_KEY}", "with spaces in it"])
def test_a_secret_access_key_that_cannot_be_one(secret: str) -> None:
    complaint = method_of("ecr", "access_key").check_secret(account={}, secret=secret)
    assert complaint is not None
    assert secret not in complaint


def test_a_secret_access_key_of_an_odd_length_is_doubted() -> None:
    (doubt,) = method_of("ecr", "access_key").doubt_secret(account={}, secret=SECRET_KEY[1:])
    assert "39" in doubt


def statements(policy: Policy) -> list[dict[str, Any]]:
    document = json.loads(policy.text)
    assert document["Version"] == "2012-10-17"
    return list(document["Statement"])


def policy_of(kind: str, slug: str, *, host: str = "", **account: str) -> Policy:
    policy = method_of(kind, slug).policy(host=host or HOST_OF[kind], account=account)
    assert policy is not None
    return policy


def test_the_iam_policy_names_the_hosts_account_and_region() -> None:
    policy = policy_of("ecr", "access_key", access_key_id=KEY_ID)
    token, pull = statements(policy)
    assert (token["Action"], token["Resource"]) == ("ecr:GetAuthorizationToken", "*")
    assert pull["Resource"] == "arn:aws:ecr:eu-central-1:123456789012:repository/*"
    assert pull["Action"] == ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    assert policy.further == ()


@pytest.mark.parametrize(
    ("host", "start"),
    [
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "arn:aws-cn:ecr:cn-north-1:"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "arn:aws-us-gov:ecr:us-gov-west-1:"),
        ("123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu", "arn:aws-eusc:ecr:eusc-de-east-1:"),
    ],
)
def test_the_iam_policy_is_of_the_hosts_partition(host: str, start: str) -> None:
    assert statements(policy_of("ecr", "machine", host=host))[1]["Resource"].startswith(start)


@pytest.mark.parametrize(("kind", "slug"), [("ecr", "access_key"), ("ecr", "machine"), ("ecr_public", "access_key")])
def test_a_role_needs_three_policies(kind: str, slug: str) -> None:
    policy = policy_of(kind, slug, access_key_id=KEY_ID, role_arn=ROLE, external_id="dokreg-17")
    trust, assume = policy.further
    assert "GetAuthorizationToken" in policy.text
    assert statements(assume) == [
        {"Sid": "AssumeRole", "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": ROLE}
    ]
    (trusted,) = statements(trust)
    assert trusted["Condition"] == {"StringEquals": {"sts:ExternalId": "dokreg-17"}}
    assert trusted["Principal"]["AWS"].startswith("arn:aws:iam::ACCOUNT_OF_THE_")
    assert ROLE in policy.title


def test_a_role_without_an_external_id_has_no_condition() -> None:
    (trusted,) = statements(policy_of("ecr", "machine", role_arn=ROLE).further[0])
    assert "Condition" not in trusted


def test_the_gallery_needs_two_actions() -> None:
    (statement,) = statements(policy_of("ecr_public", "access_key"))
    assert statement["Action"] == ["ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"]


@pytest.mark.parametrize(
    ("host", "repository", "location"),
    [
        (GOOGLE_HOST, "REPOSITORY", "europe-west3"),
        ("gcr.io", "gcr.io", "us"),
        ("eu.gcr.io", "eu.gcr.io", "europe"),
    ],
)
def test_the_role_at_google(host: str, repository: str, location: str) -> None:
    text = policy_of("google", "service_account", host=host).text
    assert f"add-iam-policy-binding {repository} " in text
    assert f"--location={location} " in text
    assert "roles/artifactregistry.reader" in text


def test_the_role_in_azure() -> None:
    text = policy_of("acr", "service_principal", client_id=CLIENT_ID).text
    assert f"--assignee {CLIENT_ID} " in text
    assert "az acr show --name acme " in text
    assert "--role AcrPull" in text
    assert "$(reboot)" not in policy_of("acr", "service_principal", client_id="$(reboot)").text


@pytest.fixture(scope="module")
def issuer() -> Google:
    return Google()


def test_a_service_accounts_key_tells_whose_it_is(issuer: Google) -> None:
    method = method_of("google", "service_account")
    key = issuer.key_file(token_uri="https://oauth2.googleapis.com/token")
    assert method.check_secret(account={}, secret=key) is None
    assert method.describe(account={}, secret=key) == f"Service account {EMAIL}"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"type": "authorized_user"}, "not a service account's key"),
        ({"client_email": None}, "client_email is missing"),
        ({"private_key": None}, "private_key is missing"),
        ({"private_key": ""}, "damaged"),
        ({"private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}, "damaged"),
        ({"token_uri": "https://attacker.example/token"}, "not Google's"),
        ({"token_uri": "https://oauth2.googleapis.com.attacker.example/token"}, "not Google's"),
        ({"token_uri": ["https://oauth2.googleapis.com/token"]}, "not Google's"),
    ],
)
def test_a_bad_key_is_refused_at_input(issuer: Google, changes: dict[str, Any], words: str) -> None:
    key = issuer.key_file(**{"token_uri": "https://oauth2.googleapis.com/token"} | changes)
    complaint = method_of("google", "service_account").check_secret(account={}, secret=key)
    assert complaint is not None
    assert words in complaint
    with pytest.raises(MintFailed) as failed:
        method_of("google", "service_account").mint(host=GOOGLE_HOST, account={}, secret=key)
    assert (failed.value.verdict.code, failed.value.verdict.permanent) == ("mint_key_unusable", True)


@pytest.mark.parametrize("parts", [*ENDLESS_PARTS, {"n": 2**8675 + 1}, {"n": 2**1023 + 1}])
def test_a_key_that_takes_for_ever_to_be_checked_is_refused_before(issuer: Google, parts: dict[str, int]) -> None:
    key = issuer.key_file(token_uri="https://oauth2.googleapis.com/token", private_key=unchecked_rsa(**parts))
    since = time.monotonic()
    complaint = method_of("google", "service_account").check_secret(account={}, secret=key)
    assert complaint is not None
    assert "no RSA key of 2048 to 4096 bits" in complaint
    assert time.monotonic() - since < SOON


def test_the_configured_token_address_is_taken_as_well(issuer: Google, settings: Any) -> None:
    method = method_of("google", "service_account")
    assert method.check_secret(account={}, secret=issuer.key_file()) is not None
    settings.DOKREG_GOOGLE_TOKEN_URL = issuer.token_url
    assert method.check_secret(account={}, secret=issuer.key_file()) is None


@pytest.mark.parametrize("tenant", [TENANT, TENANT.upper(), "acme.onmicrosoft.com", "acme.com"])
def test_a_good_service_principal(tenant: str) -> None:
    assert complaints("acr", "service_principal", tenant=tenant, client_id=CLIENT_ID) == {}


@pytest.mark.parametrize("tenant", ["", "acme", "../common", "acme.com/oauth2", "acme.com?x", "acme..com", "a b.com"])
def test_a_tenant_that_is_none(tenant: str) -> None:
    assert list(complaints("acr", "service_principal", tenant=tenant, client_id=CLIENT_ID)) == ["tenant"]


def test_the_id_of_a_client_secret_is_refused() -> None:
    method = method_of("acr", "service_principal")
    assert "the id of a client secret" in (method.check_secret(account={}, secret=CLIENT_ID) or "")
    assert method.check_secret(account={}, secret="abc8Q~value") is None
    assert method.is_secret(f" abc8Q~{'v' * 34} ")
    assert not method.is_secret(CLIENT_ID)
    assert method.describe(account={"client_id": CLIENT_ID}, secret="abc8Q~value") == ""  # the page shows the id anyway
