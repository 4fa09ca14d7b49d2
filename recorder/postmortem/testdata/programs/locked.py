# Does not get the lock of its file, and gives up; with "tries" it goes on trying.
import fcntl, os, sys, time
f = open('/srv/tsdb.lock', 'w')
while True:
    try:
        fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        break
    except OSError:
        if 'tries' not in sys.argv:
            print('opening storage failed', file=sys.stderr)
            os._exit(1)
        time.sleep(0.05)
