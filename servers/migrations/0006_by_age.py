"""An index for what is forgotten by its age."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("servers", "0005_large_databases"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="servertest",
            index=models.Index(fields=["created_at"], name="server_test_by_age"),
        ),
    ]
