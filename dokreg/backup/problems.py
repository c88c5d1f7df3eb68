"""Why a backup cannot be made or restored."""


class BackupProblem(Exception):
    """The text says what happened, why, and what to do; nothing was changed."""
