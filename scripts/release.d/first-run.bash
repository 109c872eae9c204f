# The first commands of a new user in a root that has nothing but what a package installed. Run by scripts/release-test
# in namespaces of its own: USER-ID ROOT PROGRAM. The program is a path in the root.
# shellcheck shell=bash
set -euo pipefail
readonly user=$1 root=$2 program=$3
readonly home=/home/foodstream

# The minimum that the program needs, and every container engine provides: /proc for the path of its own program, and
# /dev/null.
mkdir -p "$root/proc" "$root/dev" "$root/etc" "$root/tmp"
chmod 1777 "$root/tmp"
mount -t proc proc "$root/proc"
touch "$root/dev/null"
mount --bind /dev/null "$root/dev/null"
printf '127.0.0.1 localhost\n127.0.0.1 kafka.example\n' >"$root/etc/hosts"
if [[ ! -d $root$home ]]; then
  mkdir -p "$root$home"
  chown "$user:$user" "$root$home"
fi
# The new network has a loopback interface, which is down (SIOCSIFFLAGS, IFF_UP and IFF_RUNNING).
python3 -c 'import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 0x41))'

foodstream() {
  env -i HOME="$home" PATH=/usr/bin setpriv --clear-groups \
    unshare --root="$root" --wd="$home" --setgid="$user" --setuid="$user" -- "$program" "$@"
}
expect() { grep -q "$1" "$root$home/output" || { cat "$root$home/output"; echo "expected: $1"; exit 1; }; }

foodstream --version >"$root$home/output"
expect '^foodstream [0-9]'
expect '^TLS: built in'
foodstream produce --count 10000 --seed 7
foodstream inventory --until-end
foodstream analytics --from-beginning
foodstream replay >"$root$home/output"
expect '^Verdict: identical'
foodstream broker --stop
foodstream scenario run ten-thousand

# Names: a static glibc reads /etc/hosts itself. It must not load a module of the system, whose glibc may have another
# version: this one ends the process.
if command -v cc >/dev/null; then
  for folder in lib "lib/$(uname -m)-linux-gnu" lib64 usr/lib64; do
    mkdir -p "$root/$folder"
    cc -shared -fPIC -nostdlib -x c -o "$root/$folder/libnss_trap.so.2" - <<<'
      __attribute__((constructor)) static void loaded(void) { __builtin_trap(); }'
  done
  echo 'hosts: trap files dns' >"$root/etc/nsswitch.conf"
fi
foodstream broker --memory --listen 127.0.0.1:0 >"$root$home/broker" &
for _ in $(seq 100); do
  port=$(grep -o '127\.0\.0\.1:[0-9]*' "$root$home/broker" | head -n 1 | cut -d : -f 2 || true)
  if [[ -n $port ]]; then break; fi
  sleep 0.1
done
for host in localhost kafka.example; do
  foodstream produce --count 10 --seed 7 -b "$host:$port"
done
code=0
foodstream lag -b "unknown.example:$port" --timeout 2s || code=$?
[[ $code -eq 4 ]] || { echo "an unknown host: exit code $code, expected 4"; exit 1; }
kill %1
wait
