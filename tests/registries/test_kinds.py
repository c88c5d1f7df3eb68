import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registries import kinds
from registries.kinds.ecr import account_and_region
from registries.references import normalise_host, parse

ALL = pytest.mark.parametrize("kind", kinds.all_kinds(), ids=lambda kind: kind.slug)
NAMED = pytest.mark.parametrize(
    "kind", [kind for kind in kinds.all_kinds() if not kind.username_is_secret], ids=lambda kind: kind.slug
)
KEY = json.dumps(
    {
        "type": "service_account",
        "project_id": "acme-prod",
        "private_key": "-----BEGIN PRIVATE KEY-----\nHUNTER2\n-----END PRIVATE KEY-----\n",
        "client_email": "puller@acme-prod.iam.gserviceaccount.com",
    },
    indent=2,
)
ENCODED_KEY = base64.b64encode(KEY.encode()).decode()

SLUGS = [
    "docker_hub", "ghcr", "gitlab", "ecr", "ecr_public", "google", "acr", "quay", "harbor", "nexus",
    "digitalocean", "scaleway", "ocir", "ibm", "alibaba", "generic",
]  # fmt: skip

KIND_OF_HOST = {
    "docker.io": "docker_hub",
    "ghcr.io": "ghcr",
    "registry.gitlab.com": "gitlab",
    "registry.gitlab.example.com": "gitlab",
    "gitlab.example.com:5050": "gitlab",
    "123456789012.dkr.ecr.eu-central-1.amazonaws.com": "ecr",
    "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com": "ecr",
    "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn": "ecr",
    "123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu": "ecr",
    "123456789012.dkr-ecr.us-west-2.on.aws": "ecr",
    "123456789012.dkr-ecr-fips.us-west-2.on.aws": "ecr",
    "123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn": "ecr",
    "public.ecr.aws": "ecr_public",
    "europe-west3-docker.pkg.dev": "google",
    "gcr.io": "google",
    "us.gcr.io": "google",
    "acme.azurecr.io": "acr",
    "acme-h4sh.azurecr.io": "acr",
    "acme.azurecr.cn": "acr",
    "quay.io": "quay",
    "quay.example.com": "quay",
    "harbor.example.com": "harbor",
    "nexus.example.com:8082": "nexus",
    "registry.digitalocean.com": "digitalocean",
    "rg.fr-par.scw.cloud": "scaleway",
    "fra.ocir.io": "ocir",
    "ocir.eu-frankfurt-1.oci.oraclecloud.com": "ocir",
    "icr.io": "ibm",
    "de.icr.io": "ibm",
    "registry.cn-hangzhou.aliyuncs.com": "alibaba",
    "acme-registry.cn-hangzhou.cr.aliyuncs.com": "alibaba",
    "registry.example.com:5000": "generic",
    "[::1]:5000": "generic",
    "ghcr.io.example.com": "generic",
    "evil-ghcr.io": "generic",
    "12345.dkr.ecr.eu-central-1.amazonaws.com": "generic",
    "gcr.io.example.com": "generic",
}


def test_the_kinds_are_shown_in_this_order() -> None:
    assert [kind.slug for kind in kinds.all_kinds()] == SLUGS


@ALL
def test_a_kind_is_found_by_its_slug(kind: kinds.Kind) -> None:
    assert kinds.get(kind.slug) is kind


def test_an_unknown_slug_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(kinds.UnknownKind, match="docker_hub, ghcr"):
        kinds.get("bogus")


@pytest.mark.parametrize(("host", "slug"), KIND_OF_HOST.items())
def test_a_host_leads_to_its_kind(host: str, slug: str) -> None:
    assert kinds.for_host(host).slug == slug


@given(st.text())
def test_every_host_has_a_kind_that_takes_it(host: str) -> None:
    assert kinds.for_host(host).check_host(host) is None


@ALL
def test_a_kind_takes_the_hosts_it_proposes(kind: kinds.Kind) -> None:
    for host in filter(None, (kind.default_host, kind.host_placeholder)):
        assert normalise_host(host) == host
        assert kind.check_host(host) is None
        assert kinds.for_host(kind.default_host or host).slug in {kind.slug, "generic"}


@NAMED
def test_a_kind_takes_the_user_name_it_proposes(kind: kinds.Kind) -> None:
    assert kind.username_placeholder
    assert kind.check_username(kind.username_fixed or kind.username_placeholder) is None


@ALL
def test_an_example_image_is_a_reference_on_the_proposed_host(kind: kinds.Kind) -> None:
    assert parse(kind.example_image).host == (kind.default_host or kind.host_placeholder) or (
        kind.check_host(parse(kind.example_image).host) is None
    )


@ALL
def test_every_text_for_people_is_whole_sentences(kind: kinds.Kind) -> None:
    for text in (kind.host_help, kind.secret_help, kind.scope_help, kind.credentials_help, kind.secret_life):
        assert not text or (text[0] == text[0].upper() or text[0].isalnum())
        assert not text or text.endswith(".")


