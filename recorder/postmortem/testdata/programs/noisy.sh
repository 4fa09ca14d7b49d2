#!/bin/sh
# Writes what a terminal would obey, long lines, and to a log behind another descriptor.
printf '\033]0;owned\007\033[2Jred \033[31malert\r\nhalf '
printf 'a line\n'
exec 3>&1 >app.log
echo "into the log"
echo "past it" >&3
printf '%0600d\n' 7 >&2
printf 'bye \303\274 \377' >&2
exit 2
