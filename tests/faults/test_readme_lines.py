"""The README's own lines, run in a shell: what people copy has to work."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.fixtures import ALICE, BOB
from tests.lab.registry import BasicRegistry
from tests.lab.sshd import Server
from tests.owner import Owner
from tests.program import Program, add_machine, key_of
from tests.running import ROOT, Running, running


@pytest.fixture(scope="module")
def dokreg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("readme") / "data") as started:
        started.wait_until_healthy()
        yield started


def blocks() -> list[str]:
    """The shell blocks of the README's section on the API."""
    text = (ROOT / "README.md").read_text()
    section = text.split("\n## API\n")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def test_what_the_readme_says_works(
    dokreg: Running, tmp_path: Path, server_one: Server, lab_registry: BasicRegistry
) -> None:
    Owner(dokreg)
    program = Program(dokreg, key_of(dokreg))
    server = add_machine(program, "web-1", server_one)
    stand_in_for_aws(tmp_path / "bin", ALICE.password)
    keep, first, renew, deploy = blocks()
    shell = Shell(tmp_path, program.key, {
        "https://dokreg.example.com": dokreg.url,
        "registry.example.com:5000": lab_registry.host,
        '"robot"': f'"{BOB.username}"',
        '"…"': json.dumps(BOB.password),
        "Zk3vQm8xWc2LrPz7NvYsB": server,
    })  # fmt: skip

    shell.run(keep, stdin=f"{program.key}\n")
    assert (tmp_path / "dokreg-key").stat().st_mode & 0o077 == 0
    listed, created, tested = split(first)
    assert json.loads(shell.run(listed)) == []
    record = json.loads(shell.run(created))
    assert record["registryName"] == "Production images"
    shell.words["V1StGXR8Z5jdHi6BmyTab"] = record["registryId"]
    assert json.loads(shell.run(tested)) is True
    assert json.loads(shell.run(renew.replace('"%s"}\'', '"%s", "username": "alice"}\''))) is True

    project = program.made("project.create", name="Shop")["project"]["projectId"]
    application = program.made("application.create", name="web", environmentId=project)["applicationId"]
    program.made("application.saveDockerProvider", applicationId=application, dockerImage="acme/web:1")
    shell.words["Gx2nVb7tKq4MwRz9LpYsE"] = application
    assert json.loads(shell.run(deploy))["success"] is True


def split(block: str) -> list[str]:
    """The three commands of a block, each with its document."""
    found = re.split(r"(?m)^(?=curl )", block)[1:]
    assert len(found) == 3
    return found


def stand_in_for_aws(folder: Path, password: str) -> None:
    """A command that prints a password where AWS's own would print a token."""
    folder.mkdir()
    (folder / "password").write_text(password.replace("\\", "\\\\").replace('"', '\\"'))
    (folder / "aws").write_text(f'#!/bin/sh\nexec cat "{folder}/password"\n')
    (folder / "aws").chmod(0o755)


class Shell:
    """A folder in which lines are run, with words of the README replaced by what is there."""

    def __init__(self, folder: Path, key: str, words: dict[str, str]) -> None:
        self.folder, self.words = folder, words
        path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        self.environment = {"PATH": path, "DOKREG_API_KEY": key, "LANG": "C.UTF-8"}

    def run(self, lines: str, stdin: str = "") -> str:
        for word, meant in self.words.items():
            lines = lines.replace(word, meant)
        done = subprocess.run(
            ["sh", "-c", lines], cwd=self.folder, env=self.environment, input=stdin, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout
