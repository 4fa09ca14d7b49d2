# Asks a peer, which takes the question and closes ("closed"), or never answers ("silent").
import select, socket, sys
s = socket.create_connection(('127.0.0.1', {'closed': 18432, 'silent': 18433}[sys.argv[1]]))
s.setblocking(False)
s.sendall(b'query')
loop = select.epoll()
loop.register(s.fileno(), select.EPOLLIN)
loop.poll()
if not s.recv(100):
    sys.exit('the query has failed')
