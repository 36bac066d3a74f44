#!/bin/bash
# First process of a lab host (under tini): an SSH server and a Docker Engine, as an init system would start them.
# /etc/lab is put there before the first start: SSH host key, authorized_keys, engine certificates, users.
set -euo pipefail
lab=/etc/lab

install -d -m 0755 /run/sshd
install -m 0600 "$lab/ssh_host_ed25519_key" /etc/ssh/ssh_host_ed25519_key
# shellcheck disable=SC1091
. "$lab/host.env" # LAB_SSH_USER

if [ "$LAB_SSH_USER" = root ]; then
  home=/root
else
  home="/home/$LAB_SSH_USER"
  id "$LAB_SSH_USER" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$LAB_SSH_USER"
  chpasswd < "$lab/chpasswd"
  echo "$LAB_SSH_USER ALL=(ALL:ALL) ALL" > /etc/sudoers.d/lab
  chmod 0440 /etc/sudoers.d/lab
  echo 'PermitRootLogin no' > /etc/ssh/sshd_config.d/lab.conf
fi
install -d -m 0700 -o "$LAB_SSH_USER" "$home/.ssh"
install -m 0600 -o "$LAB_SSH_USER" "$lab/authorized_keys" "$home/.ssh/authorized_keys"

# Inner containers' cgroups must lie below this container's own: as siblings they would outlive it and miss its pause.
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
  mount -o remount,rw /sys/fs/cgroup
  mkdir -p /sys/fs/cgroup/init
  xargs -rn1 < /sys/fs/cgroup/cgroup.procs > /sys/fs/cgroup/init/cgroup.procs 2>/dev/null || true
  sed -e 's/ / +/g' -e 's/^/+/' < /sys/fs/cgroup/cgroup.controllers > /sys/fs/cgroup/cgroup.subtree_control
  parent=/inner
else
  parent="$(awk -F: '/:memory:/{print $3}' /proc/self/cgroup)/inner"
fi

/usr/sbin/sshd -D -e &
dockerd \
  --host unix:///var/run/docker.sock \
  --host tcp://0.0.0.0:2376 --tlsverify \
  --tlscacert "$lab/engine-ca.pem" --tlscert "$lab/engine-cert.pem" --tlskey "$lab/engine-key.pem" \
  --storage-driver overlay2 --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent="$parent" \
  --log-level warn &
engine=$!
if [ -f /opt/lab/ucp.js ]; then
  # UCP comes back by itself as its containers would.
  (until node /opt/lab/ucp.js; do sleep 1; done) &
fi

trap 'kill -TERM "$engine" 2>/dev/null || true' TERM INT
while kill -0 "$engine" 2>/dev/null; do wait "$engine" || true; done
