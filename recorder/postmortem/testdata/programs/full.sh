#!/bin/sh
# A disk that is full.
echo "export: writing"
echo "id,total" >/dev/full || exit 4
