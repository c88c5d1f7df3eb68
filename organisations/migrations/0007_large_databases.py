"""Indexes for what lists, sweeps and dispatchers ask of a large database.

They are made in the ordinary way, which keeps others from writing to the table meanwhile; the processes of the new
version wait for the migration anyway, and a backup can only be restored through migrations that are transactions.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("contenttypes", "0002_remove_content_type_name"),
        ("organisations", "0006_api_key_made_with"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(fields=["organisation", "content_type", "-timestamp"], name="audit_by_kind"),
        ),
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(fields=["organisation", "event", "-timestamp"], name="audit_by_event"),
        ),
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(fields=["organisation", "action", "-timestamp"], name="audit_by_action"),
        ),
    ]
