"""Why a cloud gave no token, what that means, and what to tell the person.

The clouds have codes, which stand at the front of the words that the tables are matched against: for AWS
"Operation Code: message", for OAuth "error: description". They are from the clouds' documentation, from the models
that botocore ships, and from users' reports.
"""

import datetime as dt
from collections.abc import Iterable, Mapping

from servers.verdicts import Row, Verdict, recognise, row, shown

# Clouds bear five minutes or more; what is less is no reason to refuse.
_CLOCK_MATTERS = dt.timedelta(minutes=2)
_TOO_MANY_REQUESTS = 429
_FAILING = 500

# Every cloud's way to say that a signature or an assertion comes from another time.
_CLOCK_ROW = row(
    "mint_clock_off",
    r"RequestExpired|RequestTimeTooSkewed|RequestInTheFuture|Signature (?:not yet current|expired)"
    r"|short-lived token|reasonable timeframe|check your iat and exp",
    cause="{cloud} refused the request because of its time: the clock of the machine that dokreg runs on is {off}.",
    fix="Set that machine's clock and keep it right (timedatectl set-ntp true). dokreg then goes on by itself.",
    permanent=False,
    subject="dokreg",
)

_THROTTLED_ROW = row(
    "mint_throttled",
    r"Throttl|TooManyRequests|RequestLimitExceeded|SlowDown|rate.?limit.?exceeded|AADSTS(?:50196|90055)\b",
    cause="{cloud} turns requests away for a while, because there were too many.",
    fix="Nothing has to be done: dokreg tries again. If it stays so, look for what else uses these credentials.",
    permanent=False,
    subject="registry",
)
_FAILING_ROW = row(
    "mint_cloud_failed",
    r"InternalFailure|ServerException|ServiceUnavailable|server_error|temporarily_unavailable|AADSTS90033\b",
    cause="{cloud} answers with an error of its own.",
    fix="Nothing has to be done: dokreg tries again. The cloud's status page says whether it is known.",
    permanent=False,
    subject="registry",
)

_NO_ROLE = (
    "Check the role's ARN, that its trust policy names whom {credentials} belongs to and the same external id, and "
    "that sts:AssumeRole is allowed. The policies to paste are below the form."
)
AWS_ROWS = (
    row(
        "mint_role_refused",
        r"^AssumeRole AccessDenied",
        cause="AWS did not let {credentials} assume the role {role_arn}.",
        fix=_NO_ROLE,
        permanent=True,
        subject="credentials",
    ),
    row(
        "mint_not_allowed",
        r"AccessDenied.*perform: (?P<action>[\w:*-]+)",
        cause="AWS accepts the credentials, but they may not do {action}.",
        fix="Allow {action} with an IAM policy; the one to paste is below the form.",
        permanent=True,
        subject="credentials",
    ),
    row(
        "mint_not_allowed",
        r"AccessDenied|UnauthorizedOperation|NotAuthorized",
        cause="AWS accepts the credentials, but they may not ask for a token.",
        fix="Attach the IAM policy that is below the form.",
        permanent=True,
        subject="credentials",
    ),
    row(
        "mint_key_refused",
        r"UnrecognizedClient|InvalidClientTokenId|InvalidAccessKeyId|AuthFailure|MissingAuthenticationToken",
        cause="AWS does not know {credentials}, or it was made inactive or deleted.",
        fix="{credentials_help} If the region is one that an account must enable first, check that it is enabled.",
        permanent=True,
        subject="credentials",
    ),
    row(
        "mint_key_expired",
        r"ExpiredToken",
        cause="The keys that AWS gave for {credentials} have ended.",
        fix="dokreg tries again with new ones. {credentials_help}",
        permanent=False,
        subject="credentials",
    ),
    row(
        "mint_key_refused",
        r"SignatureDoesNotMatch|InvalidSignature|IncompleteSignature",
        cause="AWS knows {credentials}, but the secret does not belong to it.",
        fix="{credentials_help}",
        permanent=True,
        subject="credentials",
    ),
)

