"""Makes SSH keys and servers that were found elsewhere, by the rules of the forms."""

from applications.importing.found import FoundKey, FoundServer
from dokreg.addresses import normalise_host_name
from organisations.models import Organisation, User
from registries.importing.report import Report, Thing, sentences_of
from servers import hosts, keys
from servers.forms import ServerForm, SSHKeyForm
from servers.models import Server, SSHKey

MOST_PORT = 65535
LONGEST_DESCRIPTION = 300


def import_key(found: FoundKey, *, organisation: Organisation, report: Report) -> SSHKey | None:
    """The key that was made, or is there already under whatever name; None if it had to be left out."""
    try:
        pair = keys.read_private_key(found.private_key) if found.private_key.strip() else None
    except keys.BadKey as error:
        report.left_out(Thing.KEY, found.name, str(error))
        return None
    public = pair.public if pair is not None else " ".join(found.public_key.split()[:2])
    existing = SSHKey.objects.of(organisation).filter(public_key=public).first() if public else None
    if existing is not None:
        report.there(Thing.KEY, found.name, called=existing.name)
        return existing
    if pair is None:
        report.left_out(Thing.KEY, found.name, found.missing)
        return None
    data = {
        "name": found.name,
        "description": found.description[:LONGEST_DESCRIPTION],
        "source": SSHKeyForm.Source.PASTE,
        "private_key": found.private_key,
    }
    form = SSHKeyForm(data, instance=SSHKey(), organisation=organisation)
    if not form.is_valid():
        report.left_out(Thing.KEY, found.name, sentences_of(form, but="private_key"))  # nobody has to paste it again
        return None
    key = hosts.create_key(key=form.save(commit=False), pair=form.pair)
    report.made(Thing.KEY, key.name, f"{key.type_name}, {key.fingerprint}")
    return key


def import_server(
    found: FoundServer, *, key: SSHKey | None, organisation: Organisation, by: User, report: Report
) -> Server | None:
    """The server that was made, or the one that is there already with this address; None if it had to be left out.

    No test of it is asked for: hundreds may come at once, and each would only say that its host key is unconfirmed.
    """
    existing = _existing(found, organisation)
    if existing is not None:
        report.there(Thing.SERVER, found.name, called=existing.name)
        return existing
    if key is None:
        why = "Its SSH key is left out." if found.key else "It has no SSH key. Choose one for it, or add it by hand."
        report.left_out(Thing.SERVER, found.name, why)
        return None
    data = {
        "name": found.name,
        "description": found.description[:LONGEST_DESCRIPTION],
        "host": found.host,
        "port": found.port,
        "user": found.user,
        "ssh_key": key.pk,
    }
    form = ServerForm(data, instance=Server(), organisation=organisation)
    if not form.is_valid():
        report.left_out(Thing.SERVER, found.name, sentences_of(form))
        return None
    server = form.save(commit=False)
    hosts.save_server(server=server, by=by, connection_changed=True, with_test=False)
    report.made(Thing.SERVER, server.name, server.address, found.notes)
    return server


def _existing(found: FoundServer, organisation: Organisation) -> Server | None:
    """The one with this address. None for an address that is none: the form says why."""
    if not 1 <= found.port <= MOST_PORT:
        return None
    try:
        host = normalise_host_name(found.host)
    except ValueError:
        return None
    return Server.objects.of(organisation).filter(host=host, port=found.port, user=found.user).first()
