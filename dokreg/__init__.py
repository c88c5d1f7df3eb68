"""dokreg: private container registries for a fleet of Docker servers."""
