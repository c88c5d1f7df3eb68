"""What Docker says when a login or a pull fails, what it means, and what to tell the person.

Docker has no error codes, so its texts are matched, in the order of the tables below: what is more telling
stands first. The same texts come from the daemon (after "Error response from daemon:") and, for a login
without a daemon, from the CLI itself. They were observed with Docker 20.10 and 28; the others are from the
providers' documentation and from users' reports.
"""

import re
from collections.abc import Iterator, Mapping

from registries.kinds.base import Kind
from servers.verdicts import TIME_IS_UP, Verdict, of_docker, recognise, row, said

# The folder for the login could not be made: the status that dokreg's own script ends with.
NO_FOLDER_STATUS = 97

_ANSI_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_CONTROL_CHARACTER = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_NOISE = re.compile(
    r"^(?:"
    r"WARNING! (?:Your password will be|Your credentials are) stored unencrypted.*"
    r"|Configure a credential helper to remove this warning.*"
    r"|https://docs\.docker\.com/\S*(?:credential-store|credentials-store)\S*"
    r"|WARNING! Using (?:-*p\w*|--password) .*is insecure.*"
    r"|Authenticating with existing credentials.*"
    r"|i Info → .*|\s*To create a PAT, visit .*"
    r")$",
    re.IGNORECASE,
)
_LOGIN_DID_NOT_SUCCEED = re.compile(r"^Login did not succeed, error:\s*", re.IGNORECASE)
# A longer line is not one of Docker's, and would let a hostile server keep the patterns busy.
_LINE_LIMIT = 4096
# For a registry on loopback or in insecure-registries Docker tries https, then http, and logs the first.
_FIRST_ATTEMPT = re.compile(r'msg="Error logging in to endpoint, trying next endpoint".* error="(?P<error>.*)"')


_INPUT_ROWS = (
    row(
        "password_empty",
        r"^(?!.*status: 4\d\d)(?!.*unauthorized).*"
        r"(?:cannot perform an interactive login from a non[- ]tty device|password is empty|password required)",
        cause="Docker got an empty password.",
        fix="Enter the {secret} again. Docker cuts white space off its ends, so it must not be that alone.",
        permanent=True,
        subject="credentials",
    ),
    row(
        "username_empty",
        r"must provide --username|username is empty|username required|requires --username to be set",
        cause="Docker got an empty username.",
        fix="Enter the username. {kind.username_help}",
        permanent=True,
        subject="credentials",
    ),
)

# The login was right; only keeping it failed.
_SAVING_ROWS = (
    row(
        "login_not_saved_helper",
        r"error saving credentials.*docker-credential-(?P<helper>[\w.-]+)",
        cause=("The login was right, but {server} could not keep it: the credential helper {helper} does not work."),
        fix=("Install docker-credential-{helper} there, or take credsStore out of ~/.docker/config.json of {user}."),
        permanent=True,
        subject="server",
    ),
    row(
        "login_not_saved_disk",
        r"error saving credentials.*(?:no space left|disk quota exceeded)",
        cause="The login was right, but {server} could not keep it: its disk is full.",
        fix="Make room in the home folder of {user} there.",
        permanent=False,
        subject="server",
    ),
    row(
        "login_not_saved_folder",
        r"error saving credentials.*(?:read-only file system|permission denied|not a directory|no such file)",
        cause="The login was right, but {server} could not keep it: Docker's folder cannot be written to.",
        fix="Check HOME and DOCKER_CONFIG of {user} there, and that ~/.docker belongs to {user}.",
        permanent=True,
        subject="server",
    ),
    row(
        "login_not_saved",
        r"error saving credentials:? ?(?P<detail>.*)",
        cause="The login was right, but {server} could not keep it: {detail}",
        fix=("Look at ~/.docker/config.json of {user} there: credsStore, HOME, the disk, the folder's permissions."),
        permanent=True,
        subject="server",
    ),
)

_LIMIT_ROWS = (
    row(
        "locked_out",
        r"too many failed login attempts|too many failed|account (?:is |has been )?(?:temporarily )?locked"
        r"|ip (?:address )?(?:is |has been )?(?:temporarily )?(?:blocked|banned)",
        cause="{host} turns logins away after too many failed ones.",
        fix=(
            "Stop retrying: each attempt prolongs it. Wait as long as {kind.name} asks, correct the user "
            "name and the {secret} meanwhile, then test once."
        ),
        permanent=True,
        subject="credentials",
    ),
    row(
        "pull_limit",
        r"pull rate limit|toomanyrequests.*rate ?limit|reached your .{0,100}limit",
        cause="The quota of pulls at {host} is used up for this account or address.",
        fix=(
            "Wait until it resets, or use an account with a larger one. Without a login all servers behind "
            "the same address share one quota."
        ),
        permanent=False,
        subject="registry",
    ),
    row(
        "too_many_requests",
        r"toomanyrequests|too many requests|http 429|rate exceeded",
        cause="{host} answers that there are too many requests.",
        fix="Wait some minutes before the next attempt. If logins failed before, correct them first.",
        permanent=False,
        subject="registry",
    ),
)

