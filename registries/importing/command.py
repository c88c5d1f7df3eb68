"""What the commands that import have in common: for whom, by whom, for show or in earnest, and how they tell of it."""

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError

from organisations.models import Membership
from registries.importing.report import Outcome, Report, Thing
from registries.importing.running import CannotImport, membership_for, run

DRY = "This was a dry run: nothing is changed. Run it again with --apply to do it."
AGAIN = (
    "What is left out can be put right where it comes from, or added by hand. A second run makes nothing twice: it "
    "passes over what is there."
)


class ImportCommand(BaseCommand):
    """Reads first, with no transaction open; then does all of the rest in one."""

    needs: ClassVar[tuple[str, ...]]
    # What people have to do then, by what was made.
    afterwards: ClassVar[tuple[tuple[Thing, str], ...]] = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--organisation", required=True, metavar="SLUG", help="where it is imported to")
        parser.add_argument("--by", required=True, metavar="USERNAME", help="the member who counts as having done it")
        modes = parser.add_mutually_exclusive_group()
        modes.add_argument(
            "--dry-run", action="store_true", help="only say what would be done; so it is without --apply"
        )
        modes.add_argument("--apply", action="store_true", help="do it, all or nothing")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            may = membership_for(slug=options["organisation"], username=options["by"], needs=self.needs)
            work = self.prepare(may, options)
            report = run(work, by=may.user, apply=options["apply"])
        except CannotImport as error:
            raise CommandError(str(error)) from None  # what led to it may quote what was read
        self._tell(report, is_dry=not options["apply"])

    def prepare(self, may: Membership, options: dict[str, Any]) -> Callable[[Report], None]:
        """Read what there is to import; the work that is to be done in the transaction. Raises CannotImport."""
        raise NotImplementedError

    def _tell(self, report: Report, *, is_dry: bool) -> None:
        for line in report.lines(is_dry=is_dry):
            self.stdout.write(line)
        made = {thing for thing, _name in report.named(Outcome.MADE)}
        hints = [sentence for thing, sentence in self.afterwards if thing in made]
        if report.named(Outcome.LEFT_OUT):
            hints.append(AGAIN)
        if is_dry:
            hints.append(DRY)
        for hint in hints:
            self.stdout.write(f"\n{hint}")
