"""Changes of projects and applications: what must happen together with them."""

from django.db import transaction
from django.utils import timezone

from applications import deploying
from applications.container_settings import read_environment
from applications.models import Application, Deployment, Project
from dokreg.encryption import SecretUnreadable
from organisations.deletion import delete_unless_used
from organisations.models import User

# What a container is made of, with its environment: a change of these shows on the page until the next deployment.
OF_THE_CONTAINER = (
    "server_id", "registry_id", "image", "container_name", "ports", "volumes", "command",
    "restart_policy", "network", "health_command", "health_interval_seconds", "health_timeout_seconds",
    "health_retries", "health_start_seconds", "memory_mb", "cpus",
)  # fmt: skip
# What workers write, which a form that was open meanwhile must not write back.
OF_THE_ENVIRONMENT = frozenset({"environment", "environment_names", "environment_changed_at"})
OF_THE_WORKERS = frozenset(
    {
        "last_deployment", "serving", "poll_due_at", "polled_at", "polled_digest", "poll_failures", "poll_cause",
        "webhook_key", "webhook_key_hash", "webhook_secret", "webhook_takes_unsigned", "webhook_changed_at",
    }
)  # fmt: skip


class StillDeploying(Exception):
    """It cannot be deleted while something is done to its container; `str()` is a sentence for people."""


def delete_project(*, project: Project) -> None:
    """Delete a project that has no applications any more. Raises StillUsed."""
    delete_unless_used(project)


def save_application(*, application: Application, environment: str | None) -> None:
    """Save an application; `environment` is the new text of its env file, or None to keep the stored one.

    Raises InvalidSetting for an environment that cannot be read.
    """
    with transaction.atomic():
        before = Application.objects.select_for_update().filter(pk=application.pk).first()
        is_entered = environment is not None and _take_environment(application, environment)
        if before is None:
            _begin_polling(application)
            application.save(force_insert=True)
            return
        if is_entered or any(getattr(application, name) != getattr(before, name) for name in OF_THE_CONTAINER):
            application.settings_changed_at = timezone.now()
        columns = [field.name for field in Application._meta.concrete_fields if not field.primary_key]
        # What is not entered anew may be another key's by now, or another's text.
        kept = OF_THE_WORKERS | (frozenset() if is_entered else OF_THE_ENVIRONMENT)
        written = [name for name in columns if name not in kept]
        if (application.poll_minutes, application.image) != (before.poll_minutes, before.image):
            _begin_polling(application)
            written += ["poll_due_at", "polled_digest", "poll_failures", "poll_cause"]
        application.save(update_fields=written)


def delete_application(*, application: Application, leave_container: bool, by: User | None) -> Deployment | None:
    """Delete an application with its history; the deployment that removes its container first, if one has to.

    With `leave_container` the container is left as it is on its server, and is nobody's from then on. Raises
    StillDeploying, CannotDeploy.
    """
    with transaction.atomic():
        Application.objects.select_for_update().filter(pk=application.pk).first()
        has_container = application.serving is not None or deploying.has_leftovers(application)
        if has_container and not leave_container:
            return deploying.ask_for(application=application, action=Deployment.Action.DELETE, asked_by=by)
        if application.deployments.filter(state__in=deploying.UNFINISHED).exists():
            raise StillDeploying("A deployment of it is under way. Wait for its end, or cancel it first.")
        application.delete()
    return None


def _take_environment(application: Application, text: str) -> bool:
    """Whether it is another one than that which was read."""
    if text == _stored_environment(application):
        return False
    application.environment = text or None
    application.environment_names = sorted(read_environment(text))
    application.environment_changed_at = timezone.now()
    return True


def _stored_environment(application: Application) -> str | None:
    """What is stored in clear; None if it cannot be opened any more, which anything new replaces."""
    try:
        return application.environment.reveal() if application.environment is not None else ""
    except SecretUnreadable:
        return None


def _begin_polling(application: Application) -> None:
    application.poll_due_at = timezone.now() if application.poll_minutes else None
    application.polled_digest = application.poll_cause = ""
    application.poll_failures = 0