_CERTIFICATE_ROWS = (
    row(
        "certificate_expired",
        r"certificate has expired or is not yet valid: current time (?P<now>\S+) is after (?P<end>\S+)",
        cause="The certificate of {host} ended at {end}; for {server} it is {now}.",
        fix=("Renew the registry's certificate. If that time is not right, set the clock of {server} (timedatectl)."),
        permanent=True,
        subject="registry",
    ),
    row(
        "certificate_not_yet_valid",
        r"certificate has expired or is not yet valid: current time (?P<now>\S+) is before (?P<begin>\S+)",
        cause="For {server} it is {now}, and the certificate of {host} holds only from {begin}.",
        fix="Set the clock of {server} (timedatectl). If it is right, wait until the certificate holds.",
        permanent=True,
        subject="server",
    ),
    row(
        "certificate_expired",
        r"certificate has expired or is not yet valid",
        cause="The certificate of {host} has expired, or the clock of {server} is wrong.",
        fix="Renew the registry's certificate, and compare the clock of {server} (timedatectl).",
        permanent=True,
        subject="registry",
    ),
    row(
        "certificate_wrong_name",
        r"certificate is valid for (?P<names>[^\r\n]{1,500}?), not ",
        cause="The certificate that {host} shows is made out to another name: {names}.",
        fix=("Use a name that is in the certificate as the registry's address, or have it made out to {host} too."),
        permanent=True,
        subject="registry",
    ),
    row(
        "certificate_wrong_name",
        r"certificate is not valid for any names|doesn't contain any ip sans|relies on legacy common name",
        cause=("The certificate that {host} shows does not have this name among its subject alternative names."),
        fix="Have it made out to {host} in the field subjectAltName; the common name alone no longer counts.",
        permanent=True,
        subject="registry",
    ),
    row(
        "certificate_unknown_authority",
        r"certificate signed by unknown authority|self[- ]signed certificate|certificate is not trusted",
        cause="Docker on {server} does not know the authority that signed the certificate of {host}.",
        fix=(
            "Put that authority's certificate into /etc/docker/certs.d/{host}/ca.crt on {server}; Docker "
            "need not be restarted."
        ),
        permanent=True,
        subject="server",
    ),
    row(
        "certificate_refused",
        r"x509: (?P<detail>[^\r\n]*)",
        cause="Docker on {server} does not accept the certificate of {host}: {detail}",
        fix="Check the registry's certificate and its chain, for example with openssl s_client -connect.",
        permanent=True,
        subject="registry",
    ),
    row(
        "tls_failed",
        r"remote error: tls: (?P<detail>[^\r\n]*)",
        cause="{host} broke off the TLS handshake: {detail}.",
        fix=(
            "Check the registry's TLS versions, and whether it asks for a client certificate "
            "(/etc/docker/certs.d/{host}/ on {server})."
        ),
        permanent=True,
        subject="registry",
    ),
    row(
        "plain_http",
        r"server gave http response to https client|first record does not look like a tls handshake",
        cause="{host} speaks plain HTTP, and Docker wants HTTPS.",
        fix=(
            "Give the registry a certificate, or check the port. In a network that you trust, add {host} "
            "to insecure-registries in /etc/docker/daemon.json on {server} and restart Docker."
        ),
        permanent=True,
        subject="registry",
    ),
    row(
        "tls_wanted",
        r"http request was sent to https port|client sent an http request to an https server"
        r'|malformed http response "\\x15',
        cause="{host} speaks HTTPS, and Docker on {server} came with plain HTTP.",
        fix=("Take {host} out of insecure-registries in /etc/docker/daemon.json on {server}, and restart Docker."),
        permanent=True,
        subject="server",
    ),
)