@ALL
def test_the_page_of_the_secret_is_reached_over_https(kind: kinds.Kind) -> None:
    url = kind.secret_url(kind.default_host or kind.host_placeholder)
    assert url is None or url.startswith("https://")


@pytest.mark.parametrize(
    ("slug", "host", "page"),
    [
        ("ecr", "", "docs.aws.amazon.com/cli/latest/reference/ecr/get-login-password.html"),
        ("ecr_public", "", "docs.aws.amazon.com/cli/latest/reference/ecr-public/get-login-password.html"),
        ("nexus", "nexus.example.com:8082", "help.sonatype.com/en/user-tokens.html"),
        ("quay", "quay.io", "docs.quay.io/glossary/robot-accounts.html"),
        ("quay", "quay.example.com", "quay.example.com/"),
    ],
)
def test_the_page_that_says_how_a_secret_is_made(slug: str, host: str, page: str) -> None:
    assert kinds.get(slug).secret_url(host) == f"https://{page}"


@pytest.mark.parametrize("slug", ["quay", "harbor"])
@pytest.mark.parametrize("host", ["", "https://quay.io", "ann@quay.io", "quay.io/acme"])
def test_no_page_is_offered_while_the_host_is_not_one(slug: str, host: str) -> None:
    assert kinds.get(slug).secret_url(host) is None


@pytest.mark.parametrize(
    "host", ["ghcr.io", "12345.dkr.ecr.eu-central-1.amazonaws.com", "123456789012.dkr.ecr.amazonaws.com"]
)
def test_ecr_refuses_a_host_without_account_and_region(host: str) -> None:
    complaint = kinds.get("ecr").check_host(host)
    assert complaint
    assert "12 digits and the region" in complaint


def test_account_and_region_are_read_from_the_host() -> None:
    assert account_and_region("123456789012.dkr-ecr.us-west-2.on.aws") == ("123456789012", "us-west-2")
    assert account_and_region("ghcr.io") is None


@pytest.mark.parametrize("slug", ["generic", "harbor", "nexus", "gitlab", "quay"])
def test_a_login_on_ones_own_host_proves_nothing(slug: str) -> None:
    assert not kinds.get(slug).proves_password("registry.example.com")


@pytest.mark.parametrize("host", ["docker.io", "ghcr.io", "registry.gitlab.com", "quay.io", "acme.azurecr.io"])
def test_a_login_on_the_providers_host_proves_the_password(host: str) -> None:
    assert kinds.for_host(host).proves_password(host)


BAD_USERNAMES = {
    "": "missing",
    "   ": "missing",
    "ann:hunter2": "colon",
    "ann\n": "printed",
    "ann\ud800": "printed",
    "a" * 256: "255",
}


@NAMED
@pytest.mark.parametrize(("username", "reason"), BAD_USERNAMES.items())
def test_no_kind_takes_a_user_name_that_cannot_be_sent(kind: kinds.Kind, username: str, reason: str) -> None:
    complaint = kind.check_username(username)
    assert complaint
    assert reason in complaint
    assert "hunter2" not in complaint


GOOD_USERNAMES = [
    ("harbor", "robot$acme"),
    ("harbor", "robot$acme+puller"),
    ("quay", "acme+puller"),
    ("gitlab", "gitlab+deploy-token-123"),
    ("ocir", "axabc/oracleidentitycloudservice/ann@example.com"),
    ("ecr", "AWS"),
    ("google", "oauth2accesstoken"),
    ("generic", "Änne O'Neil"),
]


@pytest.mark.parametrize(("slug", "username"), GOOD_USERNAMES)
def test_it_takes_the_user_names_of_the_provider(slug: str, username: str) -> None:
    assert kinds.get(slug).check_username(username) is None
    assert kinds.get(slug).warn_username(username) is None


@pytest.mark.parametrize(("slug", "username"), [("ecr", "aws"), ("ecr_public", "ann"), ("google", "ann@example.com")])
def test_it_refuses_a_user_name_that_the_provider_cannot_have(slug: str, username: str) -> None:
    assert kinds.get(slug).check_username(username)


@pytest.mark.parametrize(
    ("slug", "username"),
    [
        ("docker_hub", "ann@example.com"),
        ("ghcr", "ann@example.com"),
        ("quay", "ann@example.com"),
        ("harbor", "robotacme"),
        ("ocir", "ann@example.com"),
        ("ibm", "ann"),
        ("acr", "acme"),
        ("acr", "00000000-0000-0000-0000-000000000000"),
        ("alibaba", "cr_temp_user"),
    ],
)
def test_it_warns_of_a_user_name_that_is_probably_wrong(slug: str, username: str) -> None:
    assert kinds.get(slug).check_username(username) is None
    assert kinds.get(slug).warn_username(username)


