"""Hunts for marked secrets in every place where one could show, after a whole dokreg has worked with them."""

import functools
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import beside
from tests.api_hunt import Rounds
from tests.lab import sshd
from tests.lab.aws import Aws
from tests.lab.engine import Engine
from tests.lab.fixtures import ALICE
from tests.lab.impostors import HttpImpostor, denying
from tests.lab.registry import BasicRegistry, BearerRegistry
from tests.lab.watch import Watch, encodings, files_with, watching
from tests.owner import PASSWORD, Owner
from tests.running import Running, running

SECRETS = {
    "right": "marked-right-secret",
    "wrong": "marked-wrong-secret",
    "pasted": "marked-pasted-secret",
    "new": "marked-new-secret",
    "foreign": "marked-foreign-secret",
    "access key": "marked/secret+access+key/of/forty/letters",
    "channel": "marked-channel-token",
    "environment": "marked-environment-value",
    "metrics": "marked-metrics-token",
}
ECR_HOST = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
KEY_ID = "AKIAIOSFODNN7EXAMPLE"
ITS_FORM = re.compile(r"/acme/applications/\w+/edit/")  # those who may change it read the environment there
ITS_WEBHOOK = re.compile(r"/acme/applications/\w+/webhook/")  # the same for the address that is to be called
SAYS_ITS_ENVIRONMENT = '["/bin/busybox", "sh", "-c", "env; exec sleep 3600"]'
UNDERSTOOD = "docker login -u marked -p marked-pasted-secret registry.example.com"


class Hunt(NamedTuple):
    """A dokreg after its work, and what was seen of it meanwhile."""

    dokreg: Running
    owner: Owner
    others: list[str]  # a part of the SSH key, a webhook's signing secret, an API key, every token that was minted
    webhook_key: str
    watch: Watch
    answers: list[str]


@pytest.fixture(scope="module")
def hunt(
    tmp_path_factory: pytest.TempPathFactory,
    server_one: sshd.Server,
    engine_one: Engine,
    bearer_registry: BearerRegistry,
    lab_registry: BasicRegistry,
) -> Iterator[Hunt]:
    bearer_registry.tokens.passwords |= {"marked": SECRETS["right"], "by-hand": SECRETS["foreign"]}
    data = tmp_path_factory.mktemp("hunt") / "data"
    token = data.with_name("metrics-token")
    token.write_text(SECRETS["metrics"])
    told = functools.partial(running, DOKREG_LOG_FORMAT="json", DOKREG_METRICS_TOKEN_FILE=str(token))
    with Aws() as cloud, told(data, DOKREG_AWS_ENDPOINT_URL=cloud.url) as dokreg:
        dokreg.wait_until_healthy()
        answers: list[str] = []
        with watching(*SECRETS.values(), PASSWORD) as watch:
            owner = Owner(dokreg)
            server_id = owner.add_server("web-1", server_one)
            answers += _work(owner, bearer_registry.host, server_id)
            answers += _mint(owner, cloud)
            answers += _stay_logged_in(owner, bearer_registry.host, server_id, server_one)
            answers.append(_be_told(owner))
        rounds = _go_rounds(dokreg, bearer_registry.host, server_one, watch)
        answers += rounds.answers
        # After the watch: the container itself has its environment.
        answers += _deploy(owner, lab_registry, engine_one, server_id)
        key, secret = _be_called(owner)
        middle = server_one.private_key.splitlines()[2]
        others = [middle, secret, _make_api_key(owner), rounds.key, *rounds.new_keys, *cloud.all_tokens()]
        yield Hunt(dokreg, owner, others, key, watch, answers)


def _work(owner: Owner, host: str, server_id: str) -> list[str]:
    """Everything that takes a secret, with success and with failure; what was answered."""
    add, form = "/acme/settings/registries/add/generic/", {"url": host, "username": "marked", "server": server_id}
    answers = []
    for password in (SECRETS["right"], SECRETS["wrong"]):
        page = owner.test_draft(**form, password=password, image="acme/none:1")
        answers += [page.text, owner.ladder(page.match(r'hx-get="([^"]+)"'))]
    answers.append(owner.post(add, **form, name="", password=SECRETS["wrong"]).text)
    saved = owner.post(add, **form, name="Marked", password=SECRETS["right"])
    answers += [saved.text, owner.post(f"{saved.address}test/", server=server_id, image="acme/none:1").text]
    answers.append(owner.wait_for_ladder(saved.address))
    owner.get(f"{saved.address}edit/")
    answers.append(
        owner.post(f"{saved.address}edit/", **form | {"url": "a b"}, name="x", password=SECRETS["wrong"]).text
    )
    owner.get("/acme/settings/registries/add/")
    answers += [owner.post(f"{add}../paste/", text=text).text for text in (UNDERSTOOD, f"? {UNDERSTOOD} ?")]
    impostor = HttpImpostor(denying).start()
    page = owner.test_draft(**form | {"url": impostor.host}, password=SECRETS["wrong"])
    answers.append(owner.ladder(page.match(r'hx-get="([^"]+)"')))
    impostor.stop()
    return answers


