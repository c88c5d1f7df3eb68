"""How long the tests wait.

A machine that shares its cores stands still for seconds now and then. So a test that shows that something does not wait
lets the other way take far longer than this, and does not measure how quick the right one is: `make bench` does.
"""

SOON = 15.0  # seconds, within which what does not wait for anything has come
