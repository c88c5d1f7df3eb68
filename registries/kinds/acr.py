"""Azure Container Registry."""

import base64
import binascii
import json
import re
from typing import Any
from urllib.parse import quote

from django.conf import settings

from registries.kinds import cloud_verdicts
from registries.kinds.base import Kind
from registries.kinds.methods import Account, AccountField, Policy
from registries.kinds.minting import Call, CloudMethod, Refused, Token, Unreadable, life_in_seconds, text_in

NULL_GUID = "00000000-0000-0000-0000-000000000000"
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DOMAIN = re.compile(
    r"(?=.{3,253}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+", re.IGNORECASE | re.ASCII
)
# As Entra makes them: three characters, a digit and "Q~" before the rest.
_CLIENT_SECRET = re.compile(r"[\w~.-]{3}\dQ~[\w~.-]{31,34}", re.ASCII)
_HOST = re.compile(r"(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*)\.azurecr\.(?P<cloud>io|cn|us|de)")
# By "National clouds" in the documentation of the Microsoft identity platform.
_LOGIN_URLS = {"cn": "https://login.partner.microsoftonline.cn", "us": "https://login.microsoftonline.us"}
_LOGIN_URL = "https://login.microsoftonline.com"
SCOPE = "https://containerregistry.azure.net/.default"
_OK = 200


