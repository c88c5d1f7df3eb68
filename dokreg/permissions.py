"""What a member may be allowed to do: Django's permission names, in the groups and words that pages show.

An unknown name is an error, never a "no": a mistyped permission would otherwise lock out, or let in, in silence.
"""

from collections.abc import Iterable
from dataclasses import dataclass


class UnknownPermission(LookupError):
    """The code asks for a permission that does not exist."""


@dataclass(frozen=True, slots=True)
class Permission:
    """One permission: its Django name (`app_label.codename`) and what it allows, in words."""

    name: str
    label: str


@dataclass(frozen=True, slots=True)
class PermissionGroup:
    """The permissions about one kind of thing, as a page shows them together."""

    label: str
    permissions: tuple[Permission, ...]


GROUPS = (
    PermissionGroup(
        "Projects",
        (
            Permission("applications.add_project", "Add"),
            Permission("applications.change_project", "Rename"),
            Permission("applications.delete_project", "Delete"),
        ),
    ),
    PermissionGroup(
        "Applications",
        (
            Permission("applications.view_application", "See, with their projects"),
            Permission("applications.add_application", "Add"),
            Permission("applications.change_application", "Change, and read their environment"),
            Permission("applications.delete_application", "Delete"),
            Permission("applications.deploy_application", "Deploy, roll back, start and stop"),
        ),
    ),
    PermissionGroup(
        "Registries",
        (
            Permission("registries.view_registry", "See and test"),
            Permission("registries.add_registry", "Add"),
            Permission("registries.change_registry", "Change"),
            Permission("registries.delete_registry", "Delete"),
            Permission("registries.use_registry", "Use for applications"),
        ),
    ),
    PermissionGroup(
        "Servers",
        (
            Permission("servers.view_server", "See and test"),
            Permission("servers.add_server", "Add"),
            Permission("servers.change_server", "Change"),
            Permission("servers.delete_server", "Delete"),
            Permission("servers.trust_server", "Confirm host keys"),
        ),
    ),
    PermissionGroup(
        "SSH keys",
        (
            Permission("servers.view_sshkey", "See"),
            Permission("servers.add_sshkey", "Add"),
            Permission("servers.change_sshkey", "Change"),
            Permission("servers.delete_sshkey", "Delete"),
        ),
    ),
    PermissionGroup(
        "Notifications",
        (
            Permission("organisations.view_notificationchannel", "See"),
            Permission("organisations.add_notificationchannel", "Add"),
            Permission("organisations.change_notificationchannel", "Change and test"),
            Permission("organisations.delete_notificationchannel", "Delete"),
        ),
    ),
    PermissionGroup(
        "Members",
        (
            Permission("organisations.view_membership", "See"),
            Permission("organisations.add_membership", "Invite"),
            Permission("organisations.change_membership", "Change roles and permissions"),
            Permission("organisations.delete_membership", "Remove"),
        ),
    ),
    PermissionGroup(
        "Organisation",
        (
            Permission("organisations.change_organisation", "Rename"),
            Permission("organisations.view_auditentry", "Read the audit trail"),
        ),
    ),
)
ALL = frozenset(permission.name for group in GROUPS for permission in group.permissions)
VIEW = frozenset(name for name in ALL if name.split(".")[1].startswith("view_"))
READ_ONLY = VIEW - {"organisations.view_auditentry"}
EVERYDAY = READ_ONLY | {
    name for name in ALL if name.startswith(("applications.", "registries.", "servers.")) and ".delete_" not in name
} - {"servers.trust_server"}


def check_known(names: Iterable[str]) -> None:
    """Raise UnknownPermission if a name is none of an organisation's permissions."""
    unknown = sorted(set(names) - ALL)
    if unknown:
        raise UnknownPermission(f"No such permission in an organisation: {', '.join(unknown)}")
