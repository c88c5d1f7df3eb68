"""The worker of `manage.py up`: `python -m dokreg.celery_worker THREADS`.

The same as `celery --app dokreg worker --queues default,ssh --pool threads --concurrency THREADS`, without what
Celery's command line needs for its other commands, which would stay in memory.
"""

import sys

from celery import concurrency
from celery.utils.nodenames import default_nodename, host_format

from dokreg.celery import app


def main(threads: int) -> int:
    """Take tasks of both queues until told to end; the exit status."""
    worker = app.Worker(
        hostname=host_format(default_nodename("")),
        pool_cls=concurrency.get_implementation("threads"),
        concurrency=threads,
        queues=["default", "ssh"],
        loglevel="WARNING",
        quiet=True,
        without_gossip=True,
        without_mingle=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
