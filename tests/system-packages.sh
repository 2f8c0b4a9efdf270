#!/bin/sh
# Install what the tests of microphones, dashboard, report, MQTT and privacy need from the system, or say what is missing.
packages="libportaudio2 libasound2-plugins pulseaudio pulseaudio-utils tmux chromium chromium-driver mosquitto mosquitto-clients strace"

missing=""
for package in $packages; do
    dpkg-query --show --showformat '${Status}' "$package" 2>/dev/null | grep -q "install ok installed" || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing$missing"
    # A list that is out of date names files that are gone; refresh it first.
    if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing >/dev/null; then
        exit 0
    fi
fi
echo "missing:$missing"
echo "The tests that need them will be skipped. On Debian or Ubuntu: sudo apt-get install$missing"