_NETWORK_ROWS = (
    row(
        "proxy_failed",
        r"proxyconnect|proxy authentication required",
        cause="Docker on {server} goes through a proxy, and the proxy does not let it reach {host}.",
        fix=(
            "Check HTTPS_PROXY and NO_PROXY of the Docker service there (systemctl show "
            "--property=Environment docker), and the proxy itself."
        ),
        permanent=False,
        subject="server",
    ),
    row(
        "host_not_found",
        r"no such host|temporary failure in name resolution|server misbehaving|no address associated",
        cause="{server} did not find {host} in its DNS.",
        fix=("Check the address for typing errors. If the name is a private one, check the DNS that {server} uses."),
        permanent=False,
        subject="server",
    ),
    row(
        "connection_refused",
        r"connection refused",
        cause="Nothing listens at {host}, as seen from {server}.",
        fix="Check the port, and that the registry is running.",
        permanent=False,
        subject="registry",
    ),
    row(
        "no_route",
        r"no route to host|network is unreachable|host is down",
        cause="There is no way through the network from {server} to {host}.",
        fix="Check routing, firewall and outgoing connections (egress) of {server}, and its IPv6.",
        permanent=False,
        subject="server",
    ),
    row(
        "registry_timeout",
        r"i/o timeout|context deadline exceeded|client\.timeout|handshake timeout"
        r"|request canceled while waiting|connection timed out|operation timed out",
        cause="{host} did not answer {server} in time.",
        fix=(
            "Check the firewall between them and whether {server} may open outgoing connections (egress); "
            "then the port and the load of the registry."
        ),
        permanent=False,
        subject="registry",
    ),
)

_TOKEN_ROWS = (
    row(
        "token_expired",
        r"authorization token has expired|token (?:is|has) expired|expired ?token|token_expired|jwt.*expired",
        cause="The {secret} for {host} has ended. {kind.secret_life}",
        fix="Refresh it now, or make a new one. {credentials_help}",
        permanent=True,
        subject="credentials",
    ),
)

_WRONG_CREDENTIALS = (
    r"incorrect username or password|invalid username/?(?: or )?password|http basic: access denied"
    r"|bad (?:username|credentials)|failed authentication|unauthenticated request|unauthorized: invalid"
)
_DENIED = (
    r"\bdenied\b|403 forbidden|http 403|access forbidden|unauthorized to access repository"
    r"|access to the (?:requested )?resource is not authorized|insufficient[_ ]scope"
)
_UNAUTHORIZED = r"unauthorized|authentication required|http 401"

_REFUSED = (
    "{host} refused this username with this {secret}: one of them is wrong, or the {secret} has ended or was revoked."
)
_LOGIN_ANSWER_ROWS = (
    row(
        "unauthorized",
        _WRONG_CREDENTIALS,
        cause=_REFUSED,
        fix="{credentials_help}",
        permanent=True,
        subject="credentials",
    ),
    row(
        "denied",
        _DENIED,
        cause=("{host} knows this account but does not let it in: a right is missing, or the {secret} has ended."),
        fix="{kind.scope_help}",
        permanent=True,
        subject="credentials",
    ),
    row(
        "unauthorized",
        _UNAUTHORIZED,
        cause=_REFUSED,
        fix="{credentials_help}",
        permanent=True,
        subject="credentials",
    ),
)

_IMAGE_ROWS = (
    row(
        "policy_denied",
        r"is not authorized to perform: (?P<action>[\w:.-]+)",
        cause="The account may not do {action}, which pulling {reference} needs.",
        fix="{kind.scope_help}",
        permanent=True,
        subject="credentials",
    ),
    row(
        "pull_denied",
        r"pull access denied|may require '?docker login'?|requires 'docker login'",
        cause=("{host} did not give {reference} to this account: it has no right to it, or there is no such image."),
        fix="Check the image's name and prefix first. {kind.scope_help}",
        permanent=True,
        subject="credentials",
    ),
    row(
        "no_credentials",
        r"no basic auth credentials",
        cause="Docker on {server} had no credentials for the host of {reference}.",
        fix=(
            "Check that the image's host is exactly {host}: Docker keeps a login under the very name it "
            "was made with, alias and port included."
        ),
        permanent=True,
        subject="credentials",
    ),
    row(
        "platform_missing",
        r"no matching manifest for (?P<platform>[\w/.-]+)",
        cause="The image {reference} is not built for {platform}, which {server} is.",
        fix="Build and push it for that platform too, or deploy it on another server.",
        permanent=True,
        subject="image",
    ),
    row(
        "repository_not_found",
        r"name[_ ]unknown|repository name not known|repository .{1,300} not found|repositorynotfound"
        r"|repository does not exist|project .{1,200} not found",
        cause="The registry has no repository for {reference}.",
        fix="Check the image's name and the image prefix. {kind.image_prefix_help}",
        permanent=True,
        subject="image",
    ),
    row(
        "tag_not_found",
        r"manifest[_ ]unknown|manifest for .{1,400} not found|manifest .{1,200} is not found"
        r"|failed to resolve reference .{1,400}: not found|no such manifest",
        cause="The login is fine, but the registry has no image {reference}.",
        fix="Check the tag, and that the image was pushed.",
        permanent=True,
        subject="image",
    ),
    row(
        "reference_invalid",
        r"invalid reference format|invalid repository name",
        cause="Docker does not take {reference} for the name of an image.",
        fix="Check the image's name and prefix: lower case, no spaces, one colon before the tag.",
        permanent=True,
        subject="image",
    ),
)
_PULL_ANSWER_ROWS = (
    row(
        "unauthorized",
        _WRONG_CREDENTIALS,
        cause="{host} refused this username with this {secret} when {reference} was asked for.",
        fix="{credentials_help}",
        permanent=True,
        subject="credentials",
    ),
    row(
        "denied",
        _DENIED,
        cause="{host} knows this account but does not let it pull {reference}.",
        fix="{kind.scope_help}",
        permanent=True,
        subject="credentials",
    ),
    row(
        "unauthorized",
        _UNAUTHORIZED,
        cause="{host} does not let this account pull {reference}, or the {secret} has ended.",
        fix="{kind.scope_help} {credentials_help}",
        permanent=True,
        subject="credentials",
    ),
)

