"""Changes of servers and SSH keys: what must happen together with them."""

from django.db import transaction

from organisations import audit
from organisations.deletion import delete_unless_used
from organisations.models import User
from servers import keys, testing
from servers.models import Server, ServerTest, SSHKey
from servers.signals import server_moved

EDITABLE = ("name", "host", "port", "user", "ssh_key")


class HostKeyMoved(Exception):
    """The host key to confirm is not the one that was last seen."""


def save_server(*, server: Server, by: User, connection_changed: bool, with_test: bool = True) -> ServerTest | None:
    """Save a server, and test it if how to reach it is new; not without `with_test`, where many are saved at once.

    Another host or port starts without a pinned key.
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
        server.host_key, server.seen_host_key = server.seen_host_key, ""
        # Not by save(): the trail gets its one entry from the next line.
        Server.objects.filter(pk=server.pk).update(host_key=server.host_key, seen_host_key="")
        audit.record("confirmed the host key", server, actor=by, fingerprint=fingerprint)
        return testing.ask(server=server, asked_by=by)


def create_key(*, key: SSHKey, pair: keys.KeyPair) -> SSHKey:
    """Save a new SSH key with its pair."""
    key.private_key, key.public_key = pair.private, pair.public
    key.save()
    return key


def rename_key(*, key: SSHKey) -> None:
    """Save the name of an SSH key; its pair never changes, since servers know it."""
    key.save(update_fields=["name"])


def delete_server(*, server: Server) -> None:
    """Delete a server; raises StillUsed, naming by what."""
    delete_unless_used(server)


def delete_key(*, key: SSHKey) -> None:
    """Delete an SSH key; raises StillUsed, naming the servers that are reached with it."""
    delete_unless_used(key)
