import base64
import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registries.pasting import NothingFound, Pasted, read

SECRET = "hunter2"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def only(text: str) -> Pasted:
    (pasted,) = read(text)
    return pasted


ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"

LOGINS = {
    "docker login -u ann -p hunter2 ghcr.io": "ghcr.io",
    "docker login ghcr.io -u ann -p hunter2": "ghcr.io",
    "docker login --username=ann --password=hunter2 ghcr.io": "ghcr.io",
    "docker login --username ann ghcr.io --password hunter2": "ghcr.io",
    "docker login -u=ann -phunter2 -- ghcr.io": "ghcr.io",
    "docker login -uann -p=hunter2 https://ghcr.io/": "ghcr.io",
    "docker login -u AWS -u ann -p 'hunter2' -e none \"https://ghcr.io\"": "ghcr.io",
    "$ docker login -u ann -p hunter2 ghcr.io": "ghcr.io",
    "# docker login -u ann -p hunter2 ghcr.io": "ghcr.io",
    "> docker login -u ann -p hunter2 ghcr.io": "ghcr.io",
    "root@web-1:~# docker login -u ann -p hunter2 ghcr.io": "ghcr.io",
    "PS C:\\Users\\ann> docker login -u ann -p hunter2 ghcr.io": "ghcr.io",
    "sudo -E docker login -u ann -p hunter2 ghcr.io": "ghcr.io",
    "DOCKER_CONFIG=/tmp/x docker --config /tmp/y login -u ann -p hunter2 ghcr.io": "ghcr.io",
    "/usr/local/bin/docker.exe login -u ann -p hunter2 ghcr.io": "ghcr.io",
    "podman login --tls-verify=false --authfile /tmp/a -u ann -p hunter2 ghcr.io": "ghcr.io",
    "nerdctl login -u ann -p hunter2 ghcr.io && nerdctl pull ghcr.io/acme/web": "ghcr.io",
    "helm registry login -u ann -p hunter2 ghcr.io": "ghcr.io",
    "docker login ghcr.io \\\n  -u ann \\\n  -p hunter2": "ghcr.io",
    "docker login ghcr.io `\r\n  -u ann `\r\n  -p hunter2": "ghcr.io",
    "echo hunter2 | docker login ghcr.io -u ann --password-stdin": "ghcr.io",
    "echo -n 'hunter2' | sudo docker login -u ann --password-stdin ghcr.io": "ghcr.io",
    "printf '%s' \"hunter2\" | docker login -u ann --password-stdin ghcr.io": "ghcr.io",
    "echo hunter2 |\n  docker login -u ann --password-stdin ghcr.io": "ghcr.io",
    "docker login -u ann --password-stdin ghcr.io <<< hunter2": "ghcr.io",
    "docker login -u ann --password-stdin ghcr.io <<<'hunter2' 2>/dev/null": "ghcr.io",
    "docker login -u ann -p hunter2 ghcr.io >/dev/null 2>&1 # for the CI": "ghcr.io",
    "It's easy:\ndocker login -u ann -p hunter2 ghcr.io": "ghcr.io",
    "docker login -u ann -p hunter2": "docker.io",
    "docker login -u ann -p hunter2 docker.io": "docker.io",
    "docker login -u ann -p hunter2 registry.example.com:5000": "registry.example.com:5000",
}


@pytest.mark.parametrize(("line", "host"), LOGINS.items())
def test_it_reads_a_login_line(line: str, host: str) -> None:
    pasted = only(line)
    assert (pasted.url, pasted.username, pasted.password, pasted.note) == (host, "ann", SECRET, "")


@pytest.mark.parametrize(
    "line",
    [
        'docker login -u ann -p "$TOKEN" ghcr.io',
        "docker login -u ann -p ${TOKEN} ghcr.io",
        "docker login -u ann --password=$TOKEN ghcr.io",
        "docker login -u ann -p $(pass show hunter2) ghcr.io",
        'docker login -u ann -p "$(pass show hunter2)" ghcr.io',
        "docker login -u ann -p `pass show hunter2` ghcr.io",
        "docker login -u ann -p ${{ secrets.TOKEN }} ghcr.io",
        "docker login -u ann -p $env:TOKEN ghcr.io",
        "docker login -u ann -p %TOKEN% ghcr.io",
        "docker login -u ann -p <your token> ghcr.io",
        'echo "$USER$TOKEN" | docker login -u ann --password-stdin ghcr.io',
        "docker login -u ann --password-stdin ghcr.io <<< $TOKEN",
    ],
)
def test_a_variable_is_not_taken_for_the_secret(line: str) -> None:
    pasted = only(line)
    assert (pasted.url, pasted.username, pasted.password) == ("ghcr.io", "ann", "")
    assert "variable or placeholder" in pasted.note
    assert SECRET not in pasted.note


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("docker login -u ann ghcr.io", "no password"),
        ("docker login -u ann -p '' ghcr.io", "no password"),
        ("cat token.txt | docker login -u ann --password-stdin ghcr.io", "read from a file"),
        ("docker login -u ann --password-stdin ghcr.io < token.txt", "read from a file"),
        ("gh auth token | docker login ghcr.io -u ann --password-stdin", "printed by another command"),
    ],
)
def test_it_says_why_there_is_no_password(line: str, note: str) -> None:
    pasted = only(line)
    assert (pasted.url, pasted.username, pasted.password) == ("ghcr.io", "ann", "")
    assert note in pasted.note


