"""The outputs are those of the real thing: Docker's CLI 20.10 and 28, with and without a daemon."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registries import kinds, verdicts
from servers.verdicts import Verdict

HOST = "registry.example.com:5000"
REFERENCE = f"{HOST}/acme/web:1.4"
V2 = f"https://{HOST}/v2/"
DAEMON = "Error response from daemon: "
LOGGED = (
    'time="2026-11-23T20:59:29Z" level=info msg="Error logging in to endpoint, trying next endpoint" '
    'endpoint="{false https://127.0.0.1:7112 false false false 0xc00015ba40}" '
    'error="Get \\"https://127.0.0.1:7112/v2/\\": tls: first record does not look like a TLS handshake"\n'
)
STORED_20 = (
    "WARNING! Your password will be stored unencrypted in /root/.docker/config.json.\n"
    "Configure a credential helper to remove this warning. See\n"
    "https://docs.docker.com/engine/reference/commandline/login/#credentials-store\n\n"
)
STORED_28 = (
    "\nWARNING! Your credentials are stored unencrypted in '/root/.docker/config.json'.\n"
    "Configure a credential helper to remove this warning. See\n"
    "https://docs.docker.com/go/credential-store/\n\n"
)


def of_login(output: str, *, status: int = 1, slug: str = "generic", host: str = HOST) -> Verdict:
    return verdicts.of_login(output, status=status, kind=kinds.get(slug), host=host, server="web-1", user="deploy")


def of_pull(output: str, *, slug: str = "generic", host: str = HOST) -> Verdict:
    return verdicts.of_pull(output, kind=kinds.get(slug), host=host, reference=REFERENCE, server="web-1", user="deploy")


# What a login and a pull have in common: the text after "Get …: ", or the whole.
SHARED = {
    "locked_out": [
        f'Get "{V2}": toomanyrequests: too many failed login attempts for username or IP address',
        "toomanyrequests: too many failed login attempts for username or IP address",
    ],
    "too_many_requests": [
        f"login attempt to {V2} failed with status: 429 Too Many Requests",
        f'Get "{V2}": toomanyrequests: Rate exceeded',
    ],
    "certificate_unknown_authority": [
        f'Get "{V2}": x509: certificate signed by unknown authority',
        f'Get "{V2}": tls: failed to verify certificate: x509: certificate signed by unknown authority',
    ],
    "certificate_expired": [
        (
            f'Get "{V2}": x509: certificate has expired or is not yet valid: '
            "current time 2026-11-23T20:59:34Z is after 2026-11-21T20:59:27Z"
        ),
        f'Get "{V2}": x509: certificate has expired or is not yet valid',
    ],
    "certificate_not_yet_valid": [
        (
            f'Get "{V2}": tls: failed to verify certificate: x509: certificate has expired or is not yet '
            "valid: "
            "current time 1970-01-01T00:00:34Z is before 2026-11-21T20:59:27Z"
        ),
    ],
    "certificate_wrong_name": [
        (f'Get "{V2}": x509: certificate is valid for other.example, www.other.example, not registry.example.com'),
        (
            f'Get "{V2}": tls: failed to verify certificate: x509: cannot validate certificate for 192.0.2.2 '
            "because it doesn't contain any IP SANs"
        ),
        f'Get "{V2}": x509: certificate relies on legacy Common Name field, use SANs instead',
    ],
    "certificate_refused": [f'Get "{V2}": x509: invalid signature: parent certificate cannot sign'],
    "tls_failed": [f'Get "{V2}": remote error: tls: certificate required'],
    "plain_http": [
        f'Get "{V2}": http: server gave HTTP response to HTTPS client',
        f'Get "{V2}": tls: first record does not look like a TLS handshake',
    ],
    "tls_wanted": [
        (
            f'Get "http://{HOST}/v2/": net/http: HTTP/1.x transport connection broken: '
            'malformed HTTP response "\\x15\\x03\\x01"'
        ),
    ],
    "proxy_failed": [
        f'Get "{V2}": proxyconnect tcp: dial tcp 10.0.0.9:3128: connect: connection refused',
        f'Get "{V2}": proxyconnect tcp: dial tcp: lookup proxy.example on 10.0.0.2:53: no such host',
        f'Get "{V2}": Proxy Authentication Required',
    ],
    "host_not_found": [
        f'Get "{V2}": dial tcp: lookup registry.example.com on 10.0.0.2:53: no such host',
        f'Get "{V2}": dial tcp: lookup registry.example.com: Temporary failure in name resolution',
    ],
    "connection_refused": [f'Get "{V2}": dial tcp 192.0.2.2:5000: connect: connection refused'],
    "no_route": [f'Get "{V2}": dial tcp 192.0.2.2:5000: connect: no route to host'],
    "registry_timeout": [
        f'Get "{V2}": dial tcp 192.0.2.2:5000: i/o timeout',
        f'Get "{V2}": net/http: TLS handshake timeout',
        f'Get "{V2}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
        f'Get "{V2}": net/http: request canceled while waiting for connection',
    ],
    "unauthorized": [
        f'Get "{V2}": unauthorized: incorrect username or password',
        f'Get "{V2}": unauthorized: authentication required',
        f'Get "{V2}": unauthorized',
        f"login attempt to {V2} failed with status: 401 Unauthorized",
        f'Get "{V2}": unauthorized: HTTP Basic: Access denied. The provided password or token is incorrect',
        f'Get "{V2}": unauthorized: your account must log in with a Personal Access Token (PAT)',
    ],
    "denied": [
        f'Get "{V2}": denied: denied',
        "denied",
        "denied: requested access to the resource is denied",
        f"login attempt to {V2} failed with status: 403 Forbidden",
        (
            f"Get \"{V2}\": error parsing HTTP 403 response body: invalid character '<' looking for "
            "beginning of "
            'value: "<html>Forbidden</html>"'
        ),
        f'Get "{V2}": denied: access forbidden',
    ],
    "token_expired": [
        f'Get "{V2}": denied: Your authorization token has expired. Reauthenticate and try again.',
        f'Get "{V2}": unauthorized: personal access token is expired',
    ],
    "registry_failing": [
        f"login attempt to {V2} failed with status: 503 Service Unavailable",
        "received unexpected HTTP status: 502 Bad Gateway",
        f"Get \"{V2}\": error parsing HTTP 500 response body: invalid character '<' looking for beginning",
    ],
    "not_a_registry": [
        f"login attempt to {V2} failed with status: 404 Not Found",
        ("error parsing HTTP 404 response body: invalid character '<' looking for beginning of value: \"<html>\""),
    ],
    "bad_request": [f"login attempt to {V2} failed with status: 400 Bad Request"],
    "connection_broken": [
        f'Get "{V2}": read tcp 192.0.2.9:54030->192.0.2.2:5000: read: connection reset by peer',
        f'Get "{V2}": EOF',
    ],
    "docker_socket_denied": [
        (
            "permission denied while trying to connect to the Docker daemon socket at "
            "unix:///var/run/docker.sock: "
            'Post "http://%2Fvar%2Frun%2Fdocker.sock/v1.50/auth": dial unix /var/run/docker.sock: '
            "connect: permission denied"
        ),
    ],
    "docker_daemon_down": [
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
    ],
    "docker_not_found": ["sh: 1: docker: not found"],
}
SHARED_TEXTS = [(code, text) for code, texts in SHARED.items() for text in texts]

LOGIN_TEXTS = [
    ("password_empty", "Error: Cannot perform an interactive login from a non TTY device"),
    ("password_empty", "password is empty"),
    ("username_empty", "Must provide --username with --password-stdin"),
    ("username_empty", "the --password-stdin option requires --username to be set"),
    ("username_empty", "username is empty"),
    (
        "login_not_saved_helper",
        (
            "Error saving credentials: error storing credentials - err: exec: "
            '"docker-credential-pass": executable file not found in $PATH, out: ``'
        ),
    ),
    (
        "login_not_saved_helper",
        (
            "Error saving credentials: error storing credentials - err: docker-credential-pass resolves to "
            "executable in current directory (./docker-credential-pass), out: ``"
        ),
    ),
    (
        "login_not_saved_disk",
        "Error saving credentials: open /root/.docker/config.json123: no space left on device",
    ),
    ("login_not_saved_folder", "Error saving credentials: mkdir /root/.docker: read-only file system"),
    (
        "login_not_saved_folder",
        "Error saving credentials: open /root/.docker/config.json1: permission denied",
    ),
    ("login_not_saved_folder", "Error saving credentials: mkdir /dev/null: not a directory"),
    ("login_not_saved", "Error saving credentials: rename config.json1 config.json: device or resource busy"),
]

PULL_TEXTS = [
    (
        "pull_limit",
        (
            f"{DAEMON}toomanyrequests: You have reached your unauthenticated pull rate limit. "
            "https://www.docker.com/increase-rate-limit"
        ),
    ),
    ("no_credentials", f'{DAEMON}Head "{V2}acme/web/manifests/1.4": no basic auth credentials'),
    (
        "pull_denied",
        (
            f"{DAEMON}pull access denied for {HOST}/acme/web, repository does not exist or may require "
            "'docker login': denied: requested access to the resource is denied"
        ),
    ),
    (
        "token_expired",
        (
            f"{DAEMON}pull access denied for {HOST}/acme/web, repository does not exist or may require "
            "'docker login': denied: Your authorization token has expired. Reauthenticate and try again."
        ),
    ),
    (
        "policy_denied",
        (
            f"{DAEMON}pull access denied for {HOST}/acme/web, repository does not exist or may require "
            "'docker login': denied: User: arn:aws:iam::123456789012:user/ci is not authorized to perform: "
            "ecr:BatchGetImage on resource: arn:aws:ecr:eu-central-1:123456789012:repository/acme/web"
        ),
    ),
    ("tag_not_found", f"{DAEMON}manifest unknown"),
    ("tag_not_found", f"{DAEMON}manifest for {REFERENCE} not found: manifest unknown: manifest unknown"),
    ("tag_not_found", f'{DAEMON}failed to resolve reference "{REFERENCE}": {REFERENCE}: not found'),
    ("repository_not_found", f"{DAEMON}name unknown"),
    (
        "repository_not_found",
        f"{DAEMON}repository {HOST}/acme/web not found: name unknown: repository name not known to registry",
    ),
    (
        "platform_missing",
        f"{DAEMON}no matching manifest for linux/arm64/v8 in the manifest list entries",
    ),
    ("reference_invalid", "invalid reference format: repository name (acme/WEB) must be lowercase"),
    ("unauthorized", f'{DAEMON}Head "{V2}acme/web/manifests/1.4": unauthorized'),
    ("unauthorized", f"{DAEMON}error from registry: unauthorized\nunauthorized"),
    (
        "denied",
        ("errors:\ndenied: requested access to the resource is denied\nunauthorized: authentication required\n"),
    ),
    (
        "denied",
        (
            f"{DAEMON}unauthorized: unauthorized to access repository: acme/web, action: pull: unauthorized "
            "to "
            "access repository: acme/web, action: pull"
        ),
    ),
    ("denied", f"{DAEMON}unauthorized: access to the requested resource is not authorized"),
    (
        "denied",
        (
            f'{DAEMON}failed to resolve reference "{REFERENCE}": unexpected status from HEAD request to '
            f"{V2}acme/web/manifests/1.4: 403 Forbidden"
        ),
    ),
    (
        "registry_failing",
        (
            f'{DAEMON}failed to resolve reference "{REFERENCE}": unexpected status from HEAD request to '
            f"{V2}acme/web/manifests/1.4: 503 Service Unavailable"
        ),
    ),
    (
        "not_a_registry",
        f"{DAEMON}error unmarshalling content: invalid character '<' looking for beginning of value",
    ),
    ("docker_disk_full", "write /var/lib/docker/tmp/GetImageBlob1: no space left on device"),
]


@pytest.mark.parametrize(("code", "text"), SHARED_TEXTS)
@pytest.mark.parametrize("before", ["", DAEMON, LOGGED, STORED_20, STORED_28], ids=lambda text: text[:12])
def test_a_failed_login_is_recognised(before: str, code: str, text: str) -> None:
    assert of_login(f"{before}{text}\n").code == code


@pytest.mark.parametrize(("code", "text"), LOGIN_TEXTS)
@pytest.mark.parametrize("before", ["", STORED_20], ids=["", "stored"])
def test_what_only_a_login_says_is_recognised(before: str, code: str, text: str) -> None:
    assert of_login(f"{before}{text}\n").code == code


@pytest.mark.parametrize(("code", "text"), [*((code, DAEMON + text) for code, text in SHARED_TEXTS), *PULL_TEXTS])
def test_a_failed_pull_is_recognised(code: str, text: str) -> None:
    assert of_pull(f"{text}\n").code == code


@pytest.mark.parametrize("kind", kinds.all_kinds(), ids=lambda kind: kind.slug)
def test_every_sentence_is_filled_in_whatever_the_kind(kind: kinds.Kind) -> None:
    for _code, text in [*SHARED_TEXTS, *LOGIN_TEXTS]:
        verdict = of_login(text, slug=kind.slug, host=kind.default_host or kind.host_placeholder)
        for sentence in (verdict.cause, verdict.fix):
            assert sentence
            assert "{" not in sentence
            assert "  " not in sentence


def test_a_lock_out_says_to_stop_retrying_and_is_permanent() -> None:
    verdict = of_login(SHARED["locked_out"][0], slug="docker_hub", host="docker.io")
    assert verdict.fix.startswith("Stop retrying")
    assert verdict.permanent


@pytest.mark.parametrize("code", ["pull_limit", "registry_failing", "registry_timeout", "host_not_found"])
def test_what_passes_by_itself_is_not_permanent(code: str) -> None:
    text = dict([*SHARED_TEXTS, *PULL_TEXTS])[code]
    assert not of_pull(text).permanent


@pytest.mark.parametrize(
    ("slug", "host", "help_text"),
    [
        ("docker_hub", "docker.io", "https://app.docker.com/settings/personal-access-tokens"),
        ("ghcr", "ghcr.io", "classic personal access token with the scope read:packages"),
        ("ecr", "123456789012.dkr.ecr.eu-central-1.amazonaws.com", "aws ecr get-login-password"),
        ("harbor", "harbor.example.com", "robot$acme+puller"),
    ],
)
def test_a_refused_secret_is_answered_with_where_it_is_made(slug: str, host: str, help_text: str) -> None:
    verdict = of_login(f"{DAEMON}Get: unauthorized: authentication required", slug=slug, host=host)
    assert verdict.subject == "credentials"
    assert help_text in verdict.fix


@pytest.mark.parametrize(
    ("slug", "scope"),
    [
        ("ghcr", "read:packages"),
        ("gitlab", "read_registry"),
        ("ecr", "ecr:BatchGetImage"),
        ("acr", "AcrPull"),
    ],
)
def test_a_denied_pull_is_answered_with_the_right_that_is_needed(slug: str, scope: str) -> None:
    assert scope in of_pull(f"{DAEMON}denied", slug=slug).fix
    assert REFERENCE in of_pull(f"{DAEMON}denied", slug=slug).cause


def test_an_unknown_authority_is_answered_with_the_file_on_that_server() -> None:
    fix = of_login(SHARED["certificate_unknown_authority"][0]).fix
    assert f"/etc/docker/certs.d/{HOST}/ca.crt on web-1" in fix


def test_a_wrong_certificate_is_told_with_the_names_in_it() -> None:
    assert "other.example, www.other.example." in of_login(SHARED["certificate_wrong_name"][0]).cause


def test_an_expired_certificate_is_told_with_both_times() -> None:
    cause = of_login(SHARED["certificate_expired"][0]).cause
    assert "ended at 2026-11-21T20:59:27Z" in cause
    assert "it is 2026-11-23T20:59:34Z" in cause


def test_a_clock_that_is_behind_is_the_server_s_fault() -> None:
    assert of_login(SHARED["certificate_not_yet_valid"][0]).subject == "server"


def test_a_certificate_refused_before_docker_fell_back_to_http_is_the_reason() -> None:
    logged = LOGGED.replace(
        "tls: first record does not look like a TLS handshake",
        "x509: certificate signed by unknown authority",
    )
    verdict = of_login(f'{logged}Get "http://127.0.0.1:7201/v2/": read: connection reset by peer\n')
    assert verdict.code == "certificate_unknown_authority"


def test_a_missing_credential_helper_is_named() -> None:
    assert "docker-credential-pass" in of_login(LOGIN_TEXTS[5][1]).fix


@pytest.mark.parametrize("status", [124, 137])
def test_a_login_that_was_stopped_is_told_as_such(status: int) -> None:
    assert of_login("", status=status).code == "login_timed_out"


def test_words_count_more_than_a_login_that_was_stopped() -> None:
    assert of_login(SHARED["unauthorized"][0], status=124).code == "unauthorized"


def test_a_folder_that_cannot_be_made_is_told_with_mktemp_s_words() -> None:
    output = "mktemp: failed to create directory via template '/tmp/dokreg.x': No space left on device"
    verdict = of_login(output, status=verdicts.NO_FOLDER_STATUS)
    assert verdict.code == "no_folder"
    assert "No space left" in verdict.cause


def test_an_unknown_text_is_shown_as_it_is() -> None:
    login, pull = of_login(f"{STORED_28}strange {{weather}}\n"), of_pull("strange {weather}")
    assert (login.code, pull.code) == ("login_failed", "pull_failed")
    assert login.cause.endswith("It said: strange {weather}")
    assert pull.cause.endswith("It said: strange {weather}")


def test_a_registry_that_takes_any_password_gets_a_warning() -> None:
    verdict = verdicts.accepts_any_password(host=HOST)
    assert verdict.code == "accepts_any_password"
    assert HOST in verdict.cause


@pytest.mark.parametrize("noise", [STORED_20, STORED_28, LOGGED, f"{LOGGED}{STORED_28}"])
def test_what_docker_always_says_is_removed(noise: str) -> None:
    assert verdicts.clean_output(f"{noise}Login Succeeded\n") == "Login Succeeded"


def test_the_words_before_an_error_are_removed_and_the_error_stays() -> None:
    output = (
        "Authenticating with existing credentials...\r\n"
        "Login did not succeed, error: \x1b[31mError response from daemon: denied\x1b[0m\r\n"
    )
    assert verdicts.clean_output(output) == "Error response from daemon: denied"


@given(st.text())
def test_any_output_has_a_verdict_and_cleaning_twice_changes_nothing(text: str) -> None:
    cleaned = verdicts.clean_output(text)
    assert verdicts.clean_output(cleaned) == cleaned
    assert of_login(text).code
    assert of_pull(text).code
