#!/bin/bash
# Makes the lab's key material and writes it to standard output as a tar.
#   keys.sh all NAME=ADDRESS...   SSH login key, engine and UCP authorities, one host key and engine certificate a host
#   keys.sh host-key NAME               a fresh SSH host key for one host (it was rebuilt)
set -euo pipefail
out=$(mktemp -d)
cd "$out"
umask 077

authority() { # directory, common name
  mkdir -p "$1"
  openssl ecparam -name prime256v1 -genkey -noout -out "$1/ca.key"
  openssl req -x509 -new -sha256 -days 3650 -key "$1/ca.key" -subj "/CN=$2" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -out "$1/ca.pem"
}
issue() { # authority directory, file stem, subject, alternative names or "", extended key usage
  openssl ecparam -name prime256v1 -genkey -noout -out "$2-key.pem"
  {
    echo "basicConstraints=critical,CA:FALSE"
    echo "keyUsage=critical,digitalSignature"
    echo "extendedKeyUsage=$5"
    [ -z "$4" ] || echo "subjectAltName=$4"
  } > extensions
  openssl req -new -key "$2-key.pem" -subj "$3" |
    openssl x509 -req -sha256 -days 3650 -CA "$1/ca.pem" -CAkey "$1/ca.key" -set_serial "0x$(openssl rand -hex 16)" \
      -extfile extensions -out "$2-cert.pem" 2>/dev/null
  rm extensions
}
host_key() { # name
  mkdir -p "hosts/$1"
  ssh-keygen -q -t ed25519 -N '' -C "$1" -f "hosts/$1/ssh_host_ed25519_key"
}

case "$1" in
  all)
    shift
    mkdir -p ssh
    ssh-keygen -q -t ed25519 -N '' -C drydock-lab -f ssh/id_ed25519
    authority engine 'Drydock lab engines'
    authority ucp 'UCP Client Root CA'
    for pair in "$@"; do
      name=${pair%%=*}
      address=${pair#*=}
      host_key "$name"
      issue engine "hosts/$name/engine" "/CN=$name" "DNS:$name,IP:$address" serverAuth
      if [ "$name" = ucp ]; then
        issue engine ucp/engine /CN=ucp '' clientAuth
        issue ucp ucp/server /CN=ucp "DNS:ucp,DNS:localhost,IP:$address,IP:127.0.0.1" serverAuth
      fi
    done
    ;;
  host-key)
    host_key "$2"
    ;;
esac
tar -c .
