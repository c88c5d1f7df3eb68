"""What other apps may want to know of servers, without servers knowing them."""

from django.dispatch import Signal

# After a server got another host, port or user: `server`. Sent in the transaction that saves it.
server_moved = Signal()
