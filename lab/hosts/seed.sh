#!/bin/bash
# Fills /var/lib/docker (a volume) with the images that come as a tar on standard input, so that hosts can start from a copy of it.
set -euo pipefail
dockerd --bridge none --iptables=false --storage-driver overlay2 --exec-opt native.cgroupdriver=cgroupfs --log-level error 2>/tmp/dockerd.log &
engine=$!
for _ in $(seq 100); do
  docker info >/dev/null 2>&1 && break
  sleep 0.2
done
docker load --quiet
kill -TERM "$engine"
wait "$engine" || true
# A host makes its own networks.
rm -rf /var/lib/docker/network
