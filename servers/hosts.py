"""Changes of servers and SSH keys: what must happen together with them."""

from django.db import transaction

from organisations import audit
from organisations.deletion import delete_unless_used
from organisations.models import User
from servers import keys, testing
from servers.models import Server, ServerTest, SSHKey
from servers.signals import server_moved

EDITABLE = ("name", "description", "host", "port", "user", "ssh_key")


class HostKeyMoved(Exception):
    """The host key to confirm is not the one that was last seen."""


def save_server(
    *, server: Server, by: User, connection_changed: bool, host_key: str = "", with_test: bool = True
) -> ServerTest | None:
    """Save a server, and test it if how to reach it is new; not without `with_test`, where many are saved at once.

    Another host or port starts without a pinned key. `host_key` is one to pin that is known from elsewhere.
    """
    with transaction.atomic():
        before = Server.objects.select_for_update().filter(pk=server.pk).first()
        if before is None:
            server.save()
        else:
            # Not what the form's instance holds: somebody may have confirmed a key since it was read.
            stays = (before.host, before.port) == (server.host, server.port)
            server.host_key = before.host_key if stays else ""
            server.seen_host_key = before.seen_host_key if stays else ""
            server.save(update_fields=[*EDITABLE, "host_key", "seen_host_key"])
            if (before.host, before.port, before.user) != (server.host, server.port, server.user):
                server_moved.send(sender=Server, server=server)
        if host_key:
            _pin(server, host_key)
            audit.record("confirmed the host key", server, actor=by, fingerprint=server.host_key_fingerprint)
        return testing.ask(server=server, asked_by=by) if connection_changed and with_test else None


def trust_host_key(*, server: Server, fingerprint: str, by: User) -> ServerTest:
    """Pin the host key that was shown to the person, and test again.

    `fingerprint` is the one that the person saw; raises HostKeyMoved if the server has shown another since.
    """
    with transaction.atomic():
        rows = Server.objects.select_for_update(of=("self",)).select_related("organisation")
        server = rows.get(pk=server.pk)
        if not server.seen_host_key or keys.fingerprint(server.seen_host_key) != fingerprint:
            raise HostKeyMoved(
                "The server has shown another host key since this page was made. Compare the fingerprint below again."
            )
        _pin(server, server.seen_host_key)
        audit.record("confirmed the host key", server, actor=by, fingerprint=fingerprint)
        return testing.ask(server=server, asked_by=by)


def pin_at_first_contact(*, server: Server, by: User) -> ServerTest | None:
    """Pin the host key that a server has shown, which nobody has compared, and test again; the audit trail says so.

    For programs, which cannot look at a fingerprint. `server` is as it was saved and tested: if it leads to another
    place by now, or has a key, nothing is pinned, and None answered.
    """
    with transaction.atomic():
        rows = Server.objects.select_for_update(of=("self",)).select_related("organisation")
        found = rows.filter(pk=server.pk, host=server.host, port=server.port, user=server.user, host_key="").first()
        if found is None or not found.seen_host_key:
            return None
        _pin(found, found.seen_host_key)
        fingerprint = found.host_key_fingerprint
        audit.record("pinned the host key at first contact", found, actor=by, fingerprint=fingerprint)
        return testing.ask(server=found, asked_by=by)


def _pin(server: Server, host_key: str) -> None:
    server.host_key, server.seen_host_key = host_key, ""
    # Not by save(): the trail gets its one entry from whoever pins.
    Server.objects.filter(pk=server.pk).update(host_key=host_key, seen_host_key="")


def create_key(*, key: SSHKey, pair: keys.KeyPair) -> SSHKey:
    """Save a new SSH key with its pair."""
    key.private_key, key.public_key = pair.private, pair.public
    key.save()
    return key


def rename_key(*, key: SSHKey) -> None:
    """Save the name and description of an SSH key; its pair never changes, since servers know it."""
    key.save(update_fields=["name", "description"])


def delete_server(*, server: Server) -> None:
    """Delete a server; raises StillUsed, naming by what."""
    delete_unless_used(server)


def delete_key(*, key: SSHKey) -> None:
    """Delete an SSH key; raises StillUsed, naming the servers that are reached with it."""
    delete_unless_used(key)