def _mint(owner: Owner, cloud: Aws) -> list[str]:
    """Mint a token, and be refused the next one."""
    add = "/acme/settings/registries/add/ecr/"
    form = {"url": ECR_HOST, "method": "access_key", "account_access_key_id": KEY_ID}
    secret = SECRETS["access key"]
    owner.get(add)
    page = owner.test_draft(kind="ecr", **form, password=secret)
    answers = [page.text, owner.ladder(page.match(r'hx-get="([^"]+)"'))]
    saved = owner.post(add, **form, name="Minted", password=secret)
    answers.append(owner.wait_until(saved.address, "Refresh due").text)
    cloud.revoked.add(KEY_ID)
    owner.post(f"{saved.address}refresh/")
    return [*answers, owner.wait_until(saved.address, "own words").text]


def _stay_logged_in(owner: Owner, host: str, server_id: str, server: sshd.Server) -> list[str]:
    """Log a server in, find it and what somebody did by hand, fail to change the secret, and log out again."""
    by_hand = f"docker login --username by-hand --password-stdin localhost:{host.rpartition(':')[2]}"
    assert server.ssh(by_hand, stdin=SECRETS["foreign"]).returncode == 0
    listed = owner.get("/acme/settings/registries/")
    registry = listed.match(r'href="([^"]+)">Marked<')
    logins = f"/acme/settings/registries/servers/{server_id}/"
    owner.post(f"{registry}logins/", servers=server_id)
    answers = [owner.wait_until(registry, 'data-state="held"').text]
    owner.post(f"{logins}check/")
    answers.append(owner.wait_until(logins, 'data-state="foreign"').text)
    found = answers[-1].partition('data-state="foreign"')[2]
    foreign = re.findall(r'name="host" type="hidden" value="([^"]+)"', found)[0]
    owner.post(f"{logins}adopt/", host=foreign, folder="", registry="")
    draft = owner.wait_until(logins, "Go on to the form").match(r'href="([^"]+draft=[^"]+)"')
    answers.append(owner.get(draft).text)
    owner.get(f"{registry}edit/")
    owner.post(
        f"{registry}edit/", name="Marked", url=host, username="marked", password=SECRETS["new"], server=server_id
    )
    answers.append(owner.wait_until(registry, "Not every server could log in").text)
    owner.post(f"{registry}logins/")
    owner.wait_until(registry, "Stay logged in", without='data-state="held"')
    owner.post(f"{logins}remove/", host=foreign, folder="")
    owner.wait_until(logins, "Docker logins", without='data-state="leaving"')
    return answers


def _deploy(owner: Owner, registry: BasicRegistry, engine: Engine, server_id: str) -> list[str]:
    """Deploy an application that says its whole environment, and look at it; then remove its container."""
    image = f"{registry.host}/shop/talkative:1"
    engine.import_image(image, command=SAYS_ITS_ENVIRONMENT)
    engine.push(image, ALICE)
    application = owner.get(
        owner.add_application(
            name="talkative",
            server=server_id,
            registry=owner.add_registry(registry.host, ALICE),
            image=image,
            network="host",
            restart_policy="no",
            settle_seconds="1",
            stop_seconds="1",
            environment=f"TOKEN={SECRETS['environment']}",
        )
    )
    deployment = owner.post(f"{application.address}deploy/")
    answers = [application.text, owner.wait_until(deployment.address, "Look at the container").text]
    assert "TOKEN=" in answers[-1]  # it has said it, and the value is masked
    owner.get(application.address)
    owner.post(f"{application.address}look/")
    answers.append(owner.wait_until(application.address, "Its last lines").text)
    assert "TOKEN=" in answers[-1]
    removal = owner.post(f"{application.address}action/", action="remove")
    return [*answers, owner.wait_until(removal.address, "To the application").text]


def _be_called(owner: Owner) -> tuple[str, str]:
    """Make a webhook for the application, and call it, rightly and wrongly; its key and its signing secret."""
    hook = owner.get("/acme/projects/").match(r'href="(/acme/applications/\w+/)"') + "webhook/"
    owner.get(hook)
    address = owner.post(f"{hook}key/").match(r'id="webhook-address"[^>]*>([^<]+)<').strip()
    secret = owner.post(f"{hook}secret/").match(r'id="webhook-secret"[^>]*>([^<]+)<').strip()
    for key, headers in ((address, {"X-Dokreg-Signature-256": f"sha256={secret}"}), (f"{address}x", {})):
        request = urllib.request.Request(key, data=b"{}", headers=headers | {"Content-Type": "application/json"})
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(request)
    return address.rpartition("/")[2], secret


def _go_rounds(dokreg: Running, host: str, server: sshd.Server, watch: Watch) -> Rounds:
    """Call every procedure of the API, with a key that must show nowhere either."""
    rounds = Rounds(dokreg, SECRETS)
    with watching(rounds.key, *SECRETS.values()) as also:
        rounds.go_right(server, host)
        rounds.go_wrong()
    watch.sightings |= also.sightings
    return rounds


