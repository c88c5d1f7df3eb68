"""An index for what is forgotten by its age."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("registries", "0007_tested_at"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="registrytest",
            index=models.Index(fields=["created_at"], name="registry_test_by_age"),
        ),
    ]
