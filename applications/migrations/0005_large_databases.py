"""Indexes for what lists, sweeps and dispatchers ask of a large database.

They are made in the ordinary way, which keeps others from writing to the table meanwhile; the processes of the new
version wait for the migration anyway, and a backup can only be restored through migrations that are transactions.
"""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("applications", "0004_descriptions"),
        ("organisations", "0006_api_key_made_with"),
        ("servers", "0004_descriptions"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="containerlook",
            name="container_look_due",
        ),
        migrations.RemoveIndex(
            model_name="deployment",
            name="deployment_due",
        ),
        migrations.AddIndex(
            model_name="containerlook",
            index=models.Index(
                condition=models.Q(("state__in", ["queued", "running"])),
                fields=["state", "created_at"],
                name="container_look_due",
            ),
        ),
        migrations.AddIndex(
            model_name="deployment",
            index=models.Index(
                condition=models.Q(("state__in", ["queued", "running"])),
                fields=["state", "sent_at", "created_at"],
                name="deployment_due",
            ),
        ),
        migrations.AddIndex(
            model_name="deployment",
            index=models.Index(
                condition=models.Q(("action", "tidy")), fields=["finished_at"], name="deployment_tidying"
            ),
        ),
    ]
