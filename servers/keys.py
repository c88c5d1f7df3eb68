"""SSH key pairs and host keys: read from what people paste, made here, shown by their fingerprint."""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
SSH_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
MINIMUM_RSA_BITS = 2048
MAXIMUM_RSA_BITS = 4096  # checking the primes of longer ones takes seconds, at every connection
# The primes have half of the key's bits each; public exponents are 65537, or a little longer.
_SLACK_BITS = 64
MAX_KEY_TEXT = 16 * 1024


class BadKey(ValueError):
    """The pasted text is no private key that can be used; the sentence says why, and never quotes it."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key in OpenSSH's own format, without a passphrase, and its public line."""

    private: str = field(repr=False)
    public: str


def generate() -> KeyPair:
    """A new Ed25519 pair: the type that every OpenSSH since 2014 takes."""
    return _pair(ed25519.Ed25519PrivateKey.generate())


def read_private_key(text: str) -> KeyPair:
    """The pair of a pasted private key: OpenSSH, PEM (PKCS#1, SEC1) or PKCS#8; Ed25519, ECDSA or RSA.

    Raises BadKey with a sentence for people. Keys with a passphrase are refused rather than opened: their
    header names its own work factor, which a crafted key can set to hours.
    """
    text = "\n".join(line.strip() for line in text.strip().splitlines()) + "\n"
    _refuse_what_is_no_private_key(text)
    key = _load(text, check_primes=False)
    if isinstance(key, rsa.RSAPrivateKey):
        _refuse_bad_size(key.key_size)
        if not parts_fit(key):
            raise BadKey(_DAMAGED)
        key = _load(text)
    if not isinstance(key, PrivateKey) or _curve_is_unknown(key):
        raise BadKey("This type of key is not used with SSH any more. Make an Ed25519 key instead.")
    return _pair(key)


def parts_fit(key: rsa.RSAPrivateKey) -> bool:
    """Whether the parts of a key that was loaded unchecked are as long as its size lets them be.

    Not to be checked otherwise: a number of ten thousand bits in the place of a prime keeps OpenSSL busy for a minute.
    """
    parts = key.private_numbers()
    longest_prime = max(parts.p.bit_length(), parts.q.bit_length())
    longest = max(part.bit_length() for part in (parts.d, parts.dmp1, parts.dmq1, parts.iqmp))
    exponent = parts.public_numbers.e.bit_length()
    return longest_prime <= key.key_size // 2 + _SLACK_BITS and longest <= key.key_size and exponent <= _SLACK_BITS


def read_host_key(text: str) -> str:
    """A host key from an OpenSSH public-key line, or from a line of known_hosts or ssh-keyscan: `type base64`.

    Written anew from the key itself, as SSH compares it. Raises BadKey with a sentence for people; lines with a marker
    (`@revoked`, `@cert-authority`) and certificates say something else than that this key is the host's.
    """
    words = text.split()
    start = next((place for place, word in enumerate(words[:2]) if word.startswith(("ssh-", "ecdsa-"))), None)
    if start is None or words[0].startswith("@") or "-cert-" in words[start]:
        raise BadKey(_NO_HOST_KEY)
    try:
        key = serialization.load_ssh_public_key(" ".join(words[start : start + 2]).encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey(_NO_HOST_KEY) from error
    if not isinstance(key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise BadKey(_NO_HOST_KEY)
    if isinstance(key, rsa.RSAPublicKey):
        _refuse_bad_size(key.key_size)
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def fingerprint(public_key: str) -> str:
    """`SHA256:…` of an OpenSSH public line, as ssh-keygen -l prints it; "" for an empty line."""
    words = public_key.split()
    if len(words) < 2:
        return ""
    digest = hashlib.sha256(base64.b64decode(words[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def type_name(public_key: str) -> str:
    """`Ed25519`, `ECDSA` or `RSA`, of an OpenSSH public line."""
    kind = public_key.partition(" ")[0]
    return "RSA" if kind == "ssh-rsa" else "ECDSA" if kind.startswith("ecdsa-") else "Ed25519"


def _refuse_what_is_no_private_key(text: str) -> None:
    first = text.split("\n", 1)[0]
    if not text.strip():
        raise BadKey("Paste the private key, the whole file from BEGIN to END.")
    if len(text) > MAX_KEY_TEXT:
        raise BadKey("This is too long for a private key. Paste one key alone.")
    if first.startswith(("ssh-", "ecdsa-", "sk-")) or "BEGIN PUBLIC KEY" in first or "SSH2 PUBLIC KEY" in first:
        raise BadKey("This is the public half. Paste the private key: the file without .pub at its end.")
    if first.startswith("PuTTY-User-Key-File"):
        raise BadKey("This is a PuTTY key. Export it in PuTTYgen (Conversions → Export OpenSSH key), then paste that.")
    if text.count("PRIVATE KEY-----") > 2:
        raise BadKey("These are several keys. Paste one key alone.")
    if "-----BEGIN " not in first or "PRIVATE KEY-----" not in text:
        raise BadKey("This is no private key: its first line must be like -----BEGIN OPENSSH PRIVATE KEY-----.")
    if "ENCRYPTED" in text[:200]:
        raise BadKey(_NEEDS_OPENING)


_NEEDS_OPENING = (
    "This key has a passphrase. Make a copy without one (ssh-keygen -p -f COPY) and paste that, or let "
    "dokreg generate a key; dokreg keeps it encrypted."
)

_NO_HOST_KEY = (
    "This is no host key. Send one line of the server's /etc/ssh/ssh_host_ed25519_key.pub, or of what ssh-keyscan says."
)

_DAMAGED = "This key is damaged or cut off. Paste the whole file, from BEGIN to END."


def _refuse_bad_size(bits: int) -> None:
    if bits < MINIMUM_RSA_BITS:
        raise BadKey(f"This RSA key has {bits} bits; servers of today refuse fewer than {MINIMUM_RSA_BITS}.")
    if bits > MAXIMUM_RSA_BITS:
        raise BadKey(
            f"This RSA key has {bits} bits; more than {MAXIMUM_RSA_BITS} make every connection slow. "
            "Make an Ed25519 key instead."
        )


def _curve_is_unknown(key: PrivateKey) -> bool:
    return isinstance(key, ec.EllipticCurvePrivateKey) and not isinstance(key.curve, SSH_CURVES)


def _load(text: str, *, check_primes: bool = True) -> object:
    is_openssh = "BEGIN OPENSSH PRIVATE KEY" in text
    load = serialization.load_ssh_private_key if is_openssh else serialization.load_pem_private_key
    try:
        return load(text.encode(), password=None, unsafe_skip_rsa_key_validation=not check_primes)
    except TypeError as error:
        raise BadKey(_NEEDS_OPENING) from error
    except (ValueError, UnsupportedAlgorithm, binascii.Error) as error:
        if "password" in str(error).lower():
            raise BadKey(_NEEDS_OPENING) from error
        raise BadKey(_DAMAGED) from error


def _pair(key: PrivateKey) -> KeyPair:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return KeyPair(private=private.decode(), public=public.decode())
