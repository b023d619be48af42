import socket

socket.create_connection(("store.invalid", 6379))
