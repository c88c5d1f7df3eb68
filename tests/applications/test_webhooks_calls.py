"""Calls of a webhook: which are taken, which are refused, and that nothing of them is kept or shown."""

import datetime as dt
import json
import logging
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from applications.models import Application, Deployment
from applications.webhook_models import WebhookDelivery, WebhookSignature
from applications.webhooks import calling, deliveries, keys, signatures
from applications.webhooks.receiving import MOST_BYTES
from dokreg.retention import prune
from organisations.models import Organisation, User
from tests.applications import webhook_calls as calls
from tests.applications.webhook_calls import call, hooked, path_of, signed, signed_like_github

IMAGE = "registry.example.com/acme/web:1.4"
NAMED = json.dumps({"image": IMAGE})
QUEUED, IGNORED, REFUSED = WebhookDelivery.Outcome.values


@pytest.fixture(autouse=True)
def _nobody_has_called() -> None:
    cache.clear()


@pytest.fixture
def application(organisation: Organisation, alice: User) -> Application:
    return hooked(organisation, alice, IMAGE)


@pytest.fixture
def secret(application: Application, alice: User) -> str:
    return keys.make_secret(application=application, by=alice)


def bare_call(path: str, **extra: str) -> Any:
    """POST nothing, and say nothing of its type, as `curl -X POST` does."""
    return Client().generic("POST", path, content_type="", **extra)  # type: ignore[arg-type]


def outcomes() -> list[str]:
    return list(WebhookDelivery.objects.order_by("created_at").values_list("outcome", flat=True))


def test_a_bare_call_deploys_what_is_set(application: Application) -> None:
    status, answer = call(application)
    deployment = Deployment.objects.get()
    assert (status, answer) == (200, {"status": "queued", "deployment": deployment.pk})
    assert (deployment.reference, deployment.reason, deployment.note) == (IMAGE, "webhook", "CI called")
    assert call(application, " \n ")[1]["deployment"] == deployment.pk
    assert call(application, {})[1]["deployment"] == deployment.pk


def test_the_address_works_with_a_slash_and_as_curl_posts(application: Application) -> None:
    path = path_of(application)
    assert bare_call(f"{path}/").json()["status"] == "queued"
    form = "application/x-www-form-urlencoded"
    other = json.dumps({"image": "registry.example.com/acme/web:1.5"})
    assert Client().generic("POST", path, other, content_type=form).json()["status"] == "ignored"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_it_takes_post_alone(application: Application, method: str) -> None:
    assert Client().generic(method, path_of(application)).status_code == 405
    assert Client().generic(method, "/webhooks/no-such-key").status_code == 405
    assert not WebhookDelivery.objects.exists()


def test_an_unknown_key_finds_nothing_in_as_many_queries(
    application: Application, django_assert_num_queries: Any
) -> None:
    key = path_of(application).removeprefix("/webhooks/")
    for wrong in (key.swapcase(), key[:-1], f"{key}x", "x", application.webhook_key_hash):
        with django_assert_num_queries(1):
            answer = bare_call(f"/webhooks/{wrong}")
        assert (answer.status_code, list(answer.json())) == (404, ["error"])
    assert not Deployment.objects.exists()


def test_an_application_without_a_webhook_is_not_found_by_an_empty_key(organisation: Organisation, alice: User) -> None:
    application = hooked(organisation, alice, IMAGE)
    path = path_of(application)
    keys.end_key(application=application, by=alice)
    assert keys.find("") is None
    assert bare_call(path).status_code == 404


def test_a_renewed_address_ends_the_old_one(application: Application, alice: User) -> None:
    before = path_of(application)
    keys.make_key(application=application, by=alice)
    assert bare_call(before).status_code == 404
    assert call(application)[0] == 200


@pytest.mark.parametrize("body", ["{", "[1]", '"text"', "nonsense", "payload=%7B%7D", "[" * 100_000, "9" * 100_000])
def test_what_is_no_json_object_is_refused_with_a_sentence(application: Application, body: str) -> None:
    status, answer = call(application, body)
    assert status == 400
    assert answer["error"].startswith("The body is ")
    assert (outcomes(), Deployment.objects.count()) == ([REFUSED], 0)


def test_what_is_no_text_is_refused(application: Application) -> None:
    answer = Client().generic("POST", path_of(application), b"\xff\xfe\xfa", content_type="application/json")
    assert answer.status_code == 400


