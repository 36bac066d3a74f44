#!/bin/bash
# Entry of every image of the stand-in: DTR_ROLE says which part this container is.
case "$DTR_ROLE" in
  rethinkdb)
    exec etcd "$@"
    ;;
  notary-*)
    # These only idle: their rows and volumes are made by the others.
    trap 'exit 0' TERM
    while :; do sleep 3600 & wait $!; done
    ;;
  *)
    # Small heaps: nine containers a replica, three replicas a machine.
    exec node --max-old-space-size=96 --max-semi-space-size=1 --single-threaded-gc /opt/dtr/dtr.js "$@"
    ;;
esac
