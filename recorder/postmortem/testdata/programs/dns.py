# Needs a name that nobody knows.
import socket

print("orders: connecting", flush=True)
socket.create_connection(("db.shop.internal", 5432))
