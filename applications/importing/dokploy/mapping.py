"""What an organisation of Dokploy becomes in dokreg, and what is left out of it."""

from applications.importing.dokploy.encrypted import CannotOpen, Opener
from applications.importing.dokploy.environment import resolve
from applications.importing.dokploy.pulling import Accounts
from applications.importing.dokploy.records import BUILD, DOCKER, Application, Dokploy, Environment, UnknownShape
from applications.importing.dokploy.settings import settings_of
from applications.importing.found import Found, FoundApplication, FoundKey, FoundProject, FoundServer, LeftOut
from registries.importing.report import Thing
from registries.importing.saving import FoundRegistry

OWN_HOST = "Dokploy's own host"  # the ref of the server that stands for it
BUILD_SERVER = "It only builds. dokreg deploys images that are built elsewhere."
BUILT = (
    "Dokploy builds it (from {source}). dokreg deploys images: let your CI build and push one, and add an application "
    "for it."
)
NO_IMAGE = "No image is named."
NO_SERVER = (
    "It runs on Dokploy's own host, which is no server in Dokploy. Add that machine to dokreg's servers, then run this "
    "again with --own-host and the name that it has there."
)
NO_COUNTERPART = "dokreg deploys single images. It stays where it is."
NO_PRIVATE_HALF = "Dokploy has no private half of it."
CLOSED = (
    "Its environment is left out: Dokploy has encrypted it, and no key opens it. Put Dokploy's ENCRYPTION_KEY, or its "
    "BETTER_AUTH_SECRET where there is none, into the file that DOKPLOY_ENCRYPTION_KEY_FILE names."
)


def found_in(dokploy: Dokploy, *, opener: Opener, own_host: FoundServer | None = None) -> Found:
    """Everything of it in dokreg's words. `own_host`: the server that Dokploy's own host is in dokreg already."""
    found = Found()
    for key in sorted(dokploy.keys, key=lambda key: (key.name, key.id)):
        found.keys[key.id] = FoundKey(
            key.name, key.private_key, key.public_key, missing=NO_PRIVATE_HALF, description=key.description
        )
    _take_servers(found, dokploy, own_host)
    for registry in sorted(dokploy.registries, key=lambda registry: (registry.name, registry.id)):
        found.registries[registry.id] = FoundRegistry(
            registry.name, registry.url, registry.username, registry.password, registry.image_prefix
        )
    _Applications(found, dokploy, opener).take()
    return found


def _take_servers(found: Found, dokploy: Dokploy, own_host: FoundServer | None) -> None:
    if own_host is not None:
        found.servers[OWN_HOST] = own_host
    for server in sorted(dokploy.servers, key=lambda server: (server.name, server.id)):
        if server.type == BUILD:
            found.left_out.append(LeftOut(Thing.SERVER, server.name, BUILD_SERVER))
        else:
            found.servers[server.id] = FoundServer(
                server.name, server.host, server.port, server.user, server.key_id, description=server.description
            )


class _Applications:
    """Takes the applications of every environment, with what they refer to. Their accounts join the registries."""

    def __init__(self, found: Found, dokploy: Dokploy, opener: Opener) -> None:
        self._found = found
        self._dokploy = dokploy
        self._opener = opener
        self._accounts = Accounts(found)
        self._projects = {project.id: project for project in dokploy.projects}
        self._environments = {environment.id: environment for environment in dokploy.environments}

    def take(self) -> None:
        dokploy, found = self._dokploy, self._found
        for application in sorted(
            dokploy.applications, key=lambda one: (self._place(one.environment_id), one.name, one.id)
        ):
            if why := self._why_not(application):
                name = f"{self._place(application.environment_id)} / {application.name}"
                found.left_out.append(LeftOut(Thing.APPLICATION, name, why))
            else:
                self._take_one(application)
        for other in sorted(dokploy.others, key=lambda one: (self._place(one.environment_id), one.name, one.kind)):
            name = f"{self._place(other.environment_id)} / {other.name} ({other.kind})"
            found.left_out.append(LeftOut(Thing.OTHER, name, NO_COUNTERPART))

    def _place(self, environment_id: str) -> str:
        """The name of dokreg's project: Dokploy's, with the environment's behind it unless that is the usual one."""
        environment = self._environments.get(environment_id)
        if environment is None or environment.project_id not in self._projects:
            raise UnknownShape("environmentId")
        project = self._projects[environment.project_id].name
        return project if environment.is_default else f"{project} ({environment.name})"

    def _why_not(self, application: Application) -> str:
        if application.source != DOCKER:
            return BUILT.format(source=application.source)
        if not application.image.strip():
            return NO_IMAGE
        return NO_SERVER if not self._server_of(application) else ""

    def _server_of(self, application: Application) -> str:
        return application.server_id or (OWN_HOST if OWN_HOST in self._found.servers else "")

    def _take_one(self, application: Application) -> None:
        environment = self._environments[application.environment_id]
        project = self._projects[environment.project_id]
        self._found.projects.setdefault(environment.id, FoundProject(self._place(environment.id), project.description))
        settings = settings_of(application)
        account = self._accounts.of(application)
        text, notes = self._environment_of(application, environment)
        self._found.applications.append(
            FoundApplication(
                name=application.name,
                project=environment.id,
                server=self._server_of(application),
                registry=account.registry,
                settings=settings.fields,
                environment=text,
                reference=application.image,
                notes=(*account.notes, *notes, *settings.notes),
            )
        )

    def _environment_of(self, application: Application, environment: Environment) -> tuple[str, list[str]]:
        """The env file, and what is not in it."""
        shared = self._projects[environment.project_id].env
        try:
            resolved = resolve(
                self._opener.open(application.env),
                project=lambda: self._opener.open(shared),
                environment=lambda: self._opener.open(environment.env),
            )
        except CannotOpen:
            return "", [CLOSED]
        notes = []
        if resolved.unresolved:
            names = ", ".join(resolved.unresolved)
            notes.append(f"These variables are left out, since what they refer to is not in Dokploy: {names}.")
        if resolved.unwritable:
            names = ", ".join(resolved.unwritable)
            notes.append(f"These variables are left out, since an env file of dokreg cannot hold them: {names}.")
        return resolved.text, notes
