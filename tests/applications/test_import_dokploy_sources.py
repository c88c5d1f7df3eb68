"""How import_dokploy reads: what it refuses, what it survives, and that no secret shows on the way."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from applications.importing.dokploy import database, http
from applications.importing.dokploy.encrypted import Opener
from applications.importing.dokploy.mapping import found_in
from organisations.models import User
from registries.models import Registry
from tests.applications.dokploy_rows import Importer, small, whole
from tests.applications.importers import API_KEY, Fill
from tests.importing import AUTH_SECRET, run, signs
from tests.lab.dokploy import DokployApi
from tests.lab.impostors import Refusing
from tests.lab.postgres import Postgres
from tests.lab.watch import watching
from tests.running import ROOT, Running

PASSWORD = "marked-database-password"
ARGUMENTS = ("--organisation", "acme", "--by", "alice")
NewImporter = Callable[..., Importer]


def from_stdin(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


# Both


def test_the_api_says_what_the_database_says(
    postgres: Postgres, dokploy_database: str, database_of: Fill, api: DokployApi
) -> None:
    dokploy = whole()
    database_of(dokploy)
    api.dokploy = dokploy
    opener = Opener([AUTH_SECRET])
    read = database.read(postgres.url(dokploy_database), organization="")
    asked = http.read(api.url, API_KEY, organization="")
    assert read.organization == asked.organization == "Acme GmbH"
    assert found_in(read, opener=opener) == found_in(asked, opener=opener)


# The database


def test_it_reads_and_changes_nothing_there(postgres: Postgres, dokploy_database: str, database_of: Fill) -> None:
    importer = database_of(whole())
    before = dump(postgres, dokploy_database)
    importer("--apply")
    assert dump(postgres, dokploy_database) == before
    assert len(before) > 10


def dump(postgres: Postgres, name: str) -> dict[str, list[str]]:
    with postgres.connected(name) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        rows = psycopg.sql.SQL("SELECT t::text FROM {} t")
        return {
            table: sorted(row[0] for row in connection.execute(rows.format(psycopg.sql.Identifier(table))))
            for (table,) in tables
        }


def test_nothing_that_is_read_may_write(postgres: Postgres, dokploy_database: str, database_of: Fill) -> None:
    """Not even if the database itself does when it is asked."""
    importer = database_of(whole())
    with postgres.connected(dokploy_database) as connection:
        connection.execute("CREATE TABLE visits (at timestamptz)")
        visit = "INSERT INTO visits VALUES (now()) RETURNING 'x'"
        connection.execute(f"CREATE FUNCTION visit() RETURNS text VOLATILE LANGUAGE sql AS $$ {visit} $$")
        connection.execute('ALTER TABLE "registry" RENAME TO "registries"')
        connection.execute('CREATE VIEW "registry" AS SELECT *, visit() FROM "registries"')
        connection.execute('ALTER VIEW "registry" RENAME COLUMN "password" TO "p"')
        connection.execute('ALTER VIEW "registry" RENAME COLUMN "visit" TO "password"')
    assert "cannot execute INSERT in a read-only transaction" in importer().error


def test_a_statement_that_takes_long_is_ended(
    postgres: Postgres, dokploy_database: str, database_of: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "STATEMENT_SECONDS", 1)
    importer = database_of(whole())
    with postgres.connected(dokploy_database) as connection, connection.transaction():
        connection.execute('LOCK TABLE "registry"')
        assert importer().error == "Dokploy's database took longer than 1 s for an answer."


def test_another_database_is_named_as_that(postgres: Postgres, new_importer: NewImporter) -> None:
    said = new_importer(DOKPLOY_DATABASE_URL=postgres.url(password=PASSWORD))()
    assert "This database is not one of Dokploy 0.30" in said.error


def test_an_older_dokploy_is_named_as_that(postgres: Postgres, dokploy_database: str, database_of: Fill) -> None:
    importer = database_of(whole())
    with postgres.connected(dokploy_database) as connection:
        connection.execute('ALTER TABLE "application" DROP COLUMN "ulimitsSwarm"')
    assert "This database is not one of Dokploy 0.30" in importer().error


def test_postgresqls_own_words_are_there_without_the_password(postgres: Postgres, new_importer: NewImporter) -> None:
    with postgres.connected() as connection:
        connection.execute("CREATE ROLE locked LOGIN PASSWORD 'another'")
    try:
        said = new_importer(DOKPLOY_DATABASE_URL=postgres.url(user="locked", password=PASSWORD))()
    finally:
        with postgres.connected() as connection:
            connection.execute("DROP ROLE locked")
    assert "PostgreSQL says: connection failed: " in said.error
    assert 'password authentication failed for user "locked"' in said.error


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://dokploy:{PASSWORD}@127.0.0.1:not-a-port/dokploy",
        f"postgresql://dokploy:{PASSWORD}@[127.0.0.1/dokploy",
        f"dokploy:{PASSWORD}@127.0.0.1/dokploy",
        f"postgresql://dokploy@127.0.0.1/dokploy?passwort={PASSWORD}",
        f"host=127.0.0.1 password='{PASSWORD}",
    ],
    ids=range(5),
)
def test_an_address_that_is_none_is_not_repeated(new_importer: NewImporter, address: str) -> None:
    said = new_importer(DOKPLOY_DATABASE_URL=address)()  # the run itself looks for the password
    assert said.error.startswith(("This is no address of a PostgreSQL database.", "Dokploy's database cannot be read."))


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://dokploy:{PASSWORD}@127.0.0.1/dokploy",
        f"postgresql://dokploy@127.0.0.1/dokploy?password={PASSWORD}",
        f"host=127.0.0.1 dbname=dokploy password={PASSWORD}",
        f"postgresql://dokploy:{PASSWORD}@127.0.0.1:not-a-port/dokploy",
    ],
    ids=["user part", "query", "words", "broken"],
)
def test_a_password_on_the_command_line_is_refused(alice: User, address: str) -> None:
    said = run("import_dokploy", *ARGUMENTS, "--database", address)
    assert "hand it over with --database -" in said.error or said.error.startswith("This is no address")


def test_an_address_without_a_password_may_stand_there(
    postgres: Postgres, dokploy_database: str, database_of: Fill
) -> None:
    database_of(small()[0])
    said = run("import_dokploy", *ARGUMENTS, "--database", postgres.url(dokploy_database))
    assert ("registry", "GHCR") in signs(said.out)["+"]


def test_the_address_may_come_from_standard_input(
    postgres: Postgres, dokploy_database: str, database_of: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    database_of(small()[0])
    monkeypatch.delenv("DOKPLOY_DATABASE_URL_FILE")
    from_stdin(postgres.url(dokploy_database, password=PASSWORD) + "\n", monkeypatch)
    assert ("registry", "GHCR") in signs(run("import_dokploy", *ARGUMENTS, "--database", "-").out)["+"]
    from_stdin("", monkeypatch)
    assert run("import_dokploy", *ARGUMENTS, "--database", "-").error == "There is nothing on standard input."


def test_without_any_source_it_says_which_there_are(alice: User) -> None:
    assert "--database, --api, or DOKPLOY_DATABASE_URL_FILE" in run("import_dokploy", *ARGUMENTS).error


def test_a_file_of_a_secret_that_is_not_there_is_named(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOKPLOY_DATABASE_URL_FILE", "/nowhere/at/all")
    assert "DOKPLOY_DATABASE_URL_FILE: /nowhere/at/all cannot be read" in run("import_dokploy", *ARGUMENTS).error


def test_no_process_shows_the_password(postgres: Postgres, tmp_path: Path) -> None:
    """In a process of its own, with a database of its own."""
    (tmp_path / "url").write_text(postgres.url("nowhere", password=PASSWORD))
    environment = Running(tmp_path / "data").environment | {"DOKPLOY_DATABASE_URL_FILE": str(tmp_path / "url")}
    manage = [sys.executable, "manage.py"]
    script = "from organisations.models import *; from organisations.setup import *\n"
    script += "create_organisation(name='Acme', owner=User.objects.create_user('alice'), slug='acme')"
    subprocess.run([*manage, "shell", "--verbosity", "0", "-c", script], cwd=ROOT, env=environment, check=True)
    with watching(PASSWORD) as watch:
        command = [*manage, "import_dokploy", *ARGUMENTS, "--traceback"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert 'database "nowhere" does not exist' in done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert watch.saw("manage.py import_dokploy")
    assert watch.sightings == set()


# The API


def test_a_wrong_key_is_refused(api: DokployApi, api_of: Fill) -> None:
    importer = api_of(whole())
    api.key = "another"
    assert "Dokploy refuses the key" in importer().error


def test_the_key_may_come_from_standard_input(
    api: DokployApi, new_importer: NewImporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.dokploy, _ids = small()
    from_stdin(f"{API_KEY}\n", monkeypatch)
    assert ("registry", "GHCR") in signs(new_importer("--api", api.url)().out)["+"]


def test_it_asks_with_get_for_what_it_needs_and_no_more(api: DokployApi, api_of: Fill) -> None:
    api_of(whole())()
    assert set(api.asked) == {
        "registry.all", "server.all", "sshKey.all", "project.all", "project.one", "application.one", "organization.all",
    }  # fmt: skip


@pytest.mark.parametrize(
    "address",
    ["http://dokploy.example.com", "http://10.0.0.5:3000", "http://localhost.example.com:3000"],
)
def test_no_key_goes_over_the_network_in_clear(new_importer: NewImporter, address: str) -> None:
    said = new_importer("--api", address, DOKPLOY_API_KEY=API_KEY)()
    assert "would go over the network in clear" in said.error
    assert "ssh -L" in said.error


@pytest.mark.parametrize(
    "address",
    [
        "dokploy.example.com",
        "ftp://dokploy.example.com",
        "https://",
        "https://admin:marked-api-key@dokploy.example.com",
        "https://dokploy.example.com/?key=marked-api-key",
        "https://dokploy.example.com:port",
        "https://dokploy.example.com/dashboard",
    ],
)
def test_an_address_that_is_none_is_refused(new_importer: NewImporter, address: str) -> None:
    said = new_importer("--api", address, DOKPLOY_API_KEY=API_KEY)()
    assert said.error.startswith("This is no address of a Dokploy.")


def test_the_address_may_end_with_api(api: DokployApi, new_importer: NewImporter) -> None:
    api.dokploy, _ids = small()
    said = new_importer("--api", f"{api.url}/api/", DOKPLOY_API_KEY=API_KEY)()
    assert ("registry", "GHCR") in signs(said.out)["+"]


def test_the_key_follows_no_redirect(api: DokployApi, api_of: Fill) -> None:
    importer = api_of(whole())
    with DokployApi(key=API_KEY) as elsewhere, api.having(sends_elsewhere=f"{elsewhere.url}/api/sshKey.all"):
        assert "with the status 307" in importer().error
    assert elsewhere.requests == 0


def test_what_is_no_dokploy_is_named_as_that(api: DokployApi, api_of: Fill) -> None:
    importer = api_of(whole())
    with api.having(talks_nonsense=True):
        assert "is no Dokploy: it sends no JSON" in importer().error
    with api.having(answers_500=True):
        assert "with the status 500" in importer().error


def test_one_that_does_not_answer_is_not_waited_for(
    api: DokployApi, api_of: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "SECONDS", 0.5)
    importer = api_of(whole())
    with api.having(hangs=True):
        assert "Dokploy does not answer sshKey.all: ReadTimeout." in importer().error
    with api.having(drips=True):
        assert "took longer than" in importer().error
    with Refusing() as closed:
        api_of(whole())
        said = run("import_dokploy", *ARGUMENTS, "--api", f"http://{closed.host}")
    assert "Dokploy does not answer sshKey.all: ConnectError." in said.error


def test_an_answer_without_an_end_is_cut_off(api: DokployApi, api_of: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LONGEST_ANSWER", 1000)
    importer = api_of(whole())
    with api.having(talks_too_much=True):
        assert "is longer than" in importer().error


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("registry", "password", None),
        ("registry", "registryUrl", 5),
        ("server", "port", "22"),
        ("ssh-key", "privateKey", ["x"]),
        ("project", "name", {}),
        ("environment", "env", 1),
        ("application", "dockerImage", False),
    ],
)
def test_an_answer_of_another_shape_is_named(
    api: DokployApi, api_of: Fill, table: str, column: str, value: object
) -> None:
    dokploy = whole()
    importer = api_of(dokploy)
    for row in dokploy.rows[table]:
        row[column] = value
    said = importer("--apply")
    assert "This is not what Dokploy 0.30 has" in said.error
    assert not Registry.objects.exists()
