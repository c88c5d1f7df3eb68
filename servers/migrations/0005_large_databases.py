"""Indexes for what lists, sweeps and dispatchers ask of a large database.

They are made in the ordinary way, which keeps others from writing to the table meanwhile; the processes of the new
version wait for the migration anyway, and a backup can only be restored through migrations that are transactions.
"""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("organisations", "0007_large_databases"),
        ("servers", "0004_descriptions"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="servertest",
            name="server_test_due",
        ),
        migrations.AddIndex(
            model_name="servertest",
            index=models.Index(
                condition=models.Q(("state__in", ["queued", "running"])),
                fields=["state", "created_at"],
                name="server_test_due",
            ),
        ),
    ]
