"""RSA keys that no software makes, to keep busy whoever checks them."""

import base64

# To find out that this is a prime takes OpenSSL half a minute.
_LONG_PRIME = 2**9689 - 1
ENDLESS_PARTS = ({"p": _LONG_PRIME}, {"q": _LONG_PRIME}, {"d": 3**9000}, {"e": 3**9000})


def unchecked_rsa(*, n: int = 2**4095 + 1, e: int = 65537, d: int = 3, p: int = 3, q: int = 5) -> str:
    """The text of a key with these numbers, whatever they are (PKCS#1)."""
    body = b"".join(_field(2, number.to_bytes(number.bit_length() // 8 + 1)) for number in (0, n, e, d, p, q, 1, 1, 1))
    lines = base64.encodebytes(_field(0x30, body)).decode()
    return f"-----BEGIN RSA PRIVATE KEY-----\n{lines}-----END RSA PRIVATE KEY-----\n"


def _field(tag: int, content: bytes) -> bytes:
    """As DER writes it."""
    size = len(content)
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, size] if size < 0x80 else [tag, 0x80 | len(length), *length]) + content