_ANSWER_ROWS = (
    row(
        "registry_failing",
        r"status(?: code)?:? 5\d\d|http 5\d\d|unexpected status .{1,300}: 5\d\d"
        r"|5\d\d (?:internal server error|bad gateway|service unavailable|gateway time-?out)",
        cause="{host} answers with an error of its own; it, or a proxy before it, is in trouble.",
        fix="Try again later. If it is your own registry, look into its log.",
        permanent=False,
        subject="registry",
    ),
    row(
        "not_a_registry",
        r"404 not found|http 404|405 method not allowed|invalid character '<'|error unmarshalling content"
        r"|status(?: code)?:? 404",
        cause="What answers at {host} is not a container registry.",
        fix=(
            "Check the port: the web pages often have another one than Docker. A path belongs into the "
            "image prefix. {kind.host_help}"
        ),
        permanent=True,
        subject="registry",
    ),
    row(
        "bad_request",
        r"400 bad request|http 400",
        cause=("{host} did not understand the request. Some registries answer so to a {secret} that they cannot read."),
        fix="Check the host and the port, then the {secret}. {credentials_help}",
        permanent=True,
        subject="credentials",
    ),
    row(
        "connection_broken",
        r"connection reset by peer|broken pipe|unexpected eof|\beof\b|connection closed",
        cause="The connection from {server} to {host} broke off in the middle.",
        fix=(
            "Try again. If it happens again, check the port, and what stands between: firewall, proxy, load balancer."
        ),
        permanent=False,
        subject="registry",
    ),
)

_SHARED_ROWS = (*_LIMIT_ROWS, *_CERTIFICATE_ROWS, *_NETWORK_ROWS, *_TOKEN_ROWS)
_LOGIN_ROWS = (*_SHARED_ROWS, *_LOGIN_ANSWER_ROWS, *_ANSWER_ROWS)
_PULL_ROWS = (*_SHARED_ROWS, *_IMAGE_ROWS, *_PULL_ANSWER_ROWS, *_ANSWER_ROWS)


def of_login(output: str, *, status: int, kind: Kind, host: str, server: str, user: str) -> Verdict:
    """Why `docker login` failed; `output` is what it printed, scrubbed, and `status` its exit status.

    `server` is how people call the host it ran on, `user` whom it ran as there.
    """
    text = clean_output(output)
    facts = _facts(kind=kind, host=host, server=server, user=user)
    if status == NO_FOLDER_STATUS:
        return _no_folder(text, status, server=server)
    return (
        recognise((*_INPUT_ROWS, *_SAVING_ROWS), text, facts)
        or of_docker(text, status, server=server, user=user)
        or recognise(_LOGIN_ROWS, text, facts)
        or (_login_timed_out(host=host, server=server) if status in TIME_IS_UP else None)
        or Verdict(
            "login_failed",
            (f"The login at {host} failed on {server}, for a reason that dokreg does not know. {said(text, status)}"),
            f"Read Docker's own words. {kind.credentials_help}",
            permanent=False,
            subject="registry",
        )
    )