GOOGLE_ROWS = (
    row(
        "mint_key_refused",
        r"invalid_grant.*(?:not found|disabled|deleted)|(?:disabled|deleted)_client",
        cause="Google says that the service account of {credentials} was deleted or disabled.",
        fix="{credentials_help}",
        permanent=True,
        subject="credentials",
    ),
    row(
        "mint_key_refused",
        r"invalid_grant|invalid_client|unauthorized_client",
        cause="Google refused {credentials}: it was deleted or disabled in IAM, or is not the one that Google knows.",
        fix="{credentials_help}",
        permanent=True,
        subject="credentials",
    ),
    row(
        "mint_not_allowed",
        r"access_denied|insufficient.{0,20}scope|invalid_scope|org_internal|admin_policy_enforced",
        cause="Google accepts {credentials}, but gives it no token for reading images.",
        fix="Look for an organisation policy that forbids it and, if it is a machine's account, at its access scopes.",
        permanent=True,
        subject="credentials",
    ),
)

ENTRA_ROWS = (
    row(
        "mint_key_expired",
        r"AADSTS7000222\b",
        cause="The client secret of the application {client_id} has ended.",
        fix="{credentials_help}",
        permanent=True,
        subject="credentials",
    ),
    row(
        "mint_key_refused",
        r"AADSTS7000215\b",
        cause="Microsoft Entra refused the client secret of the application {client_id}.",
        fix="{credentials_help}",
        permanent=True,
        subject="credentials",
    ),
    row(
        "mint_key_refused",
        r"AADSTS(?:7000112|7000113|50057|700082)\b",
        cause="The application {client_id} is disabled in Microsoft Entra.",
        fix="Enable sign-in for it in Microsoft Entra, Enterprise applications, Properties.",
        permanent=True,
        subject="credentials",
    ),
    row(
        "mint_unknown_app",
        r"AADSTS(?:700016|7000116)\b",
        cause="There is no application {client_id} in the tenant {tenant}.",
        fix="Check both: they stand on the application's overview in Microsoft Entra, App registrations.",
        permanent=True,
        subject="credentials",
    ),
    row(
        "mint_unknown_tenant",
        r"AADSTS(?:90002|900023|900021|50059)\b",
        cause="Microsoft Entra does not know the tenant {tenant}.",
        fix="Check the directory (tenant) id, and that the registry is in the same national cloud as the tenant.",
        permanent=True,
        subject="credentials",
    ),
    row(
        "mint_not_allowed",
        r"AADSTS(?:53003|530\d\d|500011|65001|501051)\b",
        cause="Microsoft Entra does not let the application {client_id} sign in to container registries.",
        fix="Look for a conditional access policy that stands against it, under Sign-in logs of the application.",
        permanent=True,
        subject="credentials",
    ),
    row(
        "mint_key_refused",
        r"invalid_client|unauthorized_client",
        cause="Microsoft Entra refused the application {client_id} or its client secret.",
        fix="{credentials_help}",
        permanent=True,
        subject="credentials",
    ),
)

ACR_ROWS = (
    row(
        "mint_network_refused",
        r"client with IP|is not allowed access",
        cause="{host} lets in chosen networks alone, and dokreg's is not one of them.",
        fix="Allow the address of dokreg's machine under Networking of the registry.",
        permanent=True,
        subject="registry",
    ),
    row(
        "mint_not_allowed",
        r"^40[13]\b",
        cause="Microsoft Entra gave dokreg its token, but {host} did not accept it.",
        fix=(
            "Check that the registry belongs to the tenant {tenant}, and give the application the role AcrPull on it; "
            "the command is below the form."
        ),
        permanent=True,
        subject="credentials",
    ),
)