def _make_api_key(owner: Owner) -> str:
    """Make an API key on its page, ask for it again in vain, and revoke it; the key."""
    add = "/acme/settings/api-keys/add/"
    sent = {
        "key_id": owner.get(add).match(r'name="key_id" value="(\w+)"'),
        "name": "Marked",
        "life": "day",
        "last_day": "2999-12-31",
        "extent": "whatever",
    }
    assert owner.post(add, **sent | {"last_day": "2000-01-01"}).status == 422
    key = owner.post(add, **sent).match(r'id="api-key">([a-zA-Z]{64})<')
    again = owner.post(add, **sent)
    assert again.address.endswith("/api-keys/")
    assert key not in again.text
    owner.post(again.match(r'href="([^"]+/revoke/)"'))
    return key


def _be_told(owner: Owner) -> str:
    owner.get("/acme/settings/notifications/add/")
    address = f"json://:{SECRETS['channel']}@chat.example.com/{SECRETS['channel']}"
    return owner.post("/acme/settings/notifications/add/", name="Chat", how="apprise", address=address).text


def found_in(text: str, hunt: Hunt) -> list[str]:
    """The marked secrets in a text, as they are or in base64."""
    return [
        secret
        for secret in (*SECRETS.values(), *hunt.others, hunt.webhook_key)
        if any(form in text.encode() for form in encodings(secret))
    ]


def test_the_work_was_done(hunt: Hunt) -> None:
    words = " ".join(hunt.answers)
    assert 'data-state="passed"' in words
    assert 'data-state="failed"' in words
    assert hunt.watch.saw("docker login")


def test_no_answer_holds_one(hunt: Hunt) -> None:
    assert [found_in(answer, hunt) for answer in hunt.answers] == [[]] * len(hunt.answers)


def test_no_page_holds_one(hunt: Hunt) -> None:
    seen: set[str] = set()
    waiting = ["/acme/settings/registries/", "/acme/settings/audit/", "/admin/", "/account/"]
    while waiting:
        path = waiting.pop()
        if path in seen or "sign-out" in path or "logout" in path:
            continue
        seen.add(path)
        page = hunt.owner.get(path)
        assert page.status < 500, path
        meant = [SECRETS["environment"]] * bool(ITS_FORM.fullmatch(path))
        meant += [hunt.webhook_key] * bool(ITS_WEBHOOK.fullmatch(path))
        assert found_in(page.text, hunt) == meant, path
        waiting += [link for link in re.findall(r'href="(/[^"?#]+)', page.text) if not link.startswith("/static/")]
    assert len(seen) > 50
    assert "/acme/settings/notifications/" in seen
    assert [path for path in seen if re.fullmatch(r"/acme/settings/api-keys/\w{21}/", path)]
    for shown in (ITS_FORM, ITS_WEBHOOK):
        assert any(shown.fullmatch(path) for path in seen)


def test_no_process_holds_one(hunt: Hunt) -> None:
    assert hunt.watch.sightings == set()


def content_of(path: Path) -> bytes:
    """Nothing, if it is gone: PostgreSQL goes on working, and replaces some of its files."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def test_no_file_of_dokreg_holds_one(hunt: Hunt) -> None:
    folders = [hunt.dokreg.data, *beside.folders()]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and "static" not in path.parts]
    assert {path.name for path in files} & {"dokreg.sqlite3", "PG_VERSION"}
    texts = {path: content_of(path) for path in files}
    forms = [form for secret in (*SECRETS.values(), *hunt.others, hunt.webhook_key) for form in encodings(secret)]
    assert [path for path, text in texts.items() if any(form in text for form in forms)] == []


def test_the_terminal_shows_none(hunt: Hunt) -> None:
    assert hunt.dokreg.output
    assert found_in(hunt.dokreg.output, hunt) == []


def test_neither_the_doctor_nor_the_metrics_show_one(hunt: Hunt) -> None:
    said = hunt.dokreg.manage("doctor")
    assert "DOKREG_METRICS_TOKEN: set, not shown" in said
    headers = {"Authorization": f"Bearer {SECRETS['metrics']}"}
    with urllib.request.urlopen(urllib.request.Request(f"{hunt.dokreg.url}/metrics", headers=headers)) as answer:
        figures = answer.read().decode()
    assert "dokreg_runs{" in figures
    assert [found_in(text, hunt) for text in (said, figures)] == [[], []]


def test_a_dump_of_the_database_shows_none(hunt: Hunt) -> None:
    dump = hunt.dokreg.manage("dumpdata")
    assert '"registries.registry"' in dump
    assert found_in(dump, hunt) == []


@pytest.mark.parametrize("name", SECRETS)  # not its value: pytest writes that into the environment
def test_no_file_on_the_server_holds_one(hunt: Hunt, server_one: sshd.Server, name: str) -> None:
    assert files_with(SECRETS[name], server_one.home, Path("/dev/shm"), Path("/root/.docker")) == []
