"""The checks of the installation itself, in the order in which they are read."""

from dokreg.doctor import background, database, installation, pruning
from dokreg.doctor.checks import BROKER, DATABASE, register


def register_checks() -> None:
    register("Settings", installation.look_at_settings)
    register("Versions", installation.look_at_versions)
    register("Database", database.look_at_it, needs=[DATABASE])
    register("Database", database.look_at_migrations, needs=[DATABASE])
    register("Database", database.look_at_connections, needs=[DATABASE])
    register("Database", database.look_at_the_clock, needs=[DATABASE])
    register("Broker", background.look_at_the_broker, needs=[BROKER])
    register("Workers", background.look_at_the_workers, needs=[DATABASE, BROKER])
    register("Beat", background.look_at_beat, needs=[DATABASE])
    register("Retention", pruning.look_at_it, needs=[DATABASE])
    register("Keys", installation.look_at_keys, needs=[DATABASE])
    register("Keys", installation.look_at_secrets, needs=[DATABASE], is_thorough=True)
    register("Data folder", installation.look_at_data_folder)
