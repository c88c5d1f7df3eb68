"""dokreg: private container registries for a fleet of Docker servers."""

__version__ = "0.1.0"
