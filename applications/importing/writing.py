"""Makes what was found: keys, servers, registries, projects, applications, in this order, by the rules of the forms.

What refers to something that had to be left out is left out as well. No network: nothing is tested, nothing deployed.
"""

from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q

from applications import pull_references, saving
from applications.forms import ApplicationForm, ProjectForm
from applications.importing import hosts
from applications.importing.found import Found, FoundApplication, FoundProject
from applications.models import Application, Project
from organisations.models import Membership
from registries import references
from registries.importing.report import Report, Thing, sentences_of
from registries.importing.saving import TEST, import_registry
from registries.models import Registry
from registries.references import InvalidReference
from servers.models import Server, SSHKey

NEEDS = (
    "applications.add_application",
    "applications.add_project",
    "registries.add_registry",
    "registries.use_registry",
    "servers.add_server",
    "servers.add_sshkey",
)
_CONFIRM = (
    "Servers: no host key is confirmed yet. Test each server in dokreg, compare the fingerprint that it shows, and "
    "confirm it; nothing is done on it before."
)
_DEPLOY = (
    "Applications are not deployed: what runs on the servers goes on as it is. Stop it there before the first "
    "deployment, since two containers cannot have the same ports."
)
# What people have to do then, by what was made.
AFTERWARDS = ((Thing.SERVER, _CONFIRM), (Thing.REGISTRY, TEST), (Thing.APPLICATION, _DEPLOY))


@dataclass(slots=True)
class _Rows:
    """What the refs stand for, None for what had to be left out; and the applications that were made."""

    keys: dict[str, SSHKey | None] = field(default_factory=dict)
    servers: dict[str, Server | None] = field(default_factory=dict)
    registries: dict[str, Registry | None] = field(default_factory=dict)
    projects: dict[str, Project | None] = field(default_factory=dict)
    applications: set[str] = field(default_factory=set)


def write(found: Found, *, may: Membership, report: Report) -> None:
    """Make all of it for this member's organisation, inside the caller's transaction, and report each."""
    rows, organisation, by = _Rows(), may.organisation, may.user
    for ref, key in found.keys.items():
        rows.keys[ref] = hosts.import_key(key, organisation=organisation, report=report)
    for ref, server in found.servers.items():
        rows.servers[ref] = hosts.import_server(
            server, key=rows.keys.get(server.key), organisation=organisation, by=by, report=report
        )
    for ref, registry in found.registries.items():
        tested_on = rows.servers.get(found.registry_servers.get(ref, ""))
        rows.registries[ref] = import_registry(
            registry, organisation=organisation, by=by, report=report, server=tested_on
        )
    for ref, project in found.projects.items():
        rows.projects[ref] = _import_project(project, may, report)
    for application in found.applications:
        _import_application(application, found, rows, may, report)
    for entry in found.left_out:
        report.left_out(entry.thing, entry.name, entry.why)


def _import_project(found: FoundProject, may: Membership, report: Report) -> Project | None:
    existing = Project.objects.of(may.organisation).filter(name=found.name).first()
    if existing is not None:
        report.there(Thing.PROJECT, found.name)
        return existing
    longest = Project._meta.get_field("description").max_length
    data = {"name": found.name, "description": found.description[:longest]}
    form = ProjectForm(data, instance=Project(), organisation=may.organisation)
    if not form.is_valid():
        report.left_out(Thing.PROJECT, found.name, sentences_of(form))
        return None
    project = form.save()
    report.made(Thing.PROJECT, project.name)
    return project


def _import_application(found: FoundApplication, refs: Found, rows: _Rows, may: Membership, report: Report) -> None:
    name = f"{refs.projects[found.project].name} / {found.name}"
    project, server = rows.projects[found.project], rows.servers.get(found.server)
    registry = rows.registries.get(found.registry)
    if project is None:
        report.left_out(Thing.APPLICATION, name, "Its project is left out.")
    elif server is None:
        report.left_out(Thing.APPLICATION, name, f"Its server {_named(refs.servers, found.server)} is left out.")
    elif found.registry and registry is None:
        report.left_out(Thing.APPLICATION, name, f"Its registry {_named(refs.registries, found.registry)} is left out.")
    elif _is_there(found, project, server, but=rows.applications):
        report.there(Thing.APPLICATION, name)
    else:
        made = _make_application(found, name, may, report, project=project, server=server, registry=registry)
        rows.applications |= made


def _is_there(found: FoundApplication, project: Project, server: Server, *, but: set[str]) -> bool:
    """Whether an application of this name is in the project, or its container has a place on the server already.

    Not one that was made just now: of two that are called alike the form refuses the second.
    """
    same = Q(project=project, name=found.name)
    if container := found.settings.get("container_name"):
        same |= Q(server=server, container_name=container)
    return Application.objects.filter(same).exclude(pk__in=but).exists()


def _make_application(
    found: FoundApplication,
    name: str,
    may: Membership,
    report: Report,
    *,
    project: Project,
    server: Server,
    registry: Registry | None,
) -> set[str]:
    """The id of the one that was made; nothing if the form refuses it."""
    data = _usual() | dict(found.settings)
    if found.reference:
        data["image"] = _to_type(found.reference, registry)
    form = ApplicationForm(
        data
        | {
            "name": found.name,
            "server": server.pk,
            "registry": registry.pk if registry is not None else "",
            "environment": found.environment,
        },
        instance=Application(organisation=may.organisation, project=project),
        organisation=may.organisation,
        may_use_registries="registries.use_registry" in may,
        may_deploy="applications.deploy_application" in may,
    )
    if not form.is_valid():
        report.left_out(Thing.APPLICATION, name, sentences_of(form))
        return set()
    application = form.save(commit=False)
    saving.save_application(application=application, environment=form.new_environment)
    words = f"{application.image} on {server.name}{f', with {registry}' if registry is not None else ''}"
    report.made(Thing.APPLICATION, name, words, found.notes)
    return {application.pk}


def _usual() -> dict[str, Any]:
    """The form as it is before anybody types."""
    unchanged = Application()
    usual = {name: getattr(unchanged, name, None) for name in ApplicationForm.Meta.fields}
    return {name: value for name, value in usual.items() if value not in (None, [])}


def _to_type(reference: str, registry: Registry | None) -> str:
    """What is typed for this image beside this registry; what is none stays as it is, for the form to refuse."""
    try:
        return pull_references.shortest(registry=registry, reference=references.parse(reference))
    except InvalidReference:
        return reference


def _named(found: dict[str, Any], ref: str) -> str:
    return f"“{found[ref].name}”" if ref in found else "(which is not named)"
