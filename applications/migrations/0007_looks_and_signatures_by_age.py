"""Indexes for looks and signatures, which are forgotten by their age; of signatures few are forgotten soon.

They are made in the ordinary way, as those of 0005 are and for the same reasons.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("applications", "0006_by_age"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="containerlook",
            index=models.Index(fields=["created_at"], name="container_look_by_age"),
        ),
        migrations.AlterField(
            model_name="webhooksignature",
            name="seen_at",
            field=models.DateTimeField(),
        ),
        migrations.AddIndex(
            model_name="webhooksignature",
            index=models.Index(fields=["is_timeless", "seen_at"], name="webhook_signature_by_age"),
        ),
    ]