def test_a_body_may_have_256_kb(application: Application) -> None:
    padding = MOST_BYTES - len(NAMED)
    assert call(application, NAMED + " " * padding)[0] == 200
    assert call(application, NAMED + " " * (padding + 1))[0] == 413
    assert outcomes() == [QUEUED, REFUSED]


def test_a_body_that_is_hidden_does_not_count_as_none(application: Application) -> None:
    chunked = Client().generic("POST", path_of(application), headers={"Transfer-Encoding": "chunked"})
    assert chunked.status_code == 411
    assert Client().post(path_of(application), {"image": "acme/other"}).status_code == 415
    assert not Deployment.objects.exists()


def test_settings_that_name_no_image_are_refused(application: Application) -> None:
    Application.objects.filter(pk=application.pk).update(image="Not An Image")
    for payload in (None, NAMED):
        status, answer = call(application, payload)
        assert status == 409
        assert "has no spaces" in answer["error"]
    assert outcomes() == [REFUSED, REFUSED]


def test_a_signed_call_is_taken(application: Application, secret: str) -> None:
    assert call(application, NAMED, **signed(secret, NAMED))[1]["status"] == "queued"
    assert call(application, None, **signed(secret, ""))[1]["status"] == "queued"
    shouted = signed(secret, "{}")
    shouted["X-Dokreg-Signature-256"] = "sha256=" + shouted["X-Dokreg-Signature-256"][7:].upper()
    assert call(application, "{}", **shouted)[0] == 200


@pytest.mark.parametrize(
    "change",
    [
        {"X-Dokreg-Signature-256": ""},
        {"X-Dokreg-Signature-256": "sha256=" + "0" * 64},
        {"X-Dokreg-Signature-256": "sha1=" + "0" * 40},
        {"X-Dokreg-Signature-256": "sha256=ü"},
        {"X-Dokreg-Timestamp": ""},
        {"X-Dokreg-Timestamp": "yesterday"},
        {"X-Dokreg-Timestamp": "1"},
        {"X-Dokreg-Timestamp": "٣٣٣٣٣٣٣٣٣"},
    ],
)
def test_a_call_with_a_wrong_signature_is_refused(
    application: Application, secret: str, change: dict[str, str]
) -> None:
    status, answer = call(application, NAMED, **(signed(secret, NAMED) | change))
    assert (status, list(answer)) == (401, ["error"])
    assert (outcomes(), Deployment.objects.count()) == ([REFUSED], 0)


def test_the_signature_is_of_this_body_with_this_secret(
    organisation: Organisation, alice: User, application: Application, secret: str
) -> None:
    other = hooked(organisation, alice, IMAGE, server="web-2", name="api")
    other_secret = keys.make_secret(application=other, by=alice)
    assert call(application, NAMED, **signed(other_secret, NAMED))[0] == 401
    assert call(application, "{}", **signed(secret, NAMED))[0] == 401
    assert call(other, NAMED, **signed(secret, NAMED))[0] == 401
    old = secret
    new = keys.make_secret(application=application, by=alice)
    assert call(application, NAMED, **signed(old, NAMED))[0] == 401
    assert call(application, NAMED, **signed(new, NAMED))[0] == 200


def test_an_unsigned_call_is_refused_where_there_is_a_secret(application: Application, secret: str) -> None:
    for payload in (None, "{", NAMED, {"anything": "else"}, calls.docker_hub("", "acme/web", "1.4")):
        assert call(application, payload)[0] == 401
    assert not Deployment.objects.exists()


@pytest.mark.parametrize(("seconds", "status"), [(-299, 200), (-301, 401), (299, 200), (301, 401)])
def test_a_signature_holds_for_five_minutes(application: Application, secret: str, seconds: int, status: int) -> None:
    with time_machine.travel(1_800_000_000, tick=False):
        headers = signed(secret, NAMED, at=1_800_000_000 + seconds)
        assert call(application, NAMED, **headers)[0] == status


def test_a_signature_counts_once_however_it_is_spelled(application: Application, secret: str) -> None:
    headers = signed(secret, NAMED)
    assert call(application, NAMED, **headers)[0] == 200
    for value in (headers["X-Dokreg-Signature-256"], "sha256=" + headers["X-Dokreg-Signature-256"][7:].upper()):
        status, answer = call(application, NAMED, **(headers | {"X-Dokreg-Signature-256": value}))
        assert status == 401
        assert "already" in answer["error"]
    assert outcomes() == [QUEUED, REFUSED, REFUSED]


