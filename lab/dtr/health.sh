#!/bin/bash
# Health of dtr-nginx, without starting a Node for it: /_ping through the front answers 200.
exec 3<>/dev/tcp/127.0.0.1/80 || exit 1
printf 'GET /_ping HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
read -r _ status _ <&3
[ "$status" = 200 ]
