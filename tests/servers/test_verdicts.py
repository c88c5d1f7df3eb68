import dataclasses

import pytest

from servers import verdicts
from servers.verdicts import Verdict

# As Docker 20.10, 28 and 29 say it.
DAEMON = {
    "docker_socket_denied": [
        (
            "Got permission denied while trying to connect to the Docker daemon socket at "
            "unix:///var/run/docker.sock: "
            'Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.24/version": dial unix /var/run/docker.sock: '
            "connect: permission denied"
        ),
        (
            "permission denied while trying to connect to the Docker daemon socket at "
            "unix:///var/run/docker.sock: "
            'Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.50/version": dial unix /var/run/docker.sock: '
            "connect: permission denied"
        ),
        "permission denied while trying to connect to the docker API at unix:///var/run/docker.sock",
    ],
    "docker_daemon_down": [
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        "Cannot connect to the Docker daemon at tcp://127.0.0.1:2375. Is the docker daemon running?",
        (
            "failed to connect to the docker API at unix:///var/run/docker.sock; check if the path is "
            "correct and if "
            "the daemon is running: dial unix /var/run/docker.sock: connect: no such file or directory"
        ),
    ],
    "docker_context_broken": [
        (
            'Failed to initialize: unable to resolve docker endpoint: context "prod": context not found: '
            "open /root/.docker/contexts/meta/ca37/meta.json: no such file or directory"
        ),
        'Current context "prod" is not found on the file system, please check your config file',
        "unable to parse docker host `bogus`",
    ],
    "docker_endpoint_unreachable": [
        (
            'error during connect: Get "http://build.example.com:2375/v1.50/version": dial tcp: '
            "lookup build.example.com on 10.0.0.2:53: no such host"
        ),
    ],
    "docker_version_mismatch": [
        "Error response from daemon: client version 1.99 is too new. Maximum supported API version is 1.41",
        (
            "Error response from daemon: client version 1.24 is too old. Minimum supported API version is "
            "1.44, please "
            "upgrade your client to a newer version"
        ),
    ],
    "docker_disk_full": ["write /var/lib/docker/tmp/GetImageBlob123: no space left on device"],
    "docker_daemon_failing": [
        (
            "request returned 500 Internal Server Error for API route and version "
            "http://%2Fvar%2Frun%2Fdocker.sock/v1.50/version, check if the server supports the requested "
            "API version"
        ),
    ],
    "docker_not_found": [
        "docker: command not found",
        "sh: 1: docker: not found",
        "bash: docker: command not found",
    ],
    "docker_not_executable": [
        "sh: 1: docker: Permission denied",
        "/usr/bin/docker: cannot execute: required file",
    ],
}
DAEMON_TEXTS = [(code, text) for code, texts in DAEMON.items() for text in texts]


@pytest.mark.parametrize(("code", "text"), DAEMON_TEXTS)
def test_what_docker_says_about_its_daemon_is_recognised(code: str, text: str) -> None:
    output = f"Client:\n Version:           28.2.2\n Context:           default\n{text}\n"
    verdict = verdicts.of_daemon(output, 1, server="web-1", user="deploy")
    assert verdict.code == code
    assert "web-1" in verdict.cause
    assert verdict.subject == "server"


def test_a_user_outside_the_group_docker_is_told_the_command() -> None:
    verdict = verdicts.of_daemon(DAEMON["docker_socket_denied"][0], 1, server="web-1", user="deploy")
    assert "usermod -aG docker deploy" in verdict.fix
    assert "next login" in verdict.fix


@pytest.mark.parametrize(("status", "code"), [(127, "docker_not_found"), (126, "docker_not_executable")])
def test_the_shell_s_status_alone_says_that_docker_cannot_be_run(status: int, code: str) -> None:
    assert verdicts.of_cli("", status, server="web-1").code == code
    assert verdicts.of_daemon("", status, server="web-1", user="deploy").code == code


@pytest.mark.parametrize("status", [124, 137])
def test_a_daemon_that_does_not_answer_in_time_is_called_silent(status: int) -> None:
    assert verdicts.of_daemon("", status, server="web-1", user="deploy").code == "docker_daemon_silent"


@pytest.mark.parametrize(
    "verdict",
    [
        verdicts.of_cli("something\nelse", 3, server="web-1"),
        verdicts.of_daemon("something\nelse", 3, server="web-1", user="deploy"),
    ],
)
def test_an_unknown_text_is_shown_as_it_is(verdict: Verdict) -> None:
    assert "It said: something else" in verdict.cause
    assert verdict.code.endswith("_failed")


def test_silence_is_told_with_its_status() -> None:
    assert "said nothing and ended with status 3" in verdicts.of_cli(" \n", 3, server="web-1").cause


def test_an_endless_text_is_shown_by_its_end() -> None:
    cause = verdicts.of_cli("x " * 10_000 + "the reason", 3, server="web-1").cause
    assert cause.endswith("the reason")
    assert len(cause) < 500


def test_a_template_s_braces_in_foreign_text_are_left_alone() -> None:
    assert "{server.__class__}" in verdicts.of_cli("{server.__class__}", 3, server="web-1").cause
    assert "{user}" in verdicts.of_daemon("permission denied", 127, server="{user}", user="deploy").cause