def of_refusal(
    words: str,
    rows: Iterable[Row],
    *,
    status: int,
    clock_ahead: dt.timedelta | None,
    facts: Mapping[str, object],
) -> Verdict:
    """Why the cloud refused; `clock_ahead` is how far dokreg's clock is before the cloud's, where that is known."""
    known = {**facts, "off": _clock(clock_ahead)}
    if status == _TOO_MANY_REQUESTS:
        return _THROTTLED_ROW.verdict(known)
    if status >= _FAILING:
        return _FAILING_ROW.verdict(known)
    said = shown(words)
    answer = f"It said: {said}" if said else f"It said nothing, with the status {status}."
    return recognise((_CLOCK_ROW, _THROTTLED_ROW, _FAILING_ROW, *rows), words, known) or Verdict(
        "mint_refused",
        f"{facts['cloud']} gave no token, for a reason that dokreg does not know. {answer}",
        "Read the cloud's own words, and check the credentials there.",
        permanent=False,
        subject="registry",
    )


def _clock(ahead: dt.timedelta | None) -> str:
    if ahead is None or abs(ahead) < _CLOCK_MATTERS:
        return "wrong"
    return f"{round(abs(ahead).total_seconds() / 60)} min {'fast' if ahead > dt.timedelta() else 'slow'}"


def timeout(*, cloud: str, seconds: float) -> Verdict:
    """The answer was not complete in time."""
    return Verdict(
        "mint_timeout",
        f"{cloud} did not answer within {seconds:g} s.",
        "dokreg tries again. If it stays so, check the way out of its machine (firewall, proxy).",
        permanent=False,
        subject="registry",
    )


def unreachable(*, cloud: str, detail: str) -> Verdict:
    """No connection; `detail` is the reason, such as "the connection was refused"."""
    return Verdict(
        "mint_unreachable",
        f"dokreg could not reach {cloud}: {detail}.",
        "Check that the machine that dokreg runs on may open connections to it: DNS, firewall, HTTPS_PROXY, and the "
        "DOKREG_… address if one is set.",
        permanent=False,
        subject="dokreg",
    )


def answer_unreadable(*, cloud: str, detail: str) -> Verdict:
    """What came is not what the cloud documents."""
    return Verdict(
        "mint_answer_unreadable",
        f"What came back from {cloud} is no token: {detail}.",
        "dokreg tries again. If it stays so, something answers in the cloud's place: a proxy, or a DOKREG_… address.",
        permanent=False,
        subject="registry",
    )


def expired_token(*, cloud: str, life: dt.timedelta) -> Verdict:
    """A token that is of no use, because it ends at once."""
    seconds = int(life.total_seconds())
    ends = f"ends in {seconds} s" if seconds > 0 else "has ended already"
    return Verdict(
        "mint_expired_token",
        f"{cloud} gave a token that {ends}, so it was not used.",
        "Nothing has to be done: dokreg tries again.",
        permanent=False,
        subject="registry",
    )


def no_identity(*, cloud: str) -> Verdict:
    """The machine has no rights of its own, or its metadata service did not say so."""
    return Verdict(
        "mint_no_identity",
        f"The machine that dokreg runs on has no identity at {cloud}.",
        "Attach a role or a service account to it, or use a key. In a container, check that the metadata service can "
        "be reached from it.",
        permanent=False,
        subject="dokreg",
    )


def not_available(*, reason: str) -> Verdict:
    """The method was switched off after a registry had chosen it."""
    return Verdict(
        "mint_not_available",
        "This way to get tokens is switched off in this installation.",
        reason,
        permanent=True,
        subject="dokreg",
    )


def wrong_host(*, cloud: str, host: str) -> Verdict:
    """A host that is not the cloud's; nothing was asked or sent."""
    return Verdict(
        "mint_wrong_host",
        f"“{shown(host)}” is not an address of a registry at {cloud}, so no token was asked for.",
        "Correct the registry's host.",
        permanent=True,
        subject="registry",
    )


def key_unusable(*, reason: str) -> Verdict:
    """The stored secret is not what the method needs."""
    return Verdict("mint_key_unusable", reason, "Enter the credentials again.", permanent=True, subject="credentials")
