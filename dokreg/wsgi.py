"""The web application for a WSGI server; refuses to start with keys that do not open the database."""

import os

from django.core.wsgi import get_wsgi_application
from django.db import DatabaseError

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dokreg.settings")
application = get_wsgi_application()

from dokreg.checks import WrongKeys, verify_keys  # noqa: E402 - models need the application first

try:
    verify_keys()
except WrongKeys as error:
    raise SystemExit(str(error)) from error
except DatabaseError:
    pass  # the database may come up after us; /healthz says that it is away
