# Looks for optional files in vain, then finds that a value is bad.
import sys
for name in 'override', 'local':
    try:
        open('/srv/%s.yaml' % name)
    except OSError:
        pass
port = {'port': '80a0'}['port']
if not port.isdigit():
    print('[ERROR] port: "%s" is no number' % port, file=sys.stderr)
    print('[INFO] shutting down', file=sys.stderr)
    sys.exit(2)
