"""One JSON object a line: loaded only where logs are wanted so."""

import datetime as dt
import logging
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from dokreg.http import masked

# What a record may carry besides its message. Others put whole requests there, with addresses that are keys.
FIELDS = ("request_id", "method", "path", "status", "ms", "user_id", "task", "task_id", "state")


class Lines(JsonFormatter):
    """time, level, logger, message, and of FIELDS what the record has; `exception` is a traceback without values."""

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        log_data |= {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": masked(record.message),
        }
        log_data |= {name: vars(record)[name] for name in FIELDS if vars(record).get(name) not in {None, ""}}
        if message_dict.get("exc_info"):
            log_data["exception"] = masked(str(message_dict["exc_info"]))