def test_a_used_signature_is_remembered_as_long_as_it_would_hold(application: Application, secret: str) -> None:
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        headers = signed(secret, NAMED, at=1_800_000_000 + 299)
        assert call(application, NAMED, **headers)[0] == 200
        clock.shift(598)
        prune()
        assert "already" in call(application, NAMED, **headers)[1]["error"]
        clock.shift(signatures.KEPT)
        prune()
        assert not WebhookSignature.objects.exists()


def test_a_signature_is_not_used_up_by_a_call_that_came_to_nothing(application: Application, secret: str) -> None:
    Application.objects.filter(pk=application.pk).update(image="Not An Image")
    headers = signed(secret, NAMED)
    assert call(application, NAMED, **headers)[0] == 409
    Application.objects.filter(pk=application.pk).update(image=IMAGE)
    assert call(application, NAMED, **headers)[0] == 200


def test_github_signs_in_its_own_way(organisation: Organisation, alice: User) -> None:
    application = hooked(organisation, alice, "ghcr.io/acme/web:1.4")
    secret = keys.make_secret(application=application, by=alice)
    body = json.dumps(calls.github("ghcr.io", "acme/web", "1.4"))
    headers = signed_like_github(secret, body)
    assert call(application, body, **(headers | {"X-Hub-Signature-256": ""}))[0] == 401
    assert call(application, body, **signed_like_github("wrong", body))[0] == 401
    assert call(application, body, **headers)[1]["status"] == "queued"
    assert call(application, body, **headers)[0] == 401


def test_githubs_signature_counts_once_however_late_it_comes_again(organisation: Organisation, alice: User) -> None:
    application = hooked(organisation, alice, "ghcr.io/acme/web:1.4")
    secret = keys.make_secret(application=application, by=alice)
    body = json.dumps(calls.github("ghcr.io", "acme/web", "1.4"))
    assert call(application, body, **signed_like_github(secret, body))[0] == 200
    WebhookSignature.objects.update(seen_at=timezone.now() - dt.timedelta(days=300))
    prune()
    assert call(application, body, **signed_like_github(secret, body))[0] == 401


def test_githubs_way_which_knows_no_time_is_githubs_alone(application: Application, secret: str) -> None:
    headers = signed_like_github(secret, NAMED)
    del headers["X-GitHub-Event"]
    assert call(application, NAMED, **headers)[0] == 401
    assert call(application, None, **signed_like_github(secret, ""))[0] == 401


def test_senders_that_cannot_sign_are_let_in_if_that_is_ticked(
    organisation: Organisation, alice: User, application: Application, secret: str
) -> None:
    keys.choose_unsigned(application=application, accepted=True, by=alice)
    assert call(application, calls.harbor("registry.example.com", "acme/web", "1.4"))[1]["status"] == "queued"
    for payload in (None, NAMED, "{", {"anything": "else"}):
        assert call(application, payload)[0] == 401
    wrong = {"X-Dokreg-Timestamp": "1", "X-Dokreg-Signature-256": "sha256=" + "0" * 64}
    assert call(application, calls.harbor("registry.example.com", "acme/web", "1.4"), **wrong)[0] == 401
    keys.choose_unsigned(application=application, accepted=False, by=alice)
    assert call(application, calls.harbor("registry.example.com", "acme/web", "1.4"))[0] == 401


def test_a_new_secret_after_a_removed_one_lets_nobody_in_unsigned(
    application: Application, secret: str, alice: User
) -> None:
    keys.choose_unsigned(application=application, accepted=True, by=alice)
    keys.remove_secret(application=application, by=alice)
    assert call(application, NAMED)[0] == 200
    keys.make_secret(application=application, by=alice)
    assert call(application, calls.harbor("registry.example.com", "acme/web", "1.4"))[0] == 401


def test_a_secret_that_cannot_be_opened_lets_nobody_in(
    application: Application, secret: str, organisation: Organisation, alice: User
) -> None:
    from django.db import connection

    other = hooked(organisation, alice, IMAGE, server="web-2", name="api")
    keys.make_secret(application=other, by=alice)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE applications_application SET webhook_secret ="
            " (SELECT webhook_secret FROM applications_application WHERE id = %s) WHERE id = %s",
            [other.pk, application.pk],
        )
    status, answer = call(application, NAMED, **signed(secret, NAMED))
    assert status == 503
    assert "cannot be opened" in answer["error"]
    assert not Deployment.objects.exists()


