"""Settings as people write them: read, refused with a sentence, and written back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from applications.container_settings import (
    InvalidSetting,
    Port,
    Volume,
    as_command,
    as_lines,
    in_words,
    ports_of,
    read_command,
    read_environment,
    read_ports,
    read_volumes,
    stored,
    volumes_of,
)

ports = st.builds(
    Port,
    container_port=st.integers(1, 65535),
    host_port=st.integers(1, 65535),
    host_ip=st.sampled_from(["", "127.0.0.1", "2001:db8::1"]),
    protocol=st.sampled_from(["tcp", "udp", "sctp"]),
)
paths = st.from_regex(r"/[a-z0-9_-]{1,9}(/[a-z0-9_.-]{0,5}[a-z])?", fullmatch=True)
volumes = st.builds(
    Volume,
    source=paths | st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,8}", fullmatch=True),
    target=paths,
    read_only=st.booleans(),
)


@given(st.lists(ports, unique_by=lambda port: (port.host_ip, port.host_port, port.protocol), max_size=5))
def test_ports_survive_being_written_and_stored(wanted: list[Port]) -> None:
    assert read_ports(as_lines(wanted)) == wanted
    assert ports_of(stored(wanted)) == wanted


@given(st.lists(volumes, unique_by=lambda volume: volume.target, max_size=5))
def test_volumes_survive_being_written_and_stored(wanted: list[Volume]) -> None:
    assert read_volumes(as_lines(wanted)) == wanted
    assert volumes_of(stored(wanted)) == wanted


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=5))
def test_a_command_survives_being_written(words: list[str]) -> None:
    assert read_command(as_command(words)) == words


@given(st.text(max_size=60))
def test_whatever_is_typed_is_read_or_refused_in_words(text: str) -> None:
    for read in (read_ports, read_volumes, read_command, read_environment):
        try:
            read(text)
        except InvalidSetting as error:
            assert str(error).isprintable()  # noqa: PT017 - whether it raises at all depends on the text


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("8080:80", Port(80, 8080)),
        ("127.0.0.1:53:5353/udp", Port(5353, 53, "127.0.0.1", "udp")),
        ("[::1]:8080:80", Port(80, 8080, "::1")),
        ("  443:8443/TCP ", Port(8443, 443)),
    ],
)
def test_a_port_as_docker_run_takes_it(text: str, port: Port) -> None:
    assert read_ports(text) == [port]


@pytest.mark.parametrize(
    "text",
    [
        "80",
        "0:80",
        "80:65536",
        "a:80",
        "80:80/icmp",
        "--privileged",
        "-p 80:80",
        "localhost:80:80",
        "\uff11:80",
        "8080:80\n8080:81",
    ],
)
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(InvalidSetting):
        read_ports(text)


@pytest.mark.parametrize(
    ("text", "volume"),
    [
        ("data:/var/lib/data", Volume("data", "/var/lib/data")),
        ("/srv/site:/site:ro", Volume("/srv/site", "/site", read_only=True)),
        ("/etc/localtime:/etc/localtime:rw", Volume("/etc/localtime", "/etc/localtime")),
    ],
)
def test_a_volume_as_docker_run_takes_it(text: str, volume: Volume) -> None:
    assert read_volumes(text) == [volume]


@pytest.mark.parametrize(
    "text",
    [
        "data", "data:", ":/x", "--privileged:/x", "-v:/x", "data:relative", "data:/", "./here:/x", "/a/../etc:/x",
        "/a:/x/..", "/a:/x:z", "a:/x\nb:/x", "/a\x07:/x",
    ],
)  # fmt: skip
def test_what_is_no_volume(text: str) -> None:
    with pytest.raises(InvalidSetting):
        read_volumes(text)


def test_an_environment_is_read_as_an_env_file() -> None:
    text = "# mail\nMAIL=smtp://mail\nexport A='b c'\nQ=\"two\\nlines\"\n\nEMPTY=\nDOLLAR=$HOME and ${X}\n"
    assert read_environment(text) == {
        "MAIL": "smtp://mail", "A": "b c", "Q": "two\nlines", "EMPTY": "", "DOLLAR": "$HOME and ${X}",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["A=1\njust words", "NAME", "1A=x", "=x", 'A="open'])
def test_what_is_no_environment_is_refused_without_its_values(text: str) -> None:
    with pytest.raises(InvalidSetting, match=r"[Ll]ine \d"):
        read_environment(text)


def test_a_value_is_not_repeated_in_a_complaint() -> None:
    with pytest.raises(InvalidSetting) as refused:
        read_environment("A=1\ns3cret words without a name\n")
    assert "s3cret" not in str(refused.value)


def test_the_audit_trail_has_them_as_people_write_them() -> None:
    assert in_words(json.dumps(stored([Port(80, 8080), Port(53, 53, protocol="udp")]))) == "8080:80, 53:53/udp"
    assert in_words(json.dumps(stored([Volume("data", "/d", read_only=True)]))) == "data:/d:ro"
    assert in_words("not a list") == "not a list"
