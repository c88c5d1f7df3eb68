"""What may be pulled: registries with their tokens, the tests of them, and the servers that stay logged in."""

from registries.models.alarms import Alarm
from registries.models.logins import ConfigCheck, Login
from registries.models.registry import Registry, credentials_mark
from registries.models.rotation import Rotation
from registries.models.testing import DRAFT_LIFE, ONLY_HOST, Draft, RegistryTest, Standing, TestBatch
from registries.models.tokens import TokenRefresh

__all__ = [
    "DRAFT_LIFE",
    "ONLY_HOST",
    "Alarm",
    "ConfigCheck",
    "Draft",
    "Login",
    "Registry",
    "RegistryTest",
    "Rotation",
    "Standing",
    "TestBatch",
    "TokenRefresh",
    "credentials_mark",
]
