#!/bin/sh
# Make what compose.yaml needs, readable by you alone: an authority, the broker's certificate, and passwords.
#
#   ./prepare.sh HOST [MICROPHONE...]
#
# HOST is the name or the address by which others reach this machine. For every user of ../mosquitto/emotrack.acl, and for
# every microphone, secrets/USER holds USER:PASSWORD, as --mqtt-credentials wants it. secrets/ca.pem goes to all of them,
# secrets/ca.key to nobody: it signs.
set -eu
[ $# -ge 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
cd "$(dirname "$0")"
[ ! -e secrets ] || { echo "there is a folder secrets/ already" >&2; exit 1; }
host=$1
shift
umask 077
mkdir -p secrets data

names=DNS:localhost,DNS:broker,IP:127.0.0.1
case $host in
*:* | *[0-9].[0-9]*.[0-9]*.[0-9]*) names=$names,IP:$host ;;
*) names=$names,DNS:$host ;;
esac
key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
# shellcheck disable=SC2086
openssl req -x509 $key -days 3650 -subj "/CN=emotrack authority" -keyout secrets/ca.key -out secrets/ca.pem 2>/dev/null
# shellcheck disable=SC2086
openssl req $key -subj "/CN=$host" -keyout secrets/server.key -out secrets/server.csr 2>/dev/null
printf 'subjectAltName=%s\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n' "$names" >secrets/server.ext
openssl x509 -req -days 825 -in secrets/server.csr -extfile secrets/server.ext \
  -CA secrets/ca.pem -CAkey secrets/ca.key -CAcreateserial -out secrets/server.pem 2>/dev/null
rm secrets/server.csr secrets/server.ext secrets/ca.srl

for user in tracker screen home steward "$@"; do
  echo "$user:$(openssl rand -hex 24)" >"secrets/$user"
  cat "secrets/$user" >>secrets/passwords
done
if command -v mosquitto_passwd >/dev/null; then
  mosquitto_passwd -U secrets/passwords
else
  docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD/secrets:/secrets" eclipse-mosquitto:2.0 \
    mosquitto_passwd -U /secrets/passwords
fi
echo "OWNER=$(id -u):$(id -g)" >.env
echo "ready: docker compose up --detach"
