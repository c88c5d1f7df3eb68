"""Why there is no connection from a server, or from dokreg's own host, to somewhere else.

The codes are those by which the same is told when Docker ran into it.
"""

from servers.verdicts import Verdict, recognise, row, shown

# As systems word it, and OpenSSH hands it on.
_SYSTEM_ROWS = (
    row(
        "host_not_found",
        r"name or service not known|nodename nor servname|name resolution|no address associated|name does not resolve"
        r"|host not found|unknown host|could not resolve",
        cause="{place} did not find {host} in its DNS.",
        fix="Check the address for typing errors. If the name is a private one, check the DNS that {place} uses.",
        permanent=False,
        subject="server",
    ),
    row(
        "connection_refused",
        r"connection refused",
        cause="Nothing listens at {address}, as seen from {place}.",
        fix="Check the port, and that what should be there is running.",
        permanent=False,
        subject="registry",
    ),
    row(
        "no_route",
        r"no route to host|network is unreachable|host is down|host is unreachable",
        cause="There is no way through the network from {place} to {address}.",
        fix="Check routing, firewall and outgoing connections (egress) of {place}, and its IPv6.",
        permanent=False,
        subject="server",
    ),
)


def of_system(words: str, *, host: str, port: int, place: str) -> Verdict:
    """The verdict on a system's words about a connection that failed, such as "Connection refused"."""
    facts = {"host": host, "address": address_of(host, port), "place": place}
    return recognise(_SYSTEM_ROWS, words, facts) or Verdict(
        "not_connected",
        f"{place} could not connect to {address_of(host, port)}: {shown(words).rstrip('.') or 'it did not say why'}.",
        f"Check the address and the port, and whether {place} may open outgoing connections (egress).",
        permanent=False,
        subject="server",
    )


def not_connected_in_time(*, host: str, port: int, place: str) -> Verdict:
    """Nothing came back at all."""
    return Verdict(
        "registry_timeout",
        f"{address_of(host, port)} did not answer {place} in time.",
        f"Check the firewall between them and whether {place} may open outgoing connections (egress); then the port.",
        permanent=False,
        subject="registry",
    )


def forwarding_forbidden(*, place: str) -> Verdict:
    """sshd connects nobody through it: AllowTcpForwarding, DisableForwarding, PermitOpen, or `restrict` on the key."""
    return Verdict(
        "forwarding_forbidden",
        f"The SSH server of {place} does not let dokreg connect through it.",
        (
            "Set AllowTcpForwarding to yes or local in its sshd_config, and take no-port-forwarding, restrict and "
            "permitopen off dokreg's line in authorized_keys."
        ),
        permanent=True,
        subject="server",
    )


def address_of(host: str, port: int) -> str:
    """`host:port`, with IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
