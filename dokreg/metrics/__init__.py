"""Figures for Prometheus at /metrics: closed, and not even loaded, until the settings open it."""
