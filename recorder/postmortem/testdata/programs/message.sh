#!/bin/sh
# Says why, and ends.
echo "orders: starting"
[ -r /etc/orders/orders.conf ] || {
	echo "orders: no database is configured" >&2
	exit 1
}
