import pytest
from hypothesis import given
from hypothesis import strategies as st

from registries.references import (
    DOCKER_HUB,
    InvalidHost,
    InvalidImagePrefix,
    InvalidReference,
    Reference,
    compose,
    is_docker_hub_alias,
    normalise_host,
    normalise_image_prefix,
    parse,
)

DIGEST = "sha256:" + "0123456789abcdef" * 4

DOCKER_HUB_NAMES = [
    "",
    "  ",
    "docker.io",
    "Docker.io/",
    "https://docker.io",
    "registry.hub.docker.com",
    "hub.docker.com",
    "https://hub.docker.com/",
    "index.docker.io",
    "index.docker.io/v1/",
    "https://index.docker.io/v1/",
    "registry-1.docker.io",
]

HOSTS = {
    "ghcr.io": "ghcr.io",
    "  GHCR.io\n": "ghcr.io",
    "https://ghcr.io/": "ghcr.io",
    "HTTP://Registry.Example.com:5000//": "registry.example.com:5000",
    "localhost": "localhost",
    "localhost:5000": "localhost:5000",
    "registry:5000": "registry:5000",
    "127.0.0.1:05000": "127.0.0.1:5000",
    "registry.example.com:65535": "registry.example.com:65535",
    "[::1]:5000": "[::1]:5000",
    "[2001:DB8:0::1]": "[2001:db8::1]",
    "bücher.example": "xn--bcher-kva.example",
    "a" * 63 + ".example": "a" * 63 + ".example",
}

BAD_HOSTS = {
    "user:hunter2@ghcr.io": "no username",
    "https://user@ghcr.io": "no username",
    "ftp://ghcr.io": "https",
    "https://": "empty",
    "ghcr.io?x=1": '"?"',
    "ghcr.io#x": '"#"',
    "ghcr.io\\acme": "backslash",
    "ghcr io": "spaces",
    "ghcr.io\x00": "control characters",
    "ghcr.io\ud800": "control characters",
    "-ghcr.io": 'begin with "-"',
    "ghcr-.io": "hyphen",
    "ghcr_io.example": "cannot be part",
    "ghcr..io": "empty",
    "ghcr.io.": "empty",
    "ghcr.io:": "port",
    "ghcr.io:0": "port",
    "ghcr.io:65536": "port",
    "ghcr.io:٣": "port",
    "ghcr.io:-1": "port",
    "::1": "brackets",
    "[::1": "brackets",
    "[::1]5000": "brackets",
    "[ghcr.io]": "not an IPv6",
    "[fe80::1%eth0]": "zone",
    "registry": "neither a dot nor a port",
    "a" * 64 + ".example": "63",
    ".".join(["a" * 60] * 5): "253",
    "ü" * 64 + ".example": "DNS",
}


@pytest.mark.parametrize("text", DOCKER_HUB_NAMES)
def test_every_name_of_docker_hub_becomes_docker_io(text: str) -> None:
    assert normalise_host(text) == DOCKER_HUB


@pytest.mark.parametrize(("text", "host"), HOSTS.items())
def test_it_normalises_a_host(text: str, host: str) -> None:
    assert normalise_host(text) == host


@pytest.mark.parametrize(("text", "reason"), BAD_HOSTS.items())
def test_it_refuses_what_is_no_host(text: str, reason: str) -> None:
    with pytest.raises(InvalidHost) as caught:
        normalise_host(text)
    assert reason in str(caught.value)


def test_it_refuses_a_path_in_the_host_and_says_where_it_belongs() -> None:
    with pytest.raises(InvalidHost, match=r'"ghcr\.io".*"acme/team" belongs into the image prefix'):
        normalise_host("https://ghcr.io/acme/team/")


def test_it_never_repeats_credentials_written_into_the_host() -> None:
    with pytest.raises(InvalidHost) as caught:
        normalise_host("https://user:hunter2@ghcr.io/acme")
    assert "hunter2" not in str(caught.value)


@given(st.text())
def test_a_host_is_either_refused_or_stays_as_it_was_normalised(text: str) -> None:
    try:
        host = normalise_host(text)
    except InvalidHost:
        return
    assert normalise_host(host) == host


@pytest.mark.parametrize("text", ["registry.hub.docker.com", "https://Index.docker.io/", "registry-1.docker.io"])
def test_an_alias_is_called_one(text: str) -> None:
    assert is_docker_hub_alias(text)


@pytest.mark.parametrize("text", ["", "docker.io", "https://index.docker.io/v1/", "ghcr.io"])
def test_what_docker_keeps_under_the_right_key_is_no_alias(text: str) -> None:
    assert not is_docker_hub_alias(text)


REFERENCES = {
    "nginx": "docker.io/library/nginx:latest",
    "nginx:1.27": "docker.io/library/nginx:1.27",
    "acme/web": "docker.io/acme/web:latest",
    "docker.io/nginx": "docker.io/library/nginx:latest",
    "index.docker.io/acme/web": "docker.io/acme/web:latest",
    "ghcr.io/acme/web": "ghcr.io/acme/web:latest",
    "GHCR.io/acme/web:V1": "ghcr.io/acme/web:V1",
    "localhost/web": "localhost/web:latest",
    "localhost:5000/web:1": "localhost:5000/web:1",
    "[::1]:5000/acme/web:1": "[::1]:5000/acme/web:1",
    f"acme/web@{DIGEST}": f"docker.io/acme/web@{DIGEST}",
    f"ghcr.io/acme/web:1@{DIGEST}": f"ghcr.io/acme/web:1@{DIGEST}",
    "ghcr.io/a.b/c__d/e---f": "ghcr.io/a.b/c__d/e---f:latest",
    " nginx\n": "docker.io/library/nginx:latest",
}