def test_the_sixty_first_call_of_a_minute_has_to_wait(application: Application) -> None:
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        for _ in range(deliveries.CALLS_PER_MINUTE):
            assert call(application, {"anything": "else"})[0] == 200
        clock.shift(20)
        answer = bare_call(path_of(application))
        assert (answer.status_code, answer["Retry-After"]) == (429, "40")
        assert WebhookDelivery.objects.count() == deliveries.CALLS_PER_MINUTE
        clock.shift(41)
        assert call(application)[0] == 200


def test_one_webhook_that_is_called_too_often_stops_no_other(
    application: Application, organisation: Organisation, alice: User
) -> None:
    other = hooked(organisation, alice, IMAGE, server="web-2", name="api")
    now = timezone.now()
    for _ in range(deliveries.CALLS_PER_MINUTE):
        deliveries.note(application=application, outcome=IGNORED, words="", now=now)
    assert call(application)[0] == 429
    assert call(other)[0] == 200


def test_an_address_that_calls_too_often_has_to_wait(application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "CALLS_PER_MINUTE_FROM_ADDRESS", 3)
    for _ in range(3):
        assert bare_call("/webhooks/no-such-key", REMOTE_ADDR="203.0.113.9").status_code == 404
    refused = bare_call(path_of(application), REMOTE_ADDR="203.0.113.9")
    assert (refused.status_code, refused["Retry-After"]) == (429, "60")
    assert bare_call(path_of(application), REMOTE_ADDR="203.0.113.10").status_code == 200


def test_deliveries_are_kept_for_thirty_days(application: Application) -> None:
    now = timezone.now()
    for days in (0, 29, 31):
        deliveries.note(application=application, outcome=IGNORED, words="", now=now - dt.timedelta(days=days))
    prune()
    assert WebhookDelivery.objects.count() == 2


def test_nothing_of_a_call_is_in_the_log(
    application: Application, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = path_of(application).rpartition("/")[2]
    marked = json.dumps({"image": "marked.example.com/marked/image:1", "password": "marked-value"})
    headers = signed(secret, marked)
    assert call(application, marked, **headers)[0] == 200
    assert call(application, marked)[0] == 401
    assert Client().get(path_of(application)).status_code == 405
    assert bare_call(f"/webhooks/{key}x").status_code == 404
    from dokreg.http import MaskOneTimeLinks

    # As the handler of the settings writes it: what Django says of refused requests has the address in it.
    lines = [record.getMessage() for record in caplog.records if MaskOneTimeLinks().filter(record)]
    assert any("/webhooks/********" in line for line in lines)
    for hidden in (key, secret, "marked", headers["X-Dokreg-Signature-256"][7:]):
        assert not any(hidden in line for line in lines), hidden


def test_of_a_body_only_the_image_is_kept(application: Application) -> None:
    marked = {"image": "registry.example.com/acme/other:1", "password": "marked-value", "nested": {"a": "marked"}}
    call(application, marked)
    assert "marked" not in str(list(WebhookDelivery.objects.values()))
    assert WebhookDelivery.objects.get().named == "registry.example.com/acme/other:1"


@pytest.fixture
def listening(transactional_db: None, settings: Settings) -> Iterator[None]:
    """A dokreg that is called over the network. pytest-django's own fixture begins before the settings of tests."""
    server = LiveServer("127.0.0.1")
    settings.DOKREG_URL = server.url
    yield
    server.stop()


def test_the_commands_of_the_page_work_as_they_stand(listening: None, organisation: Organisation, alice: User) -> None:
    application = hooked(organisation, alice, IMAGE)
    commands = calling.examples(application=application, address=keys.address_of(application))
    for command in (commands.bare, commands.named):
        assert json.loads(_run(command))["status"] == "queued"
    secret = keys.make_secret(application=application, by=alice)
    assert json.loads(_run(commands.signed, WEBHOOK_SECRET=secret))["status"] == "queued"
    assert "has to be signed" in _run(commands.named)
    assert "not that of this body" in _run(commands.signed, WEBHOOK_SECRET="wrong")


def _run(command: str, **environment: str) -> str:
    variables = {"PATH": "/usr/bin:/bin"} | environment
    return subprocess.run(["sh", "-c", command], env=variables, capture_output=True, text=True, timeout=30).stdout