def test_of_docker_keeps_quiet_about_what_is_not_docker_s_own_trouble() -> None:
    assert verdicts.of_docker("unauthorized", 1, server="web-1", user="deploy") is None


CONFIG = {"server": "web-1", "path": "/home/deploy/.docker/config.json"}
ALL = {
    "ssh_unreachable": verdicts.ssh_unreachable(address="10.0.0.5:22", detail="connection refused"),
    "ssh_timeout": verdicts.ssh_timeout(address="10.0.0.5:22"),
    "ssh_silent": verdicts.ssh_silent(address="10.0.0.5:22"),
    "ssh_undecided": verdicts.ssh_undecided(address="10.0.0.5:22"),
    "no_session": verdicts.no_session(address="10.0.0.5:22"),
    "ssh_auth_refused": verdicts.ssh_auth_refused(user="deploy"),
    "host_key_unconfirmed": verdicts.host_key_unconfirmed(fingerprint="SHA256:abc"),
    "host_key_changed": verdicts.host_key_changed(pinned="SHA256:abc", seen="SHA256:def"),
    "address_forbidden": verdicts.address_forbidden(address="169.254.169.254", loopback=False),
    "name_not_found": verdicts.name_not_found(host="web-1.example.com"),
    "connection_lost": verdicts.connection_lost(address="10.0.0.5:22"),
    "private_key_unreadable": verdicts.private_key_unreadable(),
    "secret_unreadable": verdicts.secret_unreadable(),
    "own_host_not_used": verdicts.own_host_not_used(),
    "too_much_output": verdicts.too_much_output(limit=1024 * 1024),
    "deadline_passed": verdicts.deadline_passed(),
    "restored": verdicts.restored(),
    "worker_lost": verdicts.worker_lost(),
    "no_worker": verdicts.no_worker(),
    "disk_low": verdicts.disk_low(server="web-1", free="1.2 GB free"),
    "config_unreadable": verdicts.config_unreadable(**CONFIG, user="deploy", detail="unexpected EOF"),
    "config_not_writable": verdicts.config_not_writable(**CONFIG, user="deploy", detail="Read-only file system"),
    "config_disk_full": verdicts.config_not_writable(**CONFIG, user="deploy", detail="No space left on device"),
    "config_no_home": verdicts.config_no_home(server="web-1", user="deploy", path="/home/deploy"),
    "config_locked": verdicts.config_locked(**CONFIG),
    "config_busy": verdicts.config_busy(**CONFIG),
    "login_not_kept": verdicts.login_not_kept(**CONFIG, registry="ghcr.io"),
    "login_not_removed": verdicts.login_not_removed(**CONFIG, registry="ghcr.io"),
    "login_not_saved_helper": verdicts.login_not_saved_helper(**CONFIG, user="deploy", helper="pass"),
}


@pytest.mark.parametrize(("code", "verdict"), ALL.items())
def test_a_verdict_has_its_code_and_whole_sentences(code: str, verdict: Verdict) -> None:
    assert verdict.code == code
    for text in (verdict.cause, verdict.fix):
        assert text.endswith(".")
        assert "  " not in text


@pytest.mark.parametrize(
    ("code", "facts"),
    {
        "ssh_unreachable": ["10.0.0.5:22", "connection refused"],
        "ssh_auth_refused": ["deploy"],
        "host_key_unconfirmed": ["SHA256:abc"],
        "host_key_changed": ["SHA256:abc", "SHA256:def"],
        "address_forbidden": ["169.254.169.254"],
        "name_not_found": ["web-1.example.com"],
        "too_much_output": ["1024 KiB"],
        "disk_low": ["web-1", "1.2 GB free"],
        "config_unreadable": [*CONFIG.values(), "unexpected EOF"],
        "config_not_writable": [*CONFIG.values(), "Read-only file system"],
        "config_no_home": ["web-1", "deploy", "/home/deploy"],
        "login_not_kept": [*CONFIG.values(), "ghcr.io"],
        "login_not_removed": [*CONFIG.values(), "ghcr.io"],
        "login_not_saved_helper": [*CONFIG.values(), "pass"],
    }.items(),
)
def test_a_verdict_shows_its_facts(code: str, facts: list[str]) -> None:
    assert all(fact in ALL[code].cause for fact in facts)


def test_only_loopback_is_told_how_to_allow_it() -> None:
    assert "DOKREG_ALLOW_LOOPBACK" in verdicts.address_forbidden(address="127.0.0.1", loopback=True).fix
    assert "DOKREG_ALLOW_LOOPBACK" not in ALL["address_forbidden"].fix


@pytest.mark.parametrize("code", ["ssh_unreachable", "ssh_timeout", "ssh_silent", "connection_lost", "worker_lost"])
def test_what_passes_by_itself_may_be_tried_again(code: str) -> None:
    assert not ALL[code].permanent


@pytest.mark.parametrize("code", ["ssh_auth_refused", "host_key_changed", "host_key_unconfirmed", "secret_unreadable"])
def test_what_needs_a_person_is_permanent(code: str) -> None:
    assert ALL[code].permanent


def test_a_verdict_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ALL["worker_lost"].code = "other"  # type: ignore[misc]