BAD_REFERENCES = {
    "": "missing",
    "ghcr.io/": "missing after the host",
    "-v": 'begin with "-"',
    "acme/Web": '"acme/web"',
    "Acme/web": "lower case",
    "acme//web": "slashes",
    "/acme/web": "slashes",
    "acme/web/": "slashes",
    "acme/_web": "cannot be part",
    "acme/we b": "spaces",
    "acme/web:": "not a tag",
    "acme/web:-1": "not a tag",
    "acme/web:" + "1" * 129: "128",
    "acme/web@sha256:12": "digest",
    "acme/web@" + DIGEST.upper(): "digest",
    "acme/web@md5:" + "0" * 32: "digest",
    "https://ghcr.io/acme/web": "https://",
    "ghcr.io:99999/acme/web": "port",
    "0123456789abcdef" * 4: "id of an image",
    "ghcr.io/" + "a" * 250: "255",
    "a" * 2000: "1024",
}


@pytest.mark.parametrize(("text", "full"), REFERENCES.items())
def test_it_reads_a_reference_as_docker_does(text: str, full: str) -> None:
    assert str(parse(text)) == full


@pytest.mark.parametrize(("text", "reason"), BAD_REFERENCES.items())
def test_it_refuses_what_is_no_reference(text: str, reason: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        parse(text)
    assert reason in str(caught.value)


def test_a_reference_knows_its_parts() -> None:
    reference = parse(f"ghcr.io/acme/team/web:1@{DIGEST}")
    assert reference == Reference("ghcr.io", "acme/team/web", "1", DIGEST)
    assert reference.repository == "ghcr.io/acme/team/web"
    assert reference.name == "web"


COMPOSED = [
    ("", "", "nginx", "docker.io/library/nginx:latest"),
    ("", "acme", "web:1", "docker.io/acme/web:1"),
    ("ghcr.io", "", "acme/web", "ghcr.io/acme/web:latest"),
    ("ghcr.io", "acme", "web", "ghcr.io/acme/web:latest"),
    ("ghcr.io", "/acme/", "acme/web", "ghcr.io/acme/web:latest"),
    ("ghcr.io", "ghcr.io/acme", "ghcr.io/acme/web:2", "ghcr.io/acme/web:2"),
    ("ghcr.io", "acme", "ghcr.io/other/web", "ghcr.io/other/web:latest"),
    ("ghcr.io", "acme", "acmeweb", "ghcr.io/acme/acmeweb:latest"),
    ("docker.io", "grafana", "grafana", "docker.io/grafana/grafana:latest"),
    ("registry.gitlab.com", "acme/web", "acme/web", "registry.gitlab.com/acme/web:latest"),
    ("registry.hub.docker.com", "acme", "docker.io/acme/web", "docker.io/acme/web:latest"),
    ("r.example:5000", "team", f"web@{DIGEST}", f"r.example:5000/team/web@{DIGEST}"),
]


@pytest.mark.parametrize(("host", "prefix", "image", "full"), COMPOSED)
def test_it_joins_host_prefix_and_image_without_doubling(host: str, prefix: str, image: str, full: str) -> None:
    assert str(compose(host=host, image_prefix=prefix, image=image)) == full


def test_an_image_of_another_host_is_refused_and_both_are_named() -> None:
    with pytest.raises(InvalidReference, match=r"is on quay\.io, but .* is ghcr\.io"):
        compose(host="ghcr.io", image_prefix="acme", image="quay.io/acme/web")


PREFIXES = {
    "": "",
    " / ": "",
    "acme": "acme",
    "/acme/team/": "acme/team",
    "ghcr.io": "",
    "ghcr.io/acme": "acme",
    "https://GHCR.io/acme/": "acme",
    "my.group/team": "my.group/team",
}


@pytest.mark.parametrize(("text", "prefix"), PREFIXES.items())
def test_it_normalises_an_image_prefix(text: str, prefix: str) -> None:
    assert normalise_image_prefix(text, host="ghcr.io") == prefix


@pytest.mark.parametrize(
    ("text", "reason"),
    {
        "Acme": '"acme"',
        "acme:1": "no port, tag",
        "quay.io:8443/acme": "no other host than ghcr.io",
        "acme//team": "slashes",
        "acme team": "cannot be part",
        "-acme": "cannot be part",
        "a" * 250: "too long",
    }.items(),
)
def test_it_refuses_what_is_no_image_prefix(text: str, reason: str) -> None:
    with pytest.raises(InvalidImagePrefix) as caught:
        normalise_image_prefix(text, host="ghcr.io")
    assert reason in str(caught.value)


HOST = st.sampled_from([DOCKER_HUB, "ghcr.io", "localhost:5000", "[::1]:5000", "r.example"])
COMPONENT = st.from_regex(r"[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}", fullmatch=True)
PATH = st.lists(COMPONENT, min_size=2, max_size=4).map("/".join)
TAG = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)


@given(HOST, PATH, TAG, st.sampled_from([None, DIGEST]))
def test_a_reference_survives_being_written_and_read(host: str, path: str, tag: str, digest: str | None) -> None:
    reference = Reference(host, path, tag, digest)
    assert parse(str(reference)) == reference


@given(HOST, PATH, st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True), TAG)
def test_what_was_composed_is_read_back_and_composes_to_itself(host: str, prefix: str, name: str, tag: str) -> None:
    composed = compose(host=host, image_prefix=prefix, image=f"{name}:{tag}")
    assert parse(str(composed)) == composed
    assert compose(host=host, image_prefix=prefix, image=str(composed)) == composed
