"""What people paste as a private key, and what they are told."""

import subprocess
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import PrivateFormat

from servers import keys
from servers.keys import BadKey
from tests.patience import SOON
from tests.servers.crafted import ENDLESS_PARTS, unchecked_rsa

FORMATS = (PrivateFormat.OpenSSH, PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8)
FORMAT_NAMES = ("OpenSSH", "PKCS1", "PKCS8")
GENERATED = keys.generate()
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def text_of(key: object, form: PrivateFormat = PrivateFormat.PKCS8, passphrase: bytes = b"") -> str:
    lock: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        lock = serialization.BestAvailableEncryption(passphrase)
    text: bytes = key.private_bytes(serialization.Encoding.PEM, form, lock)  # type: ignore[attr-defined]
    return text.decode()


@pytest.mark.parametrize(
    "pasted",
    [
        GENERATED.private,
        GENERATED.private.replace("\n", "\r\n"),
        GENERATED.private.replace("\n", "\r"),
        GENERATED.private.strip(),
        "\n\n  " + GENERATED.private,
        "\n".join(f"    {line}" for line in GENERATED.private.splitlines()),
        "\ufeff" + GENERATED.private,
    ],
    ids=["as it is", "Windows lines", "old Mac lines", "no last line end", "blank lines before", "indented", "BOM"],
)
def test_how_it_was_copied_does_not_matter(pasted: str) -> None:
    assert keys.read_private_key(pasted).public == GENERATED.public


@pytest.mark.parametrize("form", FORMATS, ids=FORMAT_NAMES)
def test_rsa_comes_in_three_formats_and_leaves_in_openssh(form: PrivateFormat) -> None:
    pair = keys.read_private_key(text_of(RSA, form))
    assert pair.private.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert pair.public.startswith("ssh-rsa ")


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_the_curves_of_openssh_are_taken(curve: ec.EllipticCurve) -> None:
    pair = keys.read_private_key(text_of(ec.generate_private_key(curve)))
    assert pair.public.startswith("ecdsa-sha2-nistp")


def test_a_pkcs8_ed25519_key_is_taken() -> None:
    assert keys.read_private_key(text_of(ed25519.Ed25519PrivateKey.generate())).public.startswith("ssh-ed25519 ")


@pytest.mark.parametrize("form", FORMATS, ids=FORMAT_NAMES)
def test_a_key_with_a_passphrase_is_refused_unopened(form: PrivateFormat) -> None:
    with pytest.raises(BadKey, match="has a passphrase"):
        keys.read_private_key(text_of(RSA, form, b"let me in"))


@pytest.mark.parametrize(
    "key",
    [
        dsa.generate_private_key(2048),
        ed448.Ed448PrivateKey.generate(),
        ec.generate_private_key(ec.SECP256K1()),
    ],
    ids=["DSA", "Ed448", "secp256k1"],
)
def test_a_type_that_openssh_does_not_take_is_refused(key: object) -> None:
    with pytest.raises(BadKey, match="Ed25519 key instead"):
        keys.read_private_key(text_of(key))


def test_a_short_rsa_key_is_refused() -> None:
    with pytest.raises(BadKey, match="1024 bits"):
        keys.read_private_key(text_of(rsa.generate_private_key(65537, 1024)))


def test_an_endless_rsa_key_is_refused_before_its_primes_are_checked() -> None:
    with pytest.raises(BadKey, match="8193 bits"):
        keys.read_private_key(unchecked_rsa(p=3, q=2**8191 + 1, n=3 * (2**8191 + 1)))


@pytest.mark.parametrize("parts", ENDLESS_PARTS)
def test_an_rsa_key_with_endless_parts_is_refused_before_they_are_checked(parts: dict[str, int]) -> None:
    since = time.monotonic()
    with pytest.raises(BadKey, match="damaged"):
        keys.read_private_key(unchecked_rsa(**parts))
    assert time.monotonic() - since < SOON


@pytest.mark.parametrize(
    ("pasted", "told"),
    [
        ("", "Paste the private key"),
        (" \r\n\t ", "Paste the private key"),
        (GENERATED.public, "public half"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "public half"),
        ("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA", "public half"),
        ("sk-ssh-ed25519@openssh.com AAAA", "public half"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none", "PuTTYgen"),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "no private key"),
        ("hunter2", "no private key"),
        ('{"private_key": "x"}', "no private key"),
        (GENERATED.private * 2, "one key alone"),
        (GENERATED.private[:200], "no private key|damaged or cut off"),
        (GENERATED.private.replace("\n", "\\n"), "damaged or cut off"),
        (GENERATED.private[:60] + "\ud800" + GENERATED.private[60:], "damaged or cut off"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n" + "A" * 20_000, "too long"),
    ],
)
def test_what_is_no_usable_key_is_named(pasted: str, told: str) -> None:
    with pytest.raises(BadKey, match=told):
        keys.read_private_key(pasted)


def test_the_sentence_never_quotes_what_was_pasted() -> None:
    with pytest.raises(BadKey) as refusal:
        keys.read_private_key("correct horse battery staple")
    assert "horse" not in str(refusal.value)


def test_the_private_half_is_not_in_the_representation() -> None:
    assert "PRIVATE" not in repr(GENERATED)


def test_fingerprints_are_those_of_ssh_keygen(tmp_path: Path) -> None:
    file = tmp_path / "key.pub"
    file.write_text(GENERATED.public)
    printed = subprocess.run(["ssh-keygen", "-lf", file], capture_output=True, text=True, check=True).stdout
    assert keys.fingerprint(GENERATED.public) in printed.split()


def test_openssh_reads_what_is_stored(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(GENERATED.private)
    file.chmod(0o600)
    printed = subprocess.run(["ssh-keygen", "-yf", file], capture_output=True, text=True, check=True).stdout
    assert printed.split()[:2] == GENERATED.public.split()[:2]


def test_no_line_has_no_fingerprint() -> None:
    assert keys.fingerprint("") == ""


@pytest.mark.parametrize(
    ("line", "name"),
    [("ssh-ed25519 A", "Ed25519"), ("ssh-rsa A", "RSA"), ("ecdsa-sha2-nistp256 A", "ECDSA")],
)
def test_types_have_names(line: str, name: str) -> None:
    assert keys.type_name(line) == name
