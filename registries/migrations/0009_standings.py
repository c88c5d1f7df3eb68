"""The way from a test to the pair whose last one it is; in the database nothing changes."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("registries", "0008_by_age"),
    ]

    operations = [
        migrations.AlterField(
            model_name="standing",
            name="last_test",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="standings",
                to="registries.registrytest",
            ),
        ),
    ]
