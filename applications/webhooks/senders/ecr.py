"""Amazon ECR: the event "ECR Image Action" of EventBridge, bare or in a notification of Amazon SNS.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html for the event,
https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html for what SNS wraps around it, and for the
confirmation that it asks for once: dokreg does not follow that link by itself, it shows it to people.
"""

import json
import re
from urllib.parse import parse_qs, urlencode, urlsplit

from applications.webhooks.senders.base import Headers, Payload, PushedImage, Sender, object_at, text_at

# From AWS' endpoint tables: how the hosts of one registry are called, the usual one first.
_HOSTS = ("dkr.ecr.{region}.amazonaws.com", "dkr-ecr.{region}.on.aws", "dkr.ecr-fips.{region}.amazonaws.com")
_HOSTS_IN_CHINA = ("dkr.ecr.{region}.amazonaws.com.cn", "dkr-ecr.{region}.on.amazonwebservices.com.cn")
_SNS_HOST = re.compile(r"sns\.[a-z]{2}(?:-[a-z]+)+-\d{1,2}\.amazonaws\.com(?:\.cn)?", re.ASCII)
_SNS_TYPES = ("Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation")


class Ecr(Sender):
    name = "Amazon ECR"
    hint = (
        "A rule of EventBridge for “ECR Image Action”, with an API destination or an SNS topic that has the address "
        "above as an HTTPS subscription, which SNS wants confirmed: the link appears below. It cannot sign."
    )
    silence = "It is no completed push of an image."

    def recognises(self, headers: Headers, payload: Payload) -> bool:
        return _is_of_sns(payload) or text_at(payload, "source") == "aws.ecr"

    def images(self, headers: Headers, payload: Payload) -> list[PushedImage]:
        event = _unwrapped(payload)
        detail = object_at(event, "detail")
        if text_at(event, "detail-type") != "ECR Image Action":
            return []
        if (text_at(detail, "action-type"), text_at(detail, "result")) != ("PUSH", "SUCCESS"):
            return []
        host, *aliases = _hosts(text_at(event, "account"), text_at(event, "region"))
        return [
            PushedImage(
                host,
                text_at(detail, "repository-name"),
                text_at(detail, "image-tag") or None,
                text_at(detail, "image-digest") or None,
                tuple(aliases),
            )
        ]

    def confirmation(self, payload: Payload) -> str:
        """The link of SNS, put together anew of its parts, so that it leads to Amazon and confirms, or nowhere."""
        if text_at(payload, "Type") != "SubscriptionConfirmation":
            return ""
        try:
            link = urlsplit(text_at(payload, "SubscribeURL"))
            query = parse_qs(link.query)
        except ValueError:
            return ""
        if link.scheme != "https" or not _SNS_HOST.fullmatch(link.netloc):
            return ""
        if query.get("Action") != ["ConfirmSubscription"] or not {"TopicArn", "Token"} <= query.keys():
            return ""
        wanted = {name: query[name][0] for name in ("Action", "TopicArn", "Token")}
        return f"https://{link.netloc}/?{urlencode(wanted)}"


def _is_of_sns(payload: Payload) -> bool:
    return text_at(payload, "Type") in _SNS_TYPES and bool(text_at(payload, "TopicArn"))


def _unwrapped(payload: Payload) -> Payload:
    """The event itself: SNS hands it on as text."""
    if not _is_of_sns(payload):
        return payload
    try:
        message = json.loads(text_at(payload, "Message"))
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _hosts(account: str, region: str) -> list[str]:
    names = _HOSTS_IN_CHINA if region.startswith("cn-") else _HOSTS
    return [f"{account}.{name.format(region=region)}" for name in names]