def test_it_reads_the_line_of_aws() -> None:
    pasted = only(
        f"aws ecr get-login-password --region eu-central-1 | docker login --username AWS --password-stdin {ECR}"
    )
    assert (pasted.kind, pasted.url, pasted.username, pasted.password) == ("ecr", ECR, "AWS", "")
    assert "printed by another command" in pasted.note


@pytest.mark.parametrize(
    ("quoted", "password"),
    [
        ("'$ecret'", "$ecret"),
        ("'pa ss\"word'", 'pa ss"word'),
        ('"pa \\"ss\\" \\$x"', 'pa "ss" $x'),
        ("pa\\ ss\\'word", "pa ss'word"),
        ("'it'\\''s'", "it's"),
        ("pa$word", "pa$word"),
        ("100%", "100%"),
        ("Grüße✓", "Grüße✓"),
        ("-dash", "-dash"),
    ],
)
def test_quotes_are_taken_off_as_a_shell_does(quoted: str, password: str) -> None:
    assert only(f"docker login -u ann -p {quoted} ghcr.io").password == password


@pytest.mark.parametrize("username", ["robot$acme+puller", "'robot$acme+puller'"])
def test_a_robot_keeps_its_dollar_sign(username: str) -> None:
    pasted = only(f"docker login -u {username} -p hunter2 harbor.example.com")
    assert (pasted.kind, pasted.username) == ("harbor", "robot$acme+puller")


def test_a_username_that_is_a_variable_is_left_out_and_said() -> None:
    pasted = only("docker login -u $CI_REGISTRY_USER -p $CI_REGISTRY_PASSWORD registry.gitlab.com")
    assert pasted.username == ""
    assert "username" in pasted.note


@pytest.mark.parametrize("host", ["$REGISTRY", "$ACCOUNT.dkr.ecr.$REGION.amazonaws.com", "user:x@ghcr.io"])
def test_a_host_that_cannot_be_told_is_left_out_and_said(host: str) -> None:
    pasted = only(f"docker login -u ann -p hunter2 {host}")
    assert (pasted.url, pasted.password) == ("", SECRET)
    assert "address" in pasted.note


def test_a_path_after_the_host_becomes_the_image_prefix() -> None:
    pasted = only("docker login rg.fr-par.scw.cloud/acme -u nologin -p hunter2")
    assert (pasted.kind, pasted.url, pasted.image_prefix) == ("scaleway", "rg.fr-par.scw.cloud", "acme")


def test_an_alias_of_docker_hub_is_replaced_and_said() -> None:
    pasted = only("docker login -u ann -p hunter2 registry-1.docker.io")
    assert pasted.url == "docker.io"
    assert "docker.io" in pasted.note


def test_it_reads_several_lines() -> None:
    pasted = read("docker login -u ann -p one ghcr.io\n\ndocker login -u bob -p two quay.io\n")
    assert [(entry.url, entry.username, entry.password) for entry in pasted] == [
        ("ghcr.io", "ann", "one"),
        ("quay.io", "bob", "two"),
    ]


def test_a_key_may_be_piped_over_many_lines() -> None:
    line = f"echo '{KEY}' | docker login -u _json_key --password-stdin https://europe-west3-docker.pkg.dev"
    pasted = only(line)
    assert (pasted.kind, pasted.username, pasted.password) == ("google", "_json_key", KEY)


def test_an_own_host_gives_the_name_and_a_provider_does_not() -> None:
    assert only("docker login -u ann -p hunter2 registry.example.com").name == "registry.example.com"
    assert only("docker login -u ann -p hunter2 ghcr.io").name == ""