def of_pull(output: str, *, kind: Kind, host: str, reference: str, server: str, user: str) -> Verdict:
    """Why an image could not be pulled, or its manifest not be fetched; `output` is as for `of_login`."""
    text = clean_output(output)
    facts = _facts(kind=kind, host=host, server=server, user=user, reference=reference)
    return (
        of_docker(text, 1, server=server, user=user)
        or recognise(_PULL_ROWS, text, facts)
        or Verdict(
            "pull_failed",
            (f"{reference} could not be pulled on {server}, for a reason that dokreg does not know. {said(text, 1)}"),
            "Read Docker's own words, and try docker pull there.",
            permanent=False,
            subject="registry",
        )
    )


def accepts_any_password(*, host: str) -> Verdict:
    """A warning: a login with a made-up name and password succeeded as well, so this one proves nothing."""
    return Verdict(
        "accepts_any_password",
        f"{host} also accepts a username and password that nobody has, so this login proves nothing.",
        (
            "Check that this is the registry's own port and not that of a web page. If the registry is "
            "open to everybody, it needs no credentials. Test with an image to be sure."
        ),
        permanent=True,
        subject="registry",
    )


def registry_gone(*, registry: str) -> Verdict:
    """The registry was deleted while a token was to be had for it."""
    return Verdict(
        "registry_gone",
        f"The registry {registry} was deleted in the meantime.",
        "Nothing has to be done.",
        permanent=True,
        subject="dokreg",
    )


def not_tested(*, servers: str) -> Verdict:
    """New credentials were not tried on every server that uses the registry."""
    return Verdict(
        "not_tested",
        f"The new credentials were not tested on {servers}, where the registry is used.",
        "Switch all the same, or enter the new credentials once more.",
        permanent=True,
        subject="dokreg",
    )


def name_taken(*, name: str) -> Verdict:
    """A registry was to be renamed with its new credentials, and another one has got the name meanwhile."""
    return Verdict(
        "name_taken",
        f"Another registry is called “{name}” by now.",
        "Choose another name, and enter the new credentials once more.",
        permanent=True,
        subject="dokreg",
    )


def test_server_gone() -> Verdict:
    """A registry was to be tested on another server, which was deleted meanwhile."""
    return Verdict(
        "test_server_gone",
        "The server on which it was to be tested from now on was deleted meanwhile.",
        "Choose another one, and enter the new credentials once more.",
        permanent=True,
        subject="dokreg",
    )


def clean_output(text: str) -> str:
    """Docker's output without what is always there and says nothing about a failure.

    Gone are the warning that credentials are stored unencrypted, with its hints, the words before the error
    of a login that did not succeed, colours, and the log of a first attempt over https that was followed by
    one over http; but if that first attempt failed over the certificate, its error stays: it is the reason.
    """
    plain = _ANSI_SEQUENCE.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return "\n".join(_telling_lines(_CONTROL_CHARACTER.sub("", plain)))


def _telling_lines(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        if len(line) > _LINE_LIMIT:
            yield line
            continue
        kept = _LOGIN_DID_NOT_SUCCEED.sub("", line.rstrip())
        if attempt := _FIRST_ATTEMPT.search(kept):
            error = attempt["error"].replace('\\"', '"')
            kept = error if "x509:" in error else ""
        if kept.strip() and not _NOISE.match(kept.strip()):
            yield kept


def _no_folder(text: str, status: int, *, server: str) -> Verdict:
    return Verdict(
        "no_folder",
        f"On {server} no folder could be made for the login. {said(text, status)}",
        "Check that /tmp there can be written to and has room.",
        permanent=False,
        subject="server",
    )


def _login_timed_out(*, host: str, server: str) -> Verdict:
    return Verdict(
        "login_timed_out",
        f"docker login on {server} was stopped because {host} did not answer in time.",
        f"Check that {server} may open connections to {host}, and the load of the registry.",
        permanent=False,
        subject="registry",
    )


def _facts(*, kind: Kind, host: str, server: str, user: str, reference: str = "") -> Mapping[str, object]:
    url = kind.secret_url(host)
    return {
        "kind": kind,
        "host": host,
        "server": server,
        "user": user,
        "reference": reference,
        "secret": _in_sentence(kind.secret_name),
        "credentials_help": f"{kind.credentials_help} You make it at {url}" if url else kind.credentials_help,
    }


def _in_sentence(name: str) -> str:
    """A name as it stands inside a sentence: "Access token" becomes "access token", "API key" stays."""
    return name if name[:2].isupper() else name[:1].lower() + name[1:]
