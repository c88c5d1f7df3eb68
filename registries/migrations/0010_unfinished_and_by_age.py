"""Indexes for the few batches that are not over, and for what is forgotten by its age.

They are made in the ordinary way, as those of 0006 are and for the same reasons.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("registries", "0009_standings"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="alarm",
            index=models.Index(
                condition=models.Q(("cleared_at__isnull", False)), fields=["cleared_at"], name="alarm_cleared"
            ),
        ),
        migrations.AddIndex(
            model_name="configcheck",
            index=models.Index(fields=["created_at"], name="config_check_by_age"),
        ),
        migrations.AddIndex(
            model_name="testbatch",
            index=models.Index(fields=["created_at"], name="test_batch_to_forget"),
        ),
        migrations.AddIndex(
            model_name="testbatch",
            index=models.Index(
                condition=models.Q(("finished_at__isnull", True)),
                fields=["created_at"],
                name="test_batch_unfinished",
            ),
        ),
    ]
