"""What a container is called where nobody has said it."""

from django.utils.text import slugify

from applications.models import Application, Project
from servers.models import Server

LONGEST = 50  # with room for a number, and for what a new container has behind it until it takes over


def free_container_name(*, project: Project, name: str, server: Server, but: Application) -> str:
    """Made of the project's and the application's names, and of no other application on that server."""
    usual = slugify(f"{project.name}-{name}")[:LONGEST].strip("-_") or "application"
    others = Application.objects.filter(server=server, container_name__startswith=usual).exclude(pk=but.pk)
    taken = set(others.values_list("container_name", flat=True))
    names = (usual if number == 1 else f"{usual}-{number}" for number in range(1, len(taken) + 2))
    return next(free for free in names if free not in taken)


def is_taken(name: str, *, server: Server, but: Application) -> bool:
    """Whether another application's container on that server is called so."""
    return Application.objects.filter(server=server, container_name=name).exclude(pk=but.pk).exists()
