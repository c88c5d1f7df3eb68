"""An index for what is forgotten by its age."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("applications", "0005_large_databases"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="deployment",
            index=models.Index(fields=["created_at"], name="deployment_by_age"),
        ),
    ]
