"""Ports and addresses of this machine that the lab may use."""

import ipaddress
import random
import socket
import subprocess
import threading

import psutil

# Below the range from which the kernel serves outgoing connections: a port stays free while its owner restarts.
CANDIDATES = range(20_000, 32_000)
SPARE_ADDRESS = "198.18.0.1"  # from the block set aside for benchmarks, so nobody's real host

_dice = random.SystemRandom()  # the tests reseed the common generator, and parallel runs would pick alike
_given: set[int] = set()
_lock = threading.Lock()


def free_port(address: str = "127.0.0.1") -> int:
    with _lock:
        while (port := _dice.choice(CANDIDATES)) in _given or not _can_bind(address, port):
            pass
        _given.add(port)
        return port


def _can_bind(address: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True


def accepts_connections(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


def address_off_loopback() -> str:
    """An address of this machine outside 127.0.0.0/8, where Docker does without TLS and checks no certificate."""
    return _own_address() or _spare_address()


def _own_address() -> str | None:
    interfaces = psutil.net_if_addrs().values()
    found = [item.address for items in interfaces for item in items if item.family == socket.AF_INET]
    return next((address for address in found if not ipaddress.ip_address(address).is_loopback), None)


def _spare_address() -> str:
    command = ["ip", "address", "replace", f"{SPARE_ADDRESS}/32", "dev", "lo"]
    subprocess.run(command, check=True, capture_output=True)
    return SPARE_ADDRESS
