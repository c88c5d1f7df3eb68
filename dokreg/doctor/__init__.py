"""One page of truth about an installation: what `manage.py doctor` and the page for staff say.

It is made of checks, functions that answer findings. Each app registers its own when it is ready.
"""
