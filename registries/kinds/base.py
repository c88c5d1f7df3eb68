"""What a registry provider must tell dokreg, and the rules that hold for all of them."""

import re
from collections.abc import Callable
from typing import ClassVar

from registries.kinds.listing import Listing
from registries.kinds.methods import Method

USERNAME_LIMIT = 255
SECRET_LIMIT_BYTES = 64 * 1024

# What Go's strings.TrimSpace, and so the Docker CLI, takes off a password.
_TRIMMED_BY_DOCKER = (
    " \t\n\v\f\r\x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
)
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class UnknownKind(LookupError):
    """No provider has this slug."""


class Kind:
    """One registry provider: how its fields are called, checked and explained.

    A subclass sets what differs. All texts are for people; none ever contains a secret. Hosts are as
    `registries.references.normalise_host` returns them, and usernames are without white space around them.
    """

    slug: ClassVar[str]
    name: ClassVar[str]
    summary: ClassVar[str]

    default_host: ClassVar[str] = ""
    host_placeholder: ClassVar[str] = ""
    host_help: ClassVar[str] = ""
    # The addresses that the provider itself runs. None: everybody runs this kind on a host of their own.
    provider_hosts: ClassVar[re.Pattern[str] | None] = None
    # Whether the software also runs on other hosts than the provider's.
    self_hosted: ClassVar[bool] = False
    # First parts of a host name by which people call their own installation.
    customary_names: ClassVar[frozenset[str]] = frozenset()

    username_fixed: ClassVar[str | None] = None
    # The provider wants the secret as the username as well. Then none is asked for, stored or shown.
    username_is_secret: ClassVar[bool] = False
    username_placeholder: ClassVar[str] = ""
    username_help: ClassVar[str] = ""

    secret_name: ClassVar[str] = "Password or token"
    secret_help: ClassVar[str] = ""
    # A sentence on how long the secret lives, and the hours if that is fixed. "" and None: it does not end
    # by itself.
    secret_life: ClassVar[str] = ""
    secret_life_hours: ClassVar[int | None] = None
    # A secret may have line breaks in it (a JSON key); elsewhere they are a slip of the clipboard.
    secret_has_lines: ClassVar[bool] = False

    # The ways to mint tokens, the recommended one first. Besides them a secret can always be stored as it is.
    methods: ClassVar[tuple[Method, ...]] = ()

    # What to do when the registry knows the account but refuses the image ("denied").
    scope_help: ClassVar[str] = "Give this account the right to pull the image, at the registry."
    # What to do when the registry refuses the login ("unauthorized").
    credentials_help: ClassVar[str] = "Check the username, and enter the password or token again."

    # Why what there is cannot be listed, where that is so; what to do instead.
    no_catalogue: ClassVar[str] = ""
    # Whether it counts pulls, and says with each manifest how many are left.
    tells_quota: ClassVar[bool] = False

    image_prefix_help: ClassVar[str] = ""
    image_prefix_placeholder: ClassVar[str] = ""
    example_image: ClassVar[str] = ""

    @property
    def example_name(self) -> str:
        """The example as it is typed where the host is known: `acme/web:1.4`."""
        first, _slash, rest = self.example_image.partition("/")
        return rest if "." in first else self.example_image

    def method(self, slug: str) -> Method | None:
        """The minting method with this slug; None for "" (the secret is stored as it is). Raises UnknownKind."""
        if not slug:
            return None
        for method in self.methods:
            if method.slug == slug:
                return method
        raise UnknownKind(f"{self.name} has no way “{slug}” to mint tokens.")

    def method_of_pasted(self, username: str) -> str:
        """The method that a pasted login with this username is for; "" if its secret is used as it is."""
        return ""

    def life_hours(self, username: str) -> int | None:
        """How many hours a pasted secret with this username lives, if that is fixed."""
        return self.secret_life_hours

    def is_provider_host(self, host: str) -> bool:
        """Whether the provider itself runs this host."""
        return self.provider_hosts is not None and self.provider_hosts.fullmatch(host) is not None

    def matches(self, host: str) -> bool:
        """Whether a registry on this host is, as far as one can tell from the name, of this kind."""
        return self.is_provider_host(host) or (
            self.self_hosted and _without_port(host).partition(".")[0] in self.customary_names
        )

    def api_host(self, host: str) -> str:
        """The host, with its port if it has one, at which the Registry HTTP API of this host is."""
        return host

    def listing(self) -> Listing | None:
        """The provider's own API that lists, in the place of the registry's; None: the registry's."""
        return None

    def check_host(self, host: str) -> str | None:
        """Why a registry of this kind cannot have this host, or None."""
        if self.self_hosted or self.is_provider_host(host):
            return None
        return f"This is not an address of {self.name}. {self.host_help}".strip()

    def proves_password(self, host: str) -> bool:
        """Whether a successful login proves that the password is right.

        What the provider runs checks it. Any web server that answers 200 on /v2/ makes `docker login` succeed
        with whatever password: observed with Docker 20.10 and 28.
        """
        return self.is_provider_host(host)

    def check_username(self, username: str) -> str | None:
        """Why this username cannot work, or None."""
        if self.username_is_secret:
            return "Leave it empty: the secret stands for it." if username else None
        return _first_complaint(username, _check_username, self.refuse_username)

    def refuse_username(self, username: str) -> str | None:
        """The provider's own reason to refuse a username that `docker login` would take."""
        return None

    def warn_username(self, username: str) -> str | None:
        """Why this username probably is not the one that the provider wants, or None."""
        return None

    def check_secret(self, secret: str, username: str = "") -> str | None:
        """Why this secret cannot work, or None; never contains the secret."""
        return _first_complaint(secret, _check_secret, lambda text: self.refuse_secret(text, username))

    def refuse_secret(self, secret: str, username: str) -> str | None:
        """The provider's own reason to refuse a secret; never contains it."""
        return None

    def warn_secret(self, secret: str, username: str) -> tuple[str, ...]:
        """What is probably wrong with the secret, a sentence each; never contains it."""
        common = tuple(warning for warning in (_warn_edges(secret), self._warn_lines(secret)) if warning)
        return common + self.doubt_secret(secret, username)

    def doubt_secret(self, secret: str, username: str) -> tuple[str, ...]:
        """The provider's own doubts about a secret, a sentence each; never contain it."""
        return ()

    def describe_secret(self, secret: str, username: str) -> str | None:
        """A fact about the secret that may be shown to people, such as whose it is, or None."""
        return None

    def secret_url(self, host: str) -> str | None:
        """The page on which the secret is made, or None if it cannot be known."""
        return None

    def _warn_lines(self, secret: str) -> str | None:
        if self.secret_has_lines or not re.search(r"[\r\n]", secret.strip(_TRIMMED_BY_DOCKER)):
            return None
        return "There is a line break inside. Check that only the secret was pasted."


