"""The procedures of projects, applications and deployments of the HTTP API. No answer carries a secret.

dokreg has one environment per project, which has the project's id.
"""

from applications.api import applications, deployments, projects

__all__ = ["applications", "deployments", "projects"]