class ServicePrincipal(CloudMethod):
    """A client secret gets an access token from Microsoft Entra, and the registry trades that for a refresh token."""

    hosts = _HOST
    cloud = "Azure"
    slug = "service_principal"
    name = "Service principal"
    summary = "An application's client secret makes the tokens; the servers never see the secret itself."
    username = NULL_GUID
    rows = (*cloud_verdicts.ENTRA_ROWS, *cloud_verdicts.ACR_ROWS)
    fields = (
        AccountField(
            "tenant",
            "Directory (tenant) id",
            help_text="On the application's overview in Microsoft Entra, App registrations; its domain does as well.",
            placeholder="aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        ),
        AccountField(
            "client_id",
            "Application (client) id",
            help_text="On the same page. It is not the object id.",
            placeholder="11111111-2222-3333-4444-555555555555",
        ),
    )
    secret_name = "Client secret"
    secret_help = "The value of a client secret, not its id. Microsoft shows it once, when it is made."
    token_life = "A token lives 3 hours."
    credentials = "the application"
    credentials_help = (
        "In Microsoft Entra, App registrations, Certificates & secrets, make a new client secret and enter its value "
        "(not its id)."
    )

    def check_account(self, *, host: str, account: Account) -> dict[str, str]:
        tenant, client_id = account.get("tenant", ""), account.get("client_id", "")
        wrong = {}
        if not _GUID.fullmatch(tenant) and not _DOMAIN.fullmatch(tenant):
            wrong["tenant"] = "A tenant is an id such as aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee, or a domain."
        if not _GUID.fullmatch(client_id):
            wrong["client_id"] = "An application id looks like 11111111-2222-3333-4444-555555555555."
        return wrong

    def is_secret(self, text: str) -> bool:
        return _CLIENT_SECRET.fullmatch(text.strip()) is not None

    def check_secret(self, *, account: Account, secret: str) -> str | None:
        if _GUID.fullmatch(secret.strip()):
            return "This is the id of a client secret. Its value was shown beside it when it was made."
        if not secret.strip():
            return "The client secret is missing."
        if not secret.isascii() or not secret.strip().isprintable():
            return "A client secret has one line of letters, digits and signs. Enter it again."
        return None

    def policy(self, *, host: str, account: Account) -> Policy | None:
        match = _HOST.fullmatch(host)
        if match is None:
            return None
        client_id = account.get("client_id", "")
        text = (
            f"az role assignment create --role AcrPull \\\n"
            f"  --assignee {client_id if _GUID.fullmatch(client_id) else 'APPLICATION_ID'} \\\n"
            f'  --scope "$(az acr show --name {match["name"]} --query id --output tsv)"'
        )
        return Policy("Role for the application (Azure CLI)", text)

    def ask(self, call: Call) -> Token:
        match = _HOST.fullmatch(call.host)
        national = match["cloud"] if match else ""
        entra_token = self._sign_in(call, settings.DOKREG_AZURE_LOGIN_URL or _LOGIN_URLS.get(national, _LOGIN_URL))
        call.hidden.append(entra_token)
        return self._exchange(call, entra_token)

    def _sign_in(self, call: Call, login_url: str) -> str:
        from registries.kinds import talk

        form = {
            "grant_type": "client_credentials",
            "client_id": call.account.get("client_id", ""),
            "client_secret": call.secret,
            "scope": SCOPE,
        }
        tenant = quote(call.account.get("tenant", ""), safe="")
        answer = talk.post(f"{login_url}/{tenant}/oauth2/v2.0/token", form, deadline=call.deadline)
        if answer.status != _OK:
            problem = answer.error()
            found = [problem.get("error"), problem.get("error_description")]
            raise Refused(": ".join(text for text in found if isinstance(text, str)) or answer.text, answer)
        return text_in(answer.fields(), "access_token")

    def _exchange(self, call: Call, entra_token: str) -> Token:
        from registries.kinds import talk

        form = {
            "grant_type": "access_token",
            "service": call.host,
            "tenant": call.account.get("tenant", ""),
            "access_token": entra_token,
        }
        base = settings.DOKREG_ACR_EXCHANGE_URL or f"https://{call.host}"
        answer = talk.post(f"{base}/oauth2/exchange", form, deadline=call.deadline)
        if answer.status != _OK:
            raise Refused(f"{answer.status} {answer.text}", answer)
        refresh_token = text_in(answer.fields(), "refresh_token")
        claims = _claims(refresh_token)
        if not all(isinstance(claims.get(name), int | float) for name in ("exp", "iat")):
            raise Unreadable("the token in it does not say when it ends")
        return Token(refresh_token, life_in_seconds(claims["exp"] - claims["iat"]))


class Acr(Kind):
    """A registry in Azure, read by a service principal; the rules are from Azure's documentation."""

    slug = "acr"
    name = "Azure Container Registry"
    summary = "A registry in Azure, NAME.azurecr.io."

    host_placeholder = "acme.azurecr.io"
    host_help = "It is the registry's login server, such as acme.azurecr.io (in China .cn, for the US government .us)."
    provider_hosts = _HOST
    methods = (ServicePrincipal(),)

    username_placeholder = "11111111-2222-3333-4444-555555555555"
    username_help = "The application (client) id of a service principal, or the name of a registry token."

    secret_name = "Client secret"
    secret_help = "The service principal's client secret: its value, not its id."
    secret_life = "A client secret ends on the date that was chosen when it was made, by default after a year or less."

    scope_help = (
        "Give the service principal the role AcrPull on the registry. If the registry allows only chosen "
        "networks, allow the server's address too."
    )
    credentials_help = (
        "The username is the application (client) id, the password the value of a client secret that has "
        "not ended; both are in Microsoft Entra, App registrations."
    )

    image_prefix_help = "The path before the repository's name, if your repositories have one."
    image_prefix_placeholder = "team"
    example_image = "acme.azurecr.io/team/web:1.4"

    def secret_url(self, host: str) -> str | None:
        return "https://portal.azure.com/#view/Microsoft_AAD_RegisteredApps/ApplicationsListBlade"

    def life_hours(self, username: str) -> int | None:
        return 3 if username == NULL_GUID else None

    def warn_username(self, username: str) -> str | None:
        if username == NULL_GUID:
            return "With this username the password is a refresh token, which ends after 3 hours."
        if _GUID.fullmatch(username):
            return None
        return (
            "If this is the registry's admin account: everybody who has it shares it, and it may push and "
            "delete. A service principal with the role AcrPull is safer."
        )

    def doubt_secret(self, secret: str, username: str) -> tuple[str, ...]:
        if _GUID.fullmatch(secret.strip()) and username != NULL_GUID:
            return ("This looks like the id of a client secret. docker login wants its value.",)
        return ()


def _claims(token: str) -> dict[str, Any]:
    """What a JWT says of itself; its signature is the registry's business. Raises Unreadable."""
    _header, _dot, rest = token.partition(".")
    payload = rest.partition(".")[0]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise Unreadable("the token in it cannot be read")
    return claims
