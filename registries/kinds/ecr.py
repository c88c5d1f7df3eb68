"""Amazon's Elastic Container Registry, private and public."""

import base64
import binascii
import datetime as dt
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.utils import timezone

from registries.kinds import cloud_verdicts
from registries.kinds.base import Kind
from registries.kinds.methods import Account, AccountField, Policy
from registries.kinds.minting import Answer, Call, CloudMethod, MachineMethod, Token, Unreadable, text_in

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials

# From AWS' endpoint tables: classic and dual-stack names, FIPS, and the partitions for China, the European
# Sovereign Cloud and the isolated regions.
_PRIVATE_HOST = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z]{2,4}(?:-[a-z]+)+-\d{1,2})\."
    r"(?:amazonaws\.(?:com(?:\.cn)?|eu)"
    r"|on\.(?:aws|amazonwebservices\.(?:com\.cn|eu))"
    r"|sc2s\.sgov\.gov|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
)
_PUBLIC_HOST = re.compile(r"public\.ecr\.aws|ecr-public\.aws\.com")
_SECRET_ACCESS_KEY_LENGTH = 40
_SECRET_ACCESS_KEY = re.compile(r"[A-Za-z0-9/+]{40}")
_ACCESS_KEY_ID = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{16}")
_LASTING_KEY_ID = re.compile(r"AKIA[A-Z0-9]{16}")
# From the IAM user guide, "IAM identifiers" and "How to use an external ID".
_ROLE_ARN = re.compile(r"arn:(?P<partition>aws[a-z-]*):iam::\d{12}:role/[\w+=,.@/-]{1,576}", re.ASCII)
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
_PARTITIONS = {
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "eusc-": "aws-eusc",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "eu-isoe-": "aws-iso-e",
    "us-isof-": "aws-iso-f",
}
PUBLIC_REGION = "us-east-1"

_AWS_CLI = "https://docs.aws.amazon.com/cli/latest/reference"
_USERNAME_HELP = "Always AWS, in capitals; the account is in the token."


_ROLE_FIELDS = (
    AccountField(
        "role_arn",
        "Role to assume",
        help_text="The ARN of an IAM role, if the images belong to another account or the key may do nothing itself.",
        placeholder="arn:aws:iam::123456789012:role/dokreg-pull",
        required=False,
        max_length=640,
    ),
    AccountField(
        "external_id",
        "External id",
        help_text="Only if the role's trust policy asks for one.",
        required=False,
        max_length=1224,
    ),
)


