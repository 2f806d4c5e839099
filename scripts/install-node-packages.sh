#!/bin/sh
# Installs the Debian packages that test clusters with nodes need. Does nothing, silently, when all are there.
set -eu

missing=""
# The program decides, not the package: Docker's containerd.io, for one, is as good, and excludes Debian's.
for need in buildah conntrack containerd ctr:containerd ip:iproute2 iptables runc \
  /usr/lib/cni/bridge:containernetworking-plugins; do
  command -v "${need%%:*}" >/dev/null || missing="$missing ${need##*:}"
done
# Of Debian's two packages with this program, the one whose program runs in an empty image.
dpkg-query --show busybox-static >/dev/null 2>&1 || missing="$missing busybox-static"
[ -n "$missing" ] || exit 0

echo "Installing the Debian packages$missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# What a package starts on its own would be in the way: the tests have their own containerd.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 1' HUP INT TERM
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi
# shellcheck disable=SC2086 # a list
apt-get install -qq --no-install-recommends -o DPkg::Lock::Timeout=300 $missing >/dev/null
