"""Which network addresses dokreg may talk to on behalf of a person who typed a name.

Judged on what a name resolves to, never on how it is written: `0x7f000001`, `127.1` and `127。0。0。1` all
resolve to loopback. Private networks are allowed, servers live there; the metadata services of clouds never.
"""

import concurrent.futures
import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_LOOPBACK: tuple[Network, ...] = tuple(map(ipaddress.ip_network, ("127.0.0.0/8", "::1/128")))
# The standard library's is_private and is_reserved miss several of these; hence a list of our own.
_FORBIDDEN: tuple[Network, ...] = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",
            "169.254.0.0/16",  # link-local, metadata of most clouds
            "100.100.100.200/32",  # metadata of Alibaba Cloud
            "168.63.129.16/32",  # platform services of Azure
            "192.0.0.0/24",  # protocol assignments, metadata of Oracle Cloud
            "224.0.0.0/4",
            "240.0.0.0/4",
            "::/96",
            "64:ff9b::/96",  # NAT64 leads back to any IPv4 address
            "2002::/16",  # so does 6to4
            "fe80::/10",
            "fd00:ec2::254/128",  # metadata of AWS
            "ff00::/8",
        ),
    )
)
_RESOLVERS = concurrent.futures.ThreadPoolExecutor(max_workers=8, thread_name_prefix="resolve")
HOST_NAME = re.compile(
    r"^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$"
)


class NameNotFound(Exception):
    """The name does not resolve, or not in time."""


class AddressForbidden(Exception):
    """The name leads to an address that dokreg never talks to."""

    def __init__(self, address: str, *, loopback: bool) -> None:
        super().__init__(address)
        self.address = address
        self.loopback = loopback


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A checked socket address, ready for `socket.socket(family).connect(address)`."""

    family: socket.AddressFamily
    address: tuple[str, int] | tuple[str, int, int, int]


def parse_networks(text: str) -> tuple[Network, ...]:
    """Networks in CIDR form separated by commas or spaces; raises ValueError naming the bad one."""
    return tuple(ipaddress.ip_network(word) for word in re.split(r"[,\s]+", text) if word)


def is_loopback_name(host: str) -> bool:
    """Whether a listen address can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return _is_in(ipaddress.ip_address(host.strip("[]")), _LOOPBACK)
    except ValueError:
        return False


def normalise_host_name(text: str) -> str:
    """A host name or address in its one spelling: lower case, ASCII, no brackets.

    Raises ValueError with a sentence for people. User names and ports have fields of their own, because SSH
    libraries read `user@host:port` as a shorthand.
    """
    host = text.strip().strip("[]").lower().rstrip(".")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        name = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        name = ""
    if not HOST_NAME.match(name):
        raise ValueError("Enter a host name or an IP address alone, such as web-1.example.com or 10.0.0.5.")
    return name


def resolve(
    host: str, port: int, *, deadline: float, allow_loopback: bool, only: Sequence[Network] = ()
) -> list[Endpoint]:
    """The addresses of a host that dokreg may talk to, in the resolver's order.

    `deadline` is in seconds. `only`, if given, are the sole networks allowed. Raises NameNotFound, or
    AddressForbidden if the name leads to a forbidden address, even beside allowed ones.
    """
    asked = _RESOLVERS.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        answers = asked.result(timeout=deadline)
    except (OSError, UnicodeError, concurrent.futures.TimeoutError) as error:
        asked.cancel()
        raise NameNotFound(host) from error
    endpoints = []
    for family, _type, _protocol, _name, address in answers:
        refuse_forbidden(str(address[0]), allow_loopback=allow_loopback, only=only)
        endpoints.append(Endpoint(family, address))  # type: ignore[arg-type]  # SOCK_STREAM over IP has no others
    return endpoints


def refuse_forbidden(text: str, *, allow_loopback: bool, only: Sequence[Network] = ()) -> None:
    """Raise AddressForbidden for an IP address that dokreg must not talk to; ValueError if it is none."""
    address = ipaddress.ip_address(text.split("%", maxsplit=1)[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if _is_in(address, _LOOPBACK):
        if not allow_loopback:
            raise AddressForbidden(text, loopback=True)
        return
    if _is_in(address, _FORBIDDEN) or (only and not _is_in(address, only)):
        raise AddressForbidden(text, loopback=False)


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
