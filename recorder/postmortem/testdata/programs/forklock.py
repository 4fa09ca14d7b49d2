# A child that was forked while another thread held a lock waits for it for ever.
import os, select, threading, time
lock = threading.Lock()


def logger():
    while True:
        with lock:
            time.sleep(0.2)


threading.Thread(target=logger, daemon=True).start()
time.sleep(0.1)
if not os.fork():
    with lock:
        os._exit(0)
r, w = os.pipe()
while True:
    select.select([r], [], [], 0.5)
