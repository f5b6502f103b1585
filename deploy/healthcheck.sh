#!/usr/bin/env bash
# Asks a server on this machine by nothing but bash, so that the image needs no other program:
#   healthcheck.sh PORT PATH     exit code 0 when the answer is 200, else 1
# It gives up after two seconds.

port=${1:?which port? usage: healthcheck.sh PORT PATH}
path=${2:?which path? usage: healthcheck.sh PORT PATH}

exec 2>/dev/null
exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$path" >&3 || exit 1
read -r -t 2 _version status _rest <&3 || exit 1
[ "$status" = 200 ]
