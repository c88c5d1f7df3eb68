"""Rows about the installation itself."""

from django.db import models
from django.utils import timezone

from dokreg.encryption import SecretField


class KeyCanary(models.Model):
    """One row with a known secret: if it opens, the keys are the ones that the database was written with."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    value = SecretField()

    def __str__(self) -> str:
        return "Key canary"


class Heartbeat(models.Model):
    """When a background process was last seen alive: `beat HOST:PROCESS`, or `worker NAME`."""

    name = models.CharField(max_length=200, primary_key=True)
    at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name