class _AmazonMethod(CloudMethod):
    """What all four have in common: a role perhaps, then one call."""

    hosts = _PRIVATE_HOST
    cloud = "AWS"
    username = "AWS"
    rows = cloud_verdicts.AWS_ROWS
    token_life = "A token lives 12 hours."

    service: ClassVar[str] = "ecr"
    # Whom a role has to trust; nobody can know that for the person.
    principal: ClassVar[str]

    def keys(self, call: Call) -> "ReadOnlyCredentials":
        """What the request is signed with, before a role is assumed. Raises NoIdentity, TooLate."""
        raise NotImplementedError

    def ask(self, call: Call) -> Token:
        from registries.kinds import aws_calls

        region = self.region(call.host)
        keys = self.keys(call)
        if role_arn := call.account.get("role_arn", ""):
            external_id = call.account.get("external_id", "")
            keys = aws_calls.with_role(
                keys, region=region, role_arn=role_arn, external_id=external_id, deadline=call.deadline
            )
            call.hidden += [keys.secret_key, keys.token]
        answer, raw = aws_calls.call(self.service, region, "get_authorization_token", keys=keys, deadline=call.deadline)
        return _token_in(answer.get("authorizationData"), raw)

    def region(self, host: str) -> str:
        """Where to ask."""
        found = account_and_region(host)
        return found[1] if found else PUBLIC_REGION

    def check_account(self, *, host: str, account: Account) -> dict[str, str]:
        role_arn, external_id = account.get("role_arn", ""), account.get("external_id", "")
        wrong = {}
        if role_arn and (complaint := self._complain_of_role(host, role_arn)):
            wrong["role_arn"] = complaint
        if external_id and not role_arn:
            wrong["external_id"] = "An external id only goes with a role to assume."
        elif external_id and not _EXTERNAL_ID.fullmatch(external_id):
            wrong["external_id"] = "An external id has 2 to 1224 letters, digits and + = , . @ : / _ - in it."
        return wrong

    def _complain_of_role(self, host: str, role_arn: str) -> str | None:
        match = _ROLE_ARN.fullmatch(role_arn)
        if match is None:
            return "This is not the ARN of a role. It looks like arn:aws:iam::123456789012:role/NAME."
        expected = _partition(host)
        if match["partition"] != expected:
            return f"The registry is in AWS' partition {expected}, this role in {match['partition']}: they do not meet."
        return None

    def policy(self, *, host: str, account: Account) -> Policy | None:
        statements = self.statements(host)
        if not statements:
            return None
        role_arn = account.get("role_arn", "")
        if not role_arn:
            return Policy(f"IAM policy for {self.holder}", _document(statements))
        assume = {"Sid": "AssumeRole", "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role_arn}
        trust: dict[str, Any] = {
            "Sid": "TrustDokreg",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{_partition(host)}:iam::{self.principal}"},
            "Action": "sts:AssumeRole",
        }
        if external_id := account.get("external_id", ""):
            trust["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
        return Policy(
            f"IAM policy for the role {role_arn}",
            _document(statements),
            further=(
                Policy(f"Trust policy of the role {role_arn}", _document([trust])),
                Policy(f"IAM policy for {self.holder}", _document([assume])),
            ),
        )

    # Who gets the policy, as it stands in its title.
    holder: ClassVar[str]

    def statements(self, host: str) -> list[dict[str, Any]]:
        """The least that is needed to pull from this host; none if it is not Amazon's (yet)."""
        found = account_and_region(host)
        if found is None:
            return []
        account, region = found
        repositories = f"arn:{_partition(host)}:ecr:{region}:{account}:repository/*"
        pull = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        return [
            {"Sid": "Token", "Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
            {"Sid": "Pull", "Effect": "Allow", "Action": pull, "Resource": repositories},
        ]


class AccessKey(_AmazonMethod):
    """An IAM user's access key."""

    slug = "access_key"
    name = "Access key"
    summary = "An IAM user's access key makes the tokens; a role can be assumed with it."
    fields = (
        AccountField(
            "access_key_id",
            "Access key id",
            help_text="It begins with AKIA. Give dokreg an IAM user of its own.",
            placeholder="AKIAIOSFODNN7EXAMPLE",
            max_length=128,
        ),
        *_ROLE_FIELDS,
    )
    secret_name = "Secret access key"
    secret_help = "The 40 characters that AWS showed when the access key was made."
    credentials = "the access key"
    credentials_help = (
        "In IAM, look whether the user's access key exists and is active; if not, make a new one and enter its id and "
        "its secret."
    )
    principal = "ACCOUNT_OF_THE_ACCESS_KEY:user/NAME_OF_ITS_USER"
    holder = "the user of the access key"

    def check_account(self, *, host: str, account: Account) -> dict[str, str]:
        wrong = super().check_account(host=host, account=account)
        if complaint := _complain_of_key_id(account.get("access_key_id", "")):
            wrong["access_key_id"] = complaint
        return wrong

    def is_secret(self, text: str) -> bool:
        return _SECRET_ACCESS_KEY.fullmatch(text.strip()) is not None

    def check_secret(self, *, account: Account, secret: str) -> str | None:
        text = secret.strip()
        if _ACCESS_KEY_ID.fullmatch(text):
            return "This is the id of an access key. The secret access key was shown beside it when it was made."
        if not text:
            return "The secret access key is missing."
        if not text.isascii() or not text.isprintable() or " " in text:
            return "A secret access key has letters, digits, + and / in it, and no spaces or line breaks."
        return None

    def doubt_secret(self, *, account: Account, secret: str) -> tuple[str, ...]:
        length = len(secret.strip())
        if length == _SECRET_ACCESS_KEY_LENGTH:
            return ()
        return (f"A secret access key has {_SECRET_ACCESS_KEY_LENGTH} characters; this one has {length}.",)

    def keys(self, call: Call) -> "ReadOnlyCredentials":
        from registries.kinds import aws_calls

        return aws_calls.keys_of(call.account.get("access_key_id", ""), call.secret)


class Machine(MachineMethod, _AmazonMethod):
    """The role of the machine, as botocore finds it.

    What trusts that role trusts it for whoever set it up, and every organisation here could name it: dokreg would be
    the deputy that one organisation uses to get at another's account. So the installation says what may be assumed.
    """

    name = "The machine's own role"
    summary = "The IAM role of the machine that dokreg runs on makes the tokens; there is no secret to enter."
    fields = (
        replace(
            _ROLE_FIELDS[0], help_text="If the images belong to another account; one that DOKREG_MACHINE_ROLES names."
        ),
        *_ROLE_FIELDS[1:],
    )
    credentials = "the machine's own role"
    credentials_help = "Check which role the machine that dokreg runs on has, and that its metadata service answers."

    principal = "ACCOUNT_OF_THE_MACHINE:role/NAME_OF_ITS_ROLE"
    holder = "the role of the machine that dokreg runs on"

    def keys(self, call: Call) -> "ReadOnlyCredentials":
        from registries.kinds import aws_calls

        keys = aws_calls.machine_keys(call.deadline)
        call.hidden += [keys.secret_key, keys.token or ""]
        return keys

    def _complain_of_role(self, host: str, role_arn: str) -> str | None:
        if complaint := super()._complain_of_role(host, role_arn):
            return complaint
        if role_arn in settings.DOKREG_MACHINE_ROLES:
            return None
        return (
            "The machine's own role may not assume this one for everybody who may add a registry. Use an access key, "
            "or ask who runs dokreg to name the role in DOKREG_MACHINE_ROLES."
        )


class _Public(_AmazonMethod):
    """The gallery is asked in one region, and its images are everybody's."""

    service = "ecr-public"

    hosts = _PUBLIC_HOST

    def statements(self, host: str) -> list[dict[str, Any]]:
        actions = ["ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"]
        return [{"Sid": "Token", "Effect": "Allow", "Action": actions, "Resource": "*"}]


class PublicAccessKey(_Public, AccessKey):
    """An access key, for the gallery."""


class PublicMachine(_Public, Machine):
    """The machine's role, for the gallery."""


def _complain_of_key_id(text: str) -> str | None:
    if _LASTING_KEY_ID.fullmatch(text):
        return None
    if text.startswith("ASIA"):
        return (
            "This is a temporary key (ASIA…): it has a session token and ends within hours, so dokreg does not take "
            "it. Use an IAM user's access key (AKIA…), or let one assume a role."
        )
    if _SECRET_ACCESS_KEY.fullmatch(text):
        return "This looks like the secret access key. The id begins with AKIA and has 20 characters."
    return "An access key id begins with AKIA and has 20 capital letters and digits."


def _token_in(data: object, raw: Answer) -> Token:
    """The secret is what follows the first colon; the private registry answers with a list, the public one without."""
    entry = data[0] if isinstance(data, Sequence) and data else data
    if not isinstance(entry, dict):
        raise Unreadable("there is no token in it")
    try:
        decoded = base64.b64decode(text_in(entry, "authorizationToken"), validate=True).decode()
    except (binascii.Error, ValueError):
        raise Unreadable("the token in it is not base64") from None
    _user, _colon, secret = decoded.partition(":")
    expires_at = entry.get("expiresAt")
    if not secret or not isinstance(expires_at, dt.datetime):
        raise Unreadable("the token in it has no secret or no end")
    return Token(secret, expires_at - (raw.date or timezone.now()))


def _partition(host: str) -> str:
    found = account_and_region(host)
    region = found[1] if found else PUBLIC_REGION
    return next((name for start, name in _PARTITIONS.items() if region.startswith(start)), "aws")


def _document(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)


class _Amazon(Kind):
    """What the private and the public registry have in common."""

    username_fixed = "AWS"
    username_placeholder = "AWS"
    username_help = _USERNAME_HELP
    secret_name = "Registry token"
    secret_life = "A pasted ECR token ends 12 hours after it was made."
    secret_life_hours = 12

    def refuse_username(self, username: str) -> str | None:
        if username == self.username_fixed:
            return None
        return f"The username at {self.name} is {_USERNAME_HELP[0].lower()}{_USERNAME_HELP[1:]}"

    def doubt_secret(self, secret: str, username: str) -> tuple[str, ...]:
        text = secret.strip()
        if _SECRET_ACCESS_KEY.fullmatch(text) or _ACCESS_KEY_ID.fullmatch(text):
            return ("This looks like an AWS access key. Docker wants the token that is made with it.",)
        if _is_whole_authorization_token(text):
            return ("This is a whole authorization token. Decode it from base64 and enter what follows AWS: in it.",)
        return ()


class Ecr(_Amazon):
    """A private registry: account and region are in the host."""

    slug = "ecr"
    name = "Amazon ECR"
    summary = "A private registry of an AWS account."

    host_placeholder = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
    host_help = "It is made of the account's 12 digits and the region: 123456789012.dkr.ecr.eu-central-1.amazonaws.com."
    provider_hosts = _PRIVATE_HOST
    methods = (AccessKey(), Machine())

    secret_help = "What aws ecr get-login-password --region REGION prints."
    scope_help = (
        "The IAM user or role needs ecr:GetAuthorizationToken on * and, on the repository, "
        "ecr:BatchGetImage, ecr:GetDownloadUrlForLayer and ecr:BatchCheckLayerAvailability. Another "
        "account's repository also needs a policy that lets this one in."
    )
    credentials_help = (
        "Make a new token with aws ecr get-login-password for the region in the host, and enter it with "
        "the username AWS. A token ends after 12 hours."
    )
    image_prefix_help = "The path before the repository's name, if your repositories have one."
    image_prefix_placeholder = "acme"
    example_image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/acme/web:1.4"

    def secret_url(self, host: str) -> str | None:
        return f"{_AWS_CLI}/ecr/get-login-password.html"


class EcrPublic(_Amazon):
    """The public gallery, whose tokens raise the limits of anonymous pulls."""

    slug = "ecr_public"
    name = "Amazon ECR Public"
    summary = "The public gallery of AWS, public.ecr.aws."

    default_host = "public.ecr.aws"
    host_placeholder = "public.ecr.aws"
    host_help = "The public gallery is public.ecr.aws."
    provider_hosts = _PUBLIC_HOST
    methods = (PublicAccessKey(), PublicMachine())

    secret_help = "What aws ecr-public get-login-password --region us-east-1 prints."
    scope_help = (
        "The IAM user or role needs ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken. Check "
        "the alias and the name of the image."
    )
    credentials_help = (
        "Make a new token with aws ecr-public get-login-password --region us-east-1, whatever your own "
        "region is, and enter it with the username AWS. A token ends after 12 hours."
    )
    image_prefix_help = "The alias of the registry in the public gallery."
    image_prefix_placeholder = "a1b2c3d4"
    example_image = "public.ecr.aws/a1b2c3d4/web:1.4"

    def secret_url(self, host: str) -> str | None:
        return f"{_AWS_CLI}/ecr-public/get-login-password.html"


def account_and_region(host: str) -> tuple[str, str] | None:
    """The AWS account's 12 digits and the region that a private registry's host names, or None."""
    match = _PRIVATE_HOST.fullmatch(host)
    return (match["account"], match["region"]) if match else None


def _is_whole_authorization_token(text: str) -> bool:
    try:
        return base64.b64decode(text, validate=True).startswith(b"AWS:")
    except (binascii.Error, ValueError):
        return False
