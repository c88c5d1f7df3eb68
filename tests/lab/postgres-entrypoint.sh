#!/bin/sh
# Does what the official image is documented to do with the variables that compose.yaml sets.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --no-sync --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE"
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
    echo "fsync = off" >> "$PGDATA/postgresql.conf"  # the lab's own: what it holds need not outlive the machine
    # Nobody comes by the network before the database is there.
    pg_ctl --wait --options="-c listen_addresses=''" start
    createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
    pg_ctl --wait --mode=fast stop
fi
exec "$@"
