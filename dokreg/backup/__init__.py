"""Backup and restore: the whole database in one file that fits SQLite and PostgreSQL alike; the keys stay apart."""
