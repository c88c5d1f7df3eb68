"""How long notices, the audit trail and traces of signing in are kept."""

import datetime as dt
from collections.abc import Iterator

from axes.models import AccessAttempt, AccessLog
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session

from dokreg.retention import Rule, days
from organisations.models import AuditEntry
from organisations.notification_models import Notice

NOTICES_KEPT = dt.timedelta(days=90)
ATTEMPTS_KEPT = dt.timedelta(days=1)  # longer than they lock anybody out


def rules() -> Iterator[Rule]:
    audit_kept = days(settings.DOKREG_KEEP_AUDIT_DAYS)
    yield Rule("audit entries", audit_kept, lambda before: AuditEntry.objects.filter(timestamp__lt=before))
    yield Rule("sign-ins", audit_kept, lambda before: AccessLog.objects.filter(attempt_time__lt=before))
    yield Rule("changes in the admin", audit_kept, lambda before: LogEntry.objects.filter(action_time__lt=before))
    yield Rule("notices", NOTICES_KEPT, lambda before: Notice.objects.filter(created_at__lt=before))
    yield Rule("refused sign-ins", ATTEMPTS_KEPT, lambda before: AccessAttempt.objects.filter(attempt_time__lt=before))
    yield Rule("ended sessions", dt.timedelta(), lambda before: Session.objects.filter(expire_date__lt=before))