KEY = json.dumps({"type": "service_account", "project_id": "acme-prod", "private_key": "hunter2\nhunter3"}, indent=2)
CONFIG = {
    "auths": {
        "https://index.docker.io/v1/": {"auth": encoded("ann:hunter2")},
        "https://index.docker.io/v1/access-token": {"auth": encoded("ann:hunter3")},
        "ghcr.io": {"auth": encoded("bob:hun:ter2\x00\x00")},
        "registry.gitlab.com/acme": {"username": "charlie", "password": SECRET},
        "https://registry.example.com:5000/v2/": {"auth": encoded("dora:hunter2"), "identitytoken": "hunter3"},
        "quay.io": {},
        "odd": "text",
    },
    "credsStore": "desktop",
    "credHelpers": {ECR: "ecr-login", "quay.io": "ignored"},
}
EXPECTED = [
    ("docker_hub", "docker.io", "ann", SECRET, ""),
    ("ghcr", "ghcr.io", "bob", "hun:ter2", ""),
    ("gitlab", "registry.gitlab.com", "charlie", SECRET, "acme"),
    ("generic", "registry.example.com:5000", "dora", "", ""),
    ("quay", "quay.io", "", "", ""),
    ("ecr", ECR, "", "", ""),
]


def facts(entries: list[Pasted]) -> list[tuple[str, str, str, str, str]]:
    return [(entry.kind, entry.url, entry.username, entry.password, entry.image_prefix) for entry in entries]


def test_it_reads_a_config_json_with_several_hosts() -> None:
    assert facts(read(json.dumps(CONFIG))) == EXPECTED


def test_it_says_what_a_config_json_does_not_hold() -> None:
    notes = {entry.url: entry.note for entry in read(json.dumps(CONFIG))}
    assert notes["docker.io"] == ""
    assert "identity token" in notes["registry.example.com:5000"]
    assert "credential helper desktop" in notes["quay.io"]
    assert "credential helper ecr-login" in notes[ECR]


SECRET_DATA = {".dockerconfigjson": encoded(json.dumps(CONFIG))}
SECRET_YAML = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: pull\ntype: kubernetes.io/dockerconfigjson\n"
FOLDED = "\n".join(f"    {encoded(json.dumps(CONFIG))[n : n + 60]}" for n in range(0, 2000, 60)).rstrip()


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"kind": "Secret", "data": SECRET_DATA}),
        json.dumps({"kind": "Secret", "stringData": {".dockerconfigjson": json.dumps(CONFIG)}}),
        json.dumps({"kind": "List", "items": [{"kind": "Secret", "data": SECRET_DATA}]}),
        json.dumps(SECRET_DATA),
        f"{SECRET_YAML}data:\n  .dockerconfigjson: {encoded(json.dumps(CONFIG))}\n",
        f'data:\n  ".dockerconfigjson": "{encoded(json.dumps(CONFIG))}"\n{SECRET_YAML}',
        f"data:\n  .dockerconfigjson: >-\n{FOLDED}\n{SECRET_YAML}",
        f"stringData:\n  .dockerconfigjson: |\n    {json.dumps(CONFIG)}\n{SECRET_YAML}",
        encoded(json.dumps(CONFIG)),
    ],
)
def test_it_reads_a_kubernetes_secret(text: str) -> None:
    assert facts(read(text)) == EXPECTED


def test_it_reads_the_old_dockercfg() -> None:
    text = json.dumps({"https://ghcr.io": {"auth": encoded("ann:hunter2"), "email": ""}})
    assert facts(read(text)) == [("ghcr", "ghcr.io", "ann", SECRET, "")]


def test_it_reads_a_service_account_s_key() -> None:
    pasted = only(f"\ufeff{KEY}\n")
    assert (pasted.kind, pasted.username, pasted.password) == ("google", "_json_key", KEY)
    assert (pasted.url, pasted.image_prefix, pasted.name) == ("", "acme-prod", "acme-prod")
    assert "Enter the host" in pasted.note


