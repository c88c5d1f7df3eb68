"""When each registry was tested last, taken from its last test.

Apart from the migration that adds the column: PostgreSQL alters no table whose rows were changed in the transaction.
"""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import OuterRef, Subquery


def fill(apps: Apps, _schema_editor: BaseDatabaseSchemaEditor) -> None:
    registries = apps.get_model("registries", "Registry").objects.filter(last_test__isnull=False)
    tests = apps.get_model("registries", "RegistryTest").objects.filter(pk=OuterRef("last_test"))
    registries.update(tested_at=Subquery(tests.values("created_at")[:1]))


class Migration(migrations.Migration):
    dependencies = [("registries", "0006_large_databases")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
