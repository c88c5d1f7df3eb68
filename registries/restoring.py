"""What of registries ends when a backup is restored."""

import datetime as dt

from registries import rotations, tokens
from registries.models import CatalogLook, ConfigCheck, Draft, RegistryTest, TokenRefresh
from servers import runs


def end(_taken_at: dt.datetime) -> None:
    """Whatever is under way, with the secrets that it alone has."""
    runs.lose_all(RegistryTest, draft_password=None, begun={"to_tidy": True})
    runs.lose_all(ConfigCheck)
    runs.lose_all(CatalogLook)
    tokens.let_be_due(runs.lose_all(TokenRefresh))
    rotations.keep_all_old()
    Draft.objects.all().delete()
