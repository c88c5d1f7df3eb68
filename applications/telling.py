"""Tells people how deployments end that nobody watched; whoever clicked sees it on the page."""

from applications.models import Application, Deployment
from organisations import notifying
from organisations.notification_models import Notice
from servers.verdicts import Verdict

UNATTENDED = frozenset({Deployment.Reason.WEBHOOK, Deployment.Reason.POLL})


def failed(deployment: Deployment, application: Application, verdict: Verdict | None) -> None:
    """One that a webhook or a poll had asked for did not succeed."""
    if deployment.reason in UNATTENDED and verdict is not None:
        _notify(
            deployment,
            Notice.Level.FAILURE,
            title=f"{application.name} could not be deployed on {deployment.server_name}",
            text=f"{verdict.cause} {verdict.fix} {_of_before(deployment)} It was asked for by this: "
            f"{deployment.get_reason_display().lower()}{f' ({deployment.note})' if deployment.note else ''}.",
        )


def succeeded_again(deployment: Deployment, application: Application) -> None:
    """The one before had failed, and people were told so."""
    if deployment.reason not in UNATTENDED or not deployment.pulls:
        return
    earlier = application.deployments.filter(action__in=Deployment.PULLS, created_at__lt=deployment.created_at)
    last = earlier.exclude(state=Deployment.State.CANCELLED).first()
    if last is not None and last.reason in UNATTENDED and last.state == Deployment.State.FAILED:
        _notify(
            deployment,
            Notice.Level.SUCCESS,
            title=f"{application.name} was deployed on {deployment.server_name}",
            text=f"{deployment.reference} runs, after the deployment before had failed.",
        )


def lost(deployment: Deployment) -> None:
    """Its worker died; that is told whoever had asked for it."""
    if deployment.pulls:
        _notify(
            deployment,
            Notice.Level.WARNING,
            title=f"A deployment of {deployment.application.name} was lost",
            text=f"The worker that ran it stopped. dokreg puts {deployment.server_name} right, so that what ran before "
            "runs on; then deploy again.",
        )


def _of_before(deployment: Deployment) -> str:
    if deployment.to_tidy:
        return "What ran before could not be started again yet; dokreg tries that every minute for a day."
    return "What ran before runs on."


def _notify(deployment: Deployment, level: str, *, title: str, text: str) -> None:
    notifying.notify(
        organisation=deployment.organisation, level=level, title=title, text=text, path=deployment.get_absolute_url()
    )
