"""The web server's own lines in the same form: `gunicorn --logger-class dokreg.logs.gunicorn.Logger`.

Its first process has no settings of Django, so the form is read from the environment.
"""

import logging
from typing import Any

from gunicorn import glogging

from dokreg.configuration import as_log_format, read_environment
from dokreg.logs import JSON, AddRequestId


class Logger(glogging.Logger):  # type: ignore[misc]  # the package has no types
    """Gunicorn's logger; with DOKREG_LOG_FORMAT=json it writes JSON as well."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        if read_environment().parse("DOKREG_LOG_FORMAT", as_log_format, "text") != JSON:
            return
        from dokreg.logs.formatting import Lines

        for handler in [*logging.getLogger("gunicorn.error").handlers, *logging.getLogger("gunicorn.access").handlers]:
            handler.setFormatter(Lines())
            handler.addFilter(AddRequestId())