BAD_SECRETS = {
    "": "missing",
    " \r\n": "white space",
    "hunter2\ud800": "Unicode",
    "hunter2\x00": "NUL",
    "hunter2" * 10_000: "64 KiB",
}


@ALL
@pytest.mark.parametrize(("secret", "reason"), BAD_SECRETS.items(), ids=BAD_SECRETS.values())
def test_no_kind_takes_a_secret_that_cannot_be_sent(kind: kinds.Kind, secret: str, reason: str) -> None:
    complaint = kind.check_secret(secret)
    assert complaint
    assert reason in complaint
    assert "hunter2" not in complaint


@ALL
@pytest.mark.parametrize("secret", ["hunter2", "two words", "$x", '"', "'", "`id`", "back\\slash", "Grüße ✓"])
def test_a_secret_may_have_any_printable_character(kind: kinds.Kind, secret: str) -> None:
    assert kind.check_secret(secret) is None
    assert kind.warn_secret(secret, "ann") == ()


@pytest.mark.parametrize(
    "secret", [" hunter2", "hunter2\n", "hunter2\r\n", "\thunter2", "hunter2\xa0", "\u3000hunter2"]
)
def test_it_warns_of_white_space_that_docker_cuts_off(secret: str) -> None:
    (warning,) = kinds.get("generic").warn_secret(secret, "ann")
    assert "Docker cuts" in warning


def test_it_warns_of_a_line_break_inside() -> None:
    (warning,) = kinds.get("generic").warn_secret("hunter2\nhunter3", "ann")
    assert "line break" in warning


@pytest.mark.parametrize(
    ("slug", "username", "secret", "reason"),
    [
        ("ghcr", "ann", "github_pat_HUNTER2", "fine-grained"),
        ("ghcr", "ann", "ghs_HUNTER2", "within the hour"),
        ("docker_hub", "ann", "dckr_oat_HUNTER2", "organisation's name"),
        ("gitlab", "ann", "glrt-HUNTER2", "runner"),
        ("ecr", "AWS", "HUNTER2" + "x" * 33, "access key"),
        ("ecr", "AWS", base64.b64encode(b"AWS:HUNTER2").decode(), "what follows AWS:"),
        ("acr", "acme", "11111111-2222-3333-4444-555555555555", "its value"),
        ("scaleway", "nologin", "SCWHUNTER2XXXXXXXXXX", "secret key"),
    ],
)
def test_it_doubts_a_secret_of_the_wrong_sort(slug: str, username: str, secret: str, reason: str) -> None:
    (warning,) = kinds.get(slug).warn_secret(secret, username)
    assert reason in warning
    assert "HUNTER2" not in warning


@pytest.mark.parametrize(("username", "secret"), [("_json_key", KEY), ("_json_key_base64", ENCODED_KEY)])
def test_a_service_account_s_key_is_taken_and_told_by_its_address(username: str, secret: str) -> None:
    google = kinds.get("google")
    assert google.check_secret(secret, username) is None
    assert google.warn_secret(secret, username) == ()
    assert google.describe_secret(secret, username) == ("Service account puller@acme-prod.iam.gserviceaccount.com")


@pytest.mark.parametrize(
    ("username", "secret", "reason"),
    [
        ("_json_key", "HUNTER2", "not a JSON object"),
        ("_json_key", '["HUNTER2"]', "not a JSON object"),
        ("_json_key", KEY[:-1], "not a JSON object"),
        ("_json_key", "[" * 20_000, "not a JSON object"),
        ("_json_key", '{"type": "authorized_user", "x": "HUNTER2"}', '"service_account"'),
        ("_json_key", '{"type": "service_account", "private_key": "HUNTER2"}', "client_email is missing"),
        ("_json_key_base64", KEY, "not a JSON object"),
        ("_json_key_base64", "HUNTER2", "not a JSON object"),
        ("", '{"type": "HUNTER2"}', '"service_account"'),
        ("oauth2accesstoken", KEY, "_json_key"),
    ],
)
def test_google_refuses_what_is_no_key(username: str, secret: str, reason: str) -> None:
    complaint = kinds.get("google").check_secret(secret, username)
    assert complaint
    assert reason in complaint
    assert "HUNTER2" not in complaint


@ALL
@given(secret=st.text(min_size=12), username=st.text())
def test_nothing_said_about_a_secret_contains_it(kind: kinds.Kind, secret: str, username: str) -> None:
    marked = f"HUNTER2{secret}"
    said = (kind.check_secret(marked, username), *kind.warn_secret(marked, username))
    assert not any("HUNTER2" in text for text in said if text)


def test_where_the_secret_is_the_username_none_is_taken() -> None:
    kind = kinds.get("digitalocean")
    assert kind.check_username("") is None
    assert kind.check_username("dop_v1_0123") is not None
