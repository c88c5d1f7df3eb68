#!/usr/bin/env python
"""Django's command line for dokreg."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dokreg.settings")
    if sys.argv[1:2] == ["up"]:
        # The supervisor outlives everything it starts; without Django in it, it is a tenth of the size.
        from dokreg.up import main as up

        sys.exit(up(sys.argv[2:]))
    from django.core.management import execute_from_command_line

    from dokreg.configuration import ConfigurationError

    try:
        execute_from_command_line(sys.argv)
    except ConfigurationError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
