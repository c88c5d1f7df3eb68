"""Amazon's Elastic Container Registry, private and public."""

import base64
import binascii
import re

from registries.kinds.base import Kind

# From AWS' endpoint tables: classic and dual-stack names, FIPS, and the partitions for China, the European
# Sovereign Cloud and the isolated regions.
_PRIVATE_HOST = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z]{2,4}(?:-[a-z]+)+-\d{1,2})\."
    r"(?:amazonaws\.(?:com(?:\.cn)?|eu)"
    r"|on\.(?:aws|amazonwebservices\.(?:com\.cn|eu))"
    r"|sc2s\.sgov\.gov|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
)
_SECRET_ACCESS_KEY = re.compile(r"[A-Za-z0-9/+]{40}")
_ACCESS_KEY_ID = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{16}")

_AWS_CLI = "https://docs.aws.amazon.com/cli/latest/reference"
_USERNAME_HELP = "Always AWS, in capitals; the account is in the token."


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
    provider_hosts = re.compile(r"public\.ecr\.aws|ecr-public\.aws\.com")

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
