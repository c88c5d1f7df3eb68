"""Credentials in use: what is stored for a registry, and what `docker login` is given in the end."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.utils import timezone

from dokreg.database import give_back
from dokreg.encryption import SecretUnreadable
from registries import kinds
from registries.kinds.methods import Method, Minted
from registries.models import Registry, Rotation, credentials_mark


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a person gave: a kind's slug, the normalised host, the account, its secret, and where images lie.

    With a `method`, tokens are minted with the secret; without, the secret itself is what Docker gets.
    """

    kind: str
    url: str
    username: str
    password: str = field(repr=False)
    image_prefix: str = ""
    method: str = ""
    account: Mapping[str, str] = field(default_factory=dict)

    @property
    def mark(self) -> str:
        """Tells equal credentials apart from others, and nothing else."""
        return credentials_mark(
            url=self.url, username=self.username, password=self.password, method=self.method, account=self.account
        )

    @property
    def minting(self) -> Method | None:
        return kinds.get(self.kind).method(self.method)

    @property
    def as_it_is(self) -> "DockerLogin":
        """The secret itself, where no token is minted with it."""
        return DockerLogin(self.url, self.username, self.password)

    def mint(self) -> Minted:
        """A new token from the cloud; it is saved nowhere. Raises MintFailed."""
        method = self.minting
        assert method is not None  # noqa: S101 - asked for only where tokens are minted
        give_back()
        return method.mint(host=self.url, account=self.account, secret=self.password)


@dataclass(frozen=True, slots=True)
class DockerLogin:
    """What `docker login` is given. Without a username the password stands for it as well."""

    registry: str
    username: str
    password: str = field(repr=False)

    @property
    def mark(self) -> str:
        """Tells whether a server was logged in with just this."""
        return credentials_mark(url=self.registry, username=self.username, password=self.password)


def stored(registry: Registry) -> Credentials:
    """The stored credentials, opened; raises SecretUnreadable."""
    return Credentials(
        kind=registry.kind,
        url=registry.url,
        username=registry.username,
        password=registry.open_password(),
        image_prefix=registry.image_prefix,
        method=registry.method,
        account=registry.account,
    )


def staged(rotation: Rotation) -> Credentials:
    """The new credentials of a registry that are not switched to yet, opened; raises SecretUnreadable."""
    kind = rotation.kind or rotation.registry.kind
    method = kinds.get(kind).method(rotation.method)
    if rotation.password is None and (method is None or method.needs_secret):
        raise SecretUnreadable(f"The secret of rotation {rotation.pk} is wiped.")
    return Credentials(
        kind=kind,
        url=rotation.url,
        username=rotation.username,
        password=rotation.password.reveal() if rotation.password else "",
        image_prefix=rotation.registry.image_prefix,
        method=rotation.method,
        account=rotation.account,
    )


def take(registry: Registry, *, secret_is_new: bool) -> None:
    """Note on the row, unsaved, what follows from new credentials: facts, marks, no token yet, one due at once."""
    now = timezone.now()
    what = stored(registry)
    if secret_is_new or what.method:
        registry.secret_changed_at = now
    registry.secret_fact = _fact(what)[: Registry._meta.get_field("secret_fact").max_length]
    registry.credentials_mark = what.mark
    registry.login_mark = "" if what.method else what.as_it_is.mark
    registry.token = registry.token_issued_at = registry.token_expires_at = None
    registry.refresh_due_at = now if what.method else None
    registry.refresh_failures = 0


def _fact(what: Credentials) -> str:
    """What may be shown of a secret."""
    if what.minting is not None:
        return what.minting.describe(account=what.account, secret=what.password)
    return kinds.get(what.kind).describe_secret(what.password, what.username) or ""


# The columns that `take` writes, and those that it is about.
COLUMNS = (
    "url", "username", "method", "account", "password", "secret_ends_on", "secret_changed_at", "secret_fact",
    "credentials_mark", "login_mark", "token", "token_issued_at", "token_expires_at", "refresh_due_at",
    "refresh_failures",
)  # fmt: skip
