"""What the workers do for servers."""

from celery import shared_task

from servers import docker, runs, ssh, testing
from servers.models import Server, ServerTest


@shared_task
def run_server_test(test_id: str) -> None:
    testing.run(test_id)


@shared_task
def sweep_server_tests() -> None:
    runs.sweep(ServerTest, run_server_test)


@shared_task(autoretry_for=(ssh.Unreachable,), max_retries=5, retry_backoff=30, retry_jitter=True)
def tidy_host(server_id: str | None, run_id: str) -> None:
    """Remove what a lost run may have left on its server, or on dokreg's own host."""
    server = Server.objects.select_related("ssh_key").filter(pk=server_id).first() if server_id else None
    if server_id and server is None:
        return
    docker.tidy(docker.host_of(server), run_id=run_id)
