"""Indexes for what lists, sweeps and dispatchers ask of a large database.

They are made in the ordinary way, which keeps others from writing to the table meanwhile; the processes of the new
version wait for the migration anyway, and a backup can only be restored through migrations that are transactions.
"""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("organisations", "0007_large_databases"),
        ("registries", "0005_rotation_changes_more"),
        ("servers", "0005_large_databases"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="cataloglook",
            name="catalog_look_due",
        ),
        migrations.RemoveIndex(
            model_name="configcheck",
            name="config_check_due",
        ),
        migrations.RemoveIndex(
            model_name="registry",
            name="registry_by_url",
        ),
        migrations.RemoveIndex(
            model_name="registry",
            name="registry_by_username",
        ),
        migrations.RemoveIndex(
            model_name="registrytest",
            name="registry_test_due",
        ),
        migrations.RemoveIndex(
            model_name="tokenrefresh",
            name="token_refresh_due",
        ),
        migrations.AddField(
            model_name="registry",
            name="tested_at",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="When its last test was asked for: what lists are ordered by.",
                null=True,
            ),
        ),
        migrations.AddIndex(
            model_name="cataloglook",
            index=models.Index(
                condition=models.Q(("state__in", ["queued", "running"])),
                fields=["state", "created_at"],
                name="catalog_look_due",
            ),
        ),
        migrations.AddIndex(
            model_name="configcheck",
            index=models.Index(
                condition=models.Q(("state__in", ["queued", "running"])),
                fields=["state", "created_at"],
                name="config_check_due",
            ),
        ),
        migrations.AddIndex(
            model_name="login",
            index=models.Index(condition=models.Q(("state", "failed")), fields=["organisation"], name="login_failed"),
        ),
        migrations.AddIndex(
            model_name="registry",
            index=models.Index(fields=["organisation", "url", "id"], name="registry_by_url"),
        ),
        migrations.AddIndex(
            model_name="registry",
            index=models.Index(fields=["organisation", "username", "id"], name="registry_by_username"),
        ),
        migrations.AddIndex(
            model_name="registry",
            index=models.Index(fields=["organisation", "kind", "name"], name="registry_by_kind"),
        ),
        migrations.AddIndex(
            model_name="registry",
            index=models.Index(
                condition=models.Q(("method__gt", "")), fields=["token_expires_at"], name="registry_by_token_end"
            ),
        ),
        migrations.AddIndex(
            model_name="registry",
            index=models.Index(
                condition=models.Q(("secret_ends_on__isnull", False)),
                fields=["secret_ends_on"],
                name="registry_by_secret_end",
            ),
        ),
        migrations.AddIndex(
            model_name="registrytest",
            index=models.Index(
                condition=models.Q(("state__in", ["queued", "running"])),
                fields=["state", "created_at"],
                name="registry_test_due",
            ),
        ),
        migrations.AddIndex(
            model_name="registrytest",
            index=models.Index(
                condition=models.Q(("to_tidy", True)), fields=["created_at"], name="registry_test_to_tidy"
            ),
        ),
        migrations.AddIndex(
            model_name="registrytest",
            index=models.Index(
                condition=models.Q(("state", "passed"), ("verdict", ""), _negated=True),
                fields=["organisation"],
                name="registry_test_not_plain",
            ),
        ),
        migrations.AddIndex(
            model_name="tokenrefresh",
            index=models.Index(
                condition=models.Q(("state__in", ["queued", "running"])),
                fields=["state", "created_at"],
                name="token_refresh_due",
            ),
        ),
    ]
