#!/bin/sh
# An entrypoint whose program is not there.
set -e
echo "entry: configuration written"
exec ./server --listen :8080