def page_on(host: str, path: str) -> str | None:
    """The address of a page on the registry's own host, or None if the host is not one (yet)."""
    return None if not host or set(host) & set("/@?#\\ ") else f"https://{host}{path}"


def _without_port(host: str) -> str:
    return host if host.startswith("[") else host.partition(":")[0]


def _first_complaint(text: str, *checks: Callable[[str], str | None]) -> str | None:
    return next((complaint for check in checks if (complaint := check(text))), None)


def _check_username(username: str) -> str | None:
    if not username.strip():
        return "The username is missing."
    if len(username) > USERNAME_LIMIT:
        return f"A username has at most {USERNAME_LIMIT} characters; this one has {len(username)}."
    if not username.isprintable():
        return "The username has a character in it that cannot be printed. Type it instead of pasting it."
    if ":" in username:
        return (
            "A username cannot have a colon in it: Docker sends it as user:password and splits at the "
            "first colon. If you pasted both, put the part after the colon into the password."
        )
    return None


def _check_secret(secret: str) -> str | None:
    if not secret:
        return "The password is missing."
    if not secret.strip(_TRIMMED_BY_DOCKER):
        return "The password is only white space, which Docker cuts off. Enter it again."
    if _SURROGATE.search(secret):
        return "The password has a character in it that is not valid Unicode. Enter it again."
    if "\x00" in secret:
        return "The password has a NUL character in it, which cannot be sent. Enter it again."
    if len(secret.encode()) > SECRET_LIMIT_BYTES:
        return f"The password is longer than {SECRET_LIMIT_BYTES // 1024} KiB. Check what was pasted."
    return None


def _warn_edges(secret: str) -> str | None:
    if secret == secret.strip(_TRIMMED_BY_DOCKER):
        return None
    return (
        "The password begins or ends with white space. Docker cuts spaces and line ends off both ends; if "
        "they belong to it, the login will fail."
    )
