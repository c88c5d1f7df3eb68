"""What may be pulled: registries with their tokens, the tests of them, the servers that stay logged in, and what
there is to pull."""

from registries.models.alarms import Alarm
from registries.models.catalog import CatalogLook, Quota
from registries.models.logins import ConfigCheck, Login
from registries.models.registry import Registry, credentials_mark
from registries.models.rotation import Rotation
from registries.models.testing import DRAFT_LIFE, ONLY_HOST, Draft, RegistryTest, Standing, TestBatch
from registries.models.tokens import TokenRefresh

__all__ = [
    "DRAFT_LIFE",
    "ONLY_HOST",
    "Alarm",
    "CatalogLook",
    "ConfigCheck",
    "Draft",
    "Login",
    "Quota",
    "Registry",
    "RegistryTest",
    "Rotation",
    "Standing",
    "TestBatch",
    "TokenRefresh",
    "credentials_mark",
]
