"""Addresses are judged by what they resolve to."""

import ipaddress

import pytest

from dokreg.addresses import (
    AddressForbidden,
    NameNotFound,
    is_loopback_name,
    normalise_host_name,
    parse_networks,
    resolve,
)


def reach(host: str, *, loopback: bool = False, only: str = "") -> list[str]:
    networks = parse_networks(only)
    return [str(e.address[0]) for e in resolve(host, 22, deadline=2, allow_loopback=loopback, only=networks)]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "0x7f000001",
        "2130706433",
        "127.1",
        "0177.0.0.1",
        "localhost",
        "::1",
        "::ffff:127.0.0.1",
        "①②⑦.⓪.⓪.①",
    ],
)
def test_loopback_is_recognised_however_it_is_written(host: str) -> None:
    with pytest.raises(AddressForbidden):
        reach(host)


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "0.0.0.0", "224.0.0.1", "255.255.255.255",
     "fe80::1", "fd00:ec2::254", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "::ffff:169.254.169.254", "::127.0.0.1"],
)  # fmt: skip
def test_metadata_and_reserved_addresses_are_never_reached(host: str) -> None:
    with pytest.raises(AddressForbidden):
        reach(host, loopback=True)


@pytest.mark.parametrize("host", ["10.1.2.3", "192.168.0.7", "172.16.5.5", "fd12::5", "93.184.216.34"])
def test_servers_live_in_private_and_public_networks(host: str) -> None:
    assert reach(host) == [str(ipaddress.ip_address(host))]


def test_loopback_is_reached_where_it_is_allowed() -> None:
    assert reach("127.0.0.1", loopback=True) == ["127.0.0.1"]


def test_allowed_networks_shut_out_the_rest() -> None:
    assert reach("10.1.2.3", only="10.0.0.0/8") == ["10.1.2.3"]
    with pytest.raises(AddressForbidden):
        reach("192.168.0.7", only="10.0.0.0/8")


def test_a_name_that_does_not_resolve_is_said_to_be_so() -> None:
    with pytest.raises(NameNotFound):
        reach("no-such-host.invalid")


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" Web-1.Example.COM. ", "web-1.example.com"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_a_host_name_has_one_spelling(typed: str, kept: str) -> None:
    assert normalise_host_name(typed) == kept


@pytest.mark.parametrize(
    "typed", ["", "user@host", "host:22", "a b", "-x", "a..b", "ssh://h", "x" * 64, "h\n"[:1] + "\0"]
)
def test_what_is_no_host_name(typed: str) -> None:
    with pytest.raises(ValueError, match="host name"):
        normalise_host_name(typed)


def test_listen_addresses_of_this_machine_alone() -> None:
    assert [is_loopback_name(host) for host in ("localhost", "127.0.0.1", "[::1]", "0.0.0.0", "x.example")] == [
        True, True, True, False, False,
    ]  # fmt: skip
