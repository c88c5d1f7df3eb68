"""The HTTP API: two thin adapters, REST and tRPC, over one set of procedures.

The wire format is that of Dokploy 0.30.2, so that its clients work unchanged; where that is unsafe (secrets in
answers), dokreg's is safe and still does for them. What a procedure does stands in the `api.py` of its app.
"""

import functools
import importlib

# Whoever declares procedures.
DECLARED_IN = ("dokreg.api.about", "organisations.api", "servers.api", "registries.api", "applications.api")


@functools.cache
def load() -> None:
    """Let every app declare its procedures; once, when the first request comes."""
    for name in DECLARED_IN:
        importlib.import_module(name)
