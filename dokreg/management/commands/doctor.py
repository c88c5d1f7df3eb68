"""Says how an installation is: what is well, what is not, why that matters, and what to do."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from dokreg.doctor.checks import ERROR, OK, Finding, Report
from dokreg.doctor.examining import examine


class Command(BaseCommand):
    help = (
        "Says how this installation is: settings, database, broker, workers, keys, what is overdue. Shows no secrets "
        "and changes nothing. The exit status is 1 if there is an error."
    )
    requires_system_checks: list[str] = []  # with the wrong keys it is needed the most

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="For programs: one JSON document.")

    def handle(self, *_: Any, **options: Any) -> None:
        report = examine()
        self.stdout.write(json.dumps(report.as_json(), indent=2) if options["json"] else self._in_words(report))
        if report.state == ERROR:
            sys.exit(1)

    def _in_words(self, report: Report) -> str:
        lines = []
        for section in report.sections:
            lines += [section.name, *(self._line(finding) for finding in section.findings), ""]
        return "\n".join([*lines, f"Errors: {report.errors}, warnings: {report.warnings}"])

    def _line(self, finding: Finding) -> str:
        mark = {OK: self.style.SUCCESS, ERROR: self.style.ERROR}.get(finding.state, self.style.WARNING)
        word = mark(f"{finding.state:<8}")
        reasons = [f"\n           {text}" for text in (finding.why, finding.fix) if text]
        return f"  {word} {finding.name}: {finding.fact}{''.join(reasons)}"