IMAGES = {
    "ghcr.io/acme/web:1.4": ("ghcr", "ghcr.io", "acme", "ghcr.io/acme/web:1.4"),
    "acme/web": ("docker_hub", "docker.io", "acme", "docker.io/acme/web:latest"),
    "docker pull ghcr.io/acme/web": ("ghcr", "ghcr.io", "acme", "ghcr.io/acme/web:latest"),
    "  image: quay.io/acme/team/web": ("quay", "quay.io", "acme/team", "quay.io/acme/team/web:latest"),
    "https://localhost:5000/web:1": ("generic", "localhost:5000", "", "localhost:5000/web:1"),
    "registry.example.com": ("generic", "registry.example.com", "", ""),
    "https://ghcr.io/": ("ghcr", "ghcr.io", "", ""),
    "localhost:5000": ("generic", "localhost:5000", "", ""),
    "hub.docker.com/r/acme/web": ("docker_hub", "docker.io", "acme", "docker.io/acme/web:latest"),
    "https://hub.docker.com/r/acme/web/tags": ("docker_hub", "docker.io", "acme", "docker.io/acme/web:latest"),
    "https://hub.docker.com/repository/docker/acme/web/general": (
        "docker_hub",
        "docker.io",
        "acme",
        "docker.io/acme/web:latest",
    ),
    "https://hub.docker.com/_/nginx": ("docker_hub", "docker.io", "", "docker.io/library/nginx:latest"),
    "https://quay.io/repository/acme/web?tab=tags": ("quay", "quay.io", "acme", "quay.io/acme/web:latest"),
    "https://github.com/orgs/acme/packages/container/web": ("ghcr", "ghcr.io", "acme", "ghcr.io/acme/web:latest"),
    "https://github.com/orgs/acme/packages/container/package/web": (
        "ghcr",
        "ghcr.io",
        "acme",
        "ghcr.io/acme/web:latest",
    ),
    "github.com/users/acme/packages/container/web/versions": ("ghcr", "ghcr.io", "acme", "ghcr.io/acme/web:latest"),
    "https://github.com/Acme/repo/pkgs/container/repo%2Fweb": (
        "ghcr",
        "ghcr.io",
        "acme",
        "ghcr.io/acme/repo/web:latest",
    ),
    "https://gitlab.com/group/project/container_registry": ("gitlab", "registry.gitlab.com", "group/project", ""),
    "https://gitlab.com/group/team/project/-/container_registry/42": (
        "gitlab",
        "registry.gitlab.com",
        "group/team/project",
        "",
    ),
}


@pytest.mark.parametrize(("text", "expected"), IMAGES.items())
def test_it_reads_an_image_reference_or_a_host(text: str, expected: tuple[str, str, str, str]) -> None:
    pasted = only(text)
    assert (pasted.kind, pasted.url, pasted.image_prefix, pasted.image) == expected
    assert pasted.password == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    {
        "": "found no registry",
        "hello there": "found no registry",
        "dop_v1_0123456789abcdef0123456789abcdef": "found no registry",
        "ghp_HUNTER2hunter2": "found no registry",
        "eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl": "found no registry",
        "wJalrXUtnFEMI/K7MDENG/hunter2": "found no registry",
        "{": "not complete",
        '{"auths": {': "not complete",
        "{}": "no registry in this JSON",
        '{"password": "hunter2"}': "no registry in this JSON",
        '{"auths": {}}': "no registry in this JSON",
        '{"auths": ["hunter2"], "items": 1}': "no registry in this JSON",
        "{" * 100_000: "not complete",
        "docker login -u ann -p 'hunter2 ghcr.io": "quotation mark",
        "x" * (256 * 1024 + 1): "256 KiB",
        "ü" * (128 * 1024 + 1): "256 KiB",
    }.items(),
    ids=lambda text: text[:30],
)
def test_it_refuses_what_holds_no_registry_and_never_repeats_it(text: str, reason: str) -> None:
    with pytest.raises(NothingFound, match=reason) as caught:
        read(text)
    assert SECRET not in str(caught.value)


def test_characters_that_cannot_be_kept_are_left_out() -> None:
    pasted = only('{"auths": {"ghcr.io": {"username": "a\\u0000nn", "password": "hunter2\\ud800"}}}')
    assert (pasted.username, pasted.password) == ("", "")
    assert "cannot be sent" in pasted.note


def test_the_password_is_not_in_the_repr() -> None:
    assert SECRET not in repr(read("docker login -u ann -p hunter2 ghcr.io"))


SHELL = st.text(alphabet="ab \\\n'\"$`(){}|&;<>#%=-login dockerup", max_size=60)


@given(st.one_of(st.text(), SHELL, SHELL.map(lambda text: f"docker login {text}")))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        pasted = read(text)
    except NothingFound:
        return
    assert pasted


@given(st.text(min_size=1).filter(lambda text: "'" not in text and "\r" not in text and "\n" not in text))
def test_a_password_in_single_quotes_is_taken_as_it_is(password: str) -> None:
    pasted = only(f"docker login -u ann -p '{password}' ghcr.io")
    assert pasted.password in {password, ""}
    assert pasted.password or pasted.note


@pytest.mark.parametrize("piece", ["$(", "${", "`", "'", '"', "$(()", "<", "{", '{"a":', "\\\n", "$ ", "x login "])
def test_a_hostile_text_takes_no_long_time(piece: str) -> None:
    small = _seconds_for("docker login " + piece * (20_000 // len(piece)))
    large = _seconds_for("docker login " + piece * (200_000 // len(piece)))
    assert large < max(5, 40 * small)


def _seconds_for(text: str) -> float:
    """The processor's time that reading takes, whatever else the machine does."""
    start = time.process_time()
    with contextlib.suppress(NothingFound):
        read(text)
    return time.process_time() - start
