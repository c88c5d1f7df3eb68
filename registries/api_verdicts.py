"""Why a registry's API did not give what dokreg itself asked it for.

What it answers in the way of errors is the same that Docker is told: `registries.verdicts` knows it.
"""

import ssl

from registries.kinds.base import Kind
from servers.verdicts import Verdict, shown

# The codes of a handshake that failed because the other side does not speak TLS.
NOT_TLS = frozenset({"plain_http", "tls_failed", "registry_timeout"})

_EXPIRED, _NOT_YET_VALID = 10, 9  # X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_CERT_NOT_YET_VALID
_OTHER_NAME = frozenset({62, 64})  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21})  # X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT and its kin
_PLAIN_HTTP = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "RECORD_LAYER_FAILURE"})

_TYPE_IT = "You can still type the image's name and tag by hand"


def of_handshake(error: Exception, *, address: str, place: str) -> Verdict:
    """Why there is no TLS connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_certificate(error, address=address)
    if isinstance(error, TimeoutError):
        return _silent(address=address, place=place)
    reason = (getattr(error, "reason", "") or "") if isinstance(error, ssl.SSLError) else ""
    if reason in _PLAIN_HTTP:
        return Verdict(
            "plain_http",
            f"{address} speaks plain HTTP, and dokreg sends credentials over HTTPS alone.",
            f"Give the registry a certificate, or check the port. {_TYPE_IT}.",
            permanent=True,
            subject="registry",
        )
    detail = shown(reason.replace("_", " ").lower()) or "the connection broke off"
    return Verdict(
        "tls_failed",
        f"The TLS handshake with {address} failed, from {place}: {detail}.",
        "Check the port and the registry's TLS versions, and whether it asks for a client certificate.",
        permanent=False,
        subject="registry",
    )


def _of_certificate(error: ssl.SSLCertVerificationError, *, address: str) -> Verdict:
    code = error.verify_code
    if code == _EXPIRED:
        return _certificate("certificate_expired", f"The certificate of {address} has expired.", "Renew it.")
    if code == _NOT_YET_VALID:
        cause = f"The certificate of {address} does not hold yet, by the clock of dokreg."
        return _certificate("certificate_not_yet_valid", cause, "Compare that clock (timedatectl).")
    if code in _OTHER_NAME:
        cause = f"The certificate that {address} shows is made out to another name."
        return _certificate("certificate_wrong_name", cause, "Have it made out to this name too.")
    if code in _UNKNOWN_AUTHORITY:
        return Verdict(
            "certificate_unknown_to_dokreg",
            f"dokreg does not know the authority that signed the certificate of {address}, so it asked nothing there.",
            (
                f"Docker on the server may know it all the same. {_TYPE_IT}; or have who runs dokreg add the "
                "authority to the system's certificates of its workers, or name a file with it in SSL_CERT_FILE."
            ),
            permanent=True,
            subject="dokreg",
        )
    cause = f"dokreg does not accept the certificate of {address}: {shown(error.verify_message)}."
    return _certificate("certificate_refused", cause, "Check it and its chain (openssl s_client -connect).")


def _certificate(code: str, cause: str, fix: str) -> Verdict:
    return Verdict(code, cause, f"{fix} {_TYPE_IT}.", permanent=True, subject="registry")


def _silent(*, address: str, place: str) -> Verdict:
    return Verdict(
        "registry_timeout",
        f"{address} accepts connections from {place}, but said nothing in time.",
        "Check the port, and the load of the registry.",
        permanent=False,
        subject="registry",
    )


def too_late(*, address: str, seconds: float, place: str) -> Verdict:
    """The answer was not complete before the deadline."""
    return Verdict(
        "registry_timeout",
        f"{address} did not answer in {seconds:g} seconds, as seen from {place}.",
        "Try again. If it happens again, check the load of the registry and the network between them.",
        permanent=False,
        subject="registry",
    )


def broke_off(*, address: str, place: str) -> Verdict:
    """The connection ended before the answer did."""
    return Verdict(
        "connection_broken",
        f"The connection from {place} to {address} broke off in the middle.",
        "Try again. If it happens again, check the port, and what stands between: firewall, proxy, load balancer.",
        permanent=False,
        subject="registry",
    )


def answer_too_long(*, address: str, limit: int) -> Verdict:
    """More than `limit` bytes came."""
    return Verdict(
        "answer_too_long",
        f"{address} answered with more than {limit // 1024 // 1024} MiB, which dokreg does not read.",
        f"Check that this is the registry's own port. {_TYPE_IT}.",
        permanent=True,
        subject="registry",
    )


def answer_unreadable(*, address: str, detail: str) -> Verdict:
    """The answer is not what the distribution specification, or the provider's reference, says."""
    return Verdict(
        "answer_unreadable",
        f"dokreg does not understand the answer of {address}: {detail}.",
        f"Check that this is a container registry, and its own port. {_TYPE_IT}.",
        permanent=True,
        subject="registry",
    )


def address_odd(*, place: str) -> Verdict:
    """The registry led to what is no address."""
    return Verdict(
        "answer_unreadable",
        f"The registry led {place} to an address that is none.",
        f"Look at its set-up: the realm of its tokens, and where it keeps its blobs. {_TYPE_IT}.",
        permanent=True,
        subject="registry",
    )


def not_encrypted(*, address: str) -> Verdict:
    """It would have to be spoken to in plain HTTP, off loopback."""
    return Verdict(
        "not_encrypted",
        f"The registry led to {address}, where everybody on the way can listen; nothing was sent there.",
        "Set it up to name an https address: the realm of its tokens, its own external URL, or where its blobs are.",
        permanent=True,
        subject="registry",
    )


def sent_around(*, address: str) -> Verdict:
    """It answers a request for a token with a redirect, or with one redirect after the other."""
    return Verdict(
        "sent_around",
        f"{address} sends to another address instead of answering; credentials do not go along.",
        "Write the address that it leads to as the registry's, or set up its realm to be the last one.",
        permanent=True,
        subject="registry",
    )


def listing_denied(*, kind: Kind, host: str) -> Verdict:
    """This account, or nobody in particular, may not list what there is."""
    return Verdict(
        "listing_denied",
        f"{host} does not let this account list its repositories.",
        f"{_TYPE_IT}; pulling it needs no right to list. {kind.scope_help}",
        permanent=True,
        subject="credentials",
    )


def anonymous_refused(*, host: str, what: str) -> Verdict:
    """Nobody is let in without an account."""
    return Verdict(
        "anonymous_refused",
        f"{host} does not show {what} to somebody without an account.",
        "Add the registry with an account under Settings, Registries, and choose it. If there should be no need for "
        "one, check the name.",
        permanent=True,
        subject="credentials",
    )


def no_catalogue(*, kind: Kind, host: str) -> Verdict:
    """There is no catalogue at this registry."""
    return Verdict(
        "no_catalogue",
        f"{host} has no catalogue of its repositories.",
        f"Type the repository's name; its tags may be listed all the same. {kind.no_catalogue}".strip(),
        permanent=True,
        subject="registry",
    )


def odd_answer(*, host: str, status: int) -> Verdict:
    """A status that is neither success nor an error one knows."""
    return Verdict(
        "odd_answer",
        f"{host} gave an answer that dokreg does not know (status {status}).",
        f"Check that this is a container registry. {_TYPE_IT}.",
        permanent=False,
        subject="registry",
    )
