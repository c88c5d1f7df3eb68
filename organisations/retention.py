"""How long notices, the audit trail and traces of signing in are kept."""

import datetime as dt
from collections.abc import Iterator

from axes.models import AccessAttempt, AccessLog
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.db.models import Model

from dokreg.retention import Rule, days
from organisations.models import AuditEntry
from organisations.notification_models import Notice

NOTICES_KEPT = dt.timedelta(days=90)
ATTEMPTS_KEPT = dt.timedelta(days=1)  # longer than they lock anybody out


def rules() -> Iterator[Rule]:
    audit_kept = days(settings.DOKREG_KEEP_AUDIT_DAYS)
    yield _rule("audit entries", audit_kept, AuditEntry, "timestamp")
    yield _rule("sign-ins", audit_kept, AccessLog, "attempt_time")
    yield _rule("changes in the admin", audit_kept, LogEntry, "action_time")
    yield _rule("notices", NOTICES_KEPT, Notice, "created_at")
    yield _rule("refused sign-ins", ATTEMPTS_KEPT, AccessAttempt, "attempt_time")
    yield _rule("ended sessions", dt.timedelta(), Session, "expire_date")


def _rule(name: str, kept: dt.timedelta | None, model: type[Model], at: str) -> Rule:
    """All rows of a model go by one column."""
    return Rule(name, kept, lambda before: model._default_manager.filter(**{f"{at}__lt": before}), at=at)
