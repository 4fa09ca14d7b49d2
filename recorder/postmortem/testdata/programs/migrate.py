# Ends with 1, quietly, since a script that it runs ended with 3, quietly too, for want of a file.
import subprocess, sys
try:
    open('/srv/optional.yaml')
except OSError:
    pass
try:
    subprocess.check_call(['sh', '-c', 'cat /srv/0001.sql >/dev/null 2>&1 || exit 3'])
except subprocess.CalledProcessError:
    sys.exit(1)
