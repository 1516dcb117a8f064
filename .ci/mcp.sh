#!/usr/bin/env bash
# Check the running server from outside with the protocol's own tools: MCP Inspector's strict
# listing over HTTP (both protocol eras) and stdio, and the MCP conformance suite against two
# revisions of the specification, without authentication and with it. The suite's own `auth`
# scenarios are for clients and authorization servers, none for a server that only checks tokens: for
# that there is tests/security. Needs npm; the tools themselves run on Node 24 from npm.
set -euo pipefail
export NO_COLOR=1
cd "$(dirname "$0")/.."

NODE=node@24
INSPECTOR=@modelcontextprotocol/inspector@2.12.0
CONFORMANCE=@modelcontextprotocol/conformance@0.2.0-alpha.12
CACHE=${CI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/agent-orchestration-ci}/mcp
BIN=$PWD/.venv/bin
EXPECTED=$PWD/.ci/conformance-expected-failures.yaml

install_tools() {
  local wanted="$NODE $INSPECTOR $CONFORMANCE" marker=$CACHE/.installed
  if [ "$(cat "$marker" 2>/dev/null)" != "$wanted" ]; then
    mkdir -p "$CACHE"
    # shellcheck disable=SC2086 # three packages, three words
    npm install --prefix "$CACHE" --no-save --no-audit --no-fund --loglevel=error $wanted
    printf '%s' "$wanted" >"$marker"
  fi
  PATH=$CACHE/node_modules/.bin:$PATH
  echo "node $(node --version)"
}

free_port() {
  "$BIN/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

wait_until_ready() {
  "$BIN/python" - "$1" "$2" <<'PY'
import os, sys, time, urllib.error, urllib.request

url, pid, deadline = sys.argv[1], int(sys.argv[2]), time.monotonic() + 60
while time.monotonic() < deadline:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        sys.exit("the server ended before it was ready")
    try:
        with urllib.request.urlopen(url, timeout=2):
            sys.exit()
    except (urllib.error.URLError, OSError):
        time.sleep(0.2)
sys.exit(f"{url} did not answer with success within 60 s")
PY
}

start_server() {
  "$BIN/agent-orchestration" dev --port "$port" --tools all "$@" >"$work/server.log" 2>&1 &
  server=$!
  wait_until_ready "http://127.0.0.1:$port/ready" "$server"
}

stop_server() {
  if [ -n "${server:-}" ]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
}

ask_for_tokens() {
  printf 'auth: {issuer: ci, audience: "%s"}\n' "$1" >"$work/auth.yaml"
  JWT_SECRET_KEY=$("$BIN/python" -c 'import secrets; print(secrets.token_urlsafe(48))')
  export JWT_SECRET_KEY
}

token_for() {
  "$BIN/python" - "$1" <<'PY'
import os, sys, time, jwt

said = {"iss": "ci", "aud": sys.argv[1], "sub": "suite", "tenant": "ci", "roles": ["admin"]}
print(jwt.encode(said | {"exp": time.time() + 3600}, os.environ["JWT_SECRET_KEY"], "HS256"))
PY
}

finish() {
  local code=$?
  stop_server
  if [ "$code" -ne 0 ] && [ -s "$work/server.log" ]; then
    echo "-- the server's last lines:"
    tail -n 40 "$work/server.log"
  fi
  rm -rf "$work"
}

inspect() {
  local name=$1
  shift
  echo "inspector: $name"
  # Its own HOME: the inspector keeps a catalogue of servers there.
  HOME=$work mcp-inspector --cli "$@" >"$work/answer.json"
}

list_strictly() {
  local url=$1 era method
  for era in legacy modern; do
    inspect "tools/list --strict, $era" "$url" --transport http --protocol-era "$era" \
      --method tools/list --strict
    for method in resources/list resources/templates/list prompts/list; do
      inspect "$method, $era" "$url" --transport http --protocol-era "$era" --method "$method"
    done
  done
  inspect "tools/list --strict, stdio" "$BIN/agent-orchestration" mcp --data "$work/data" \
    --tools all --method tools/list --strict
}

conform() {
  local url=$1 revision=$2
  echo "conformance: requirements of $revision"
  if ! conformance server --url "$url" --requirements "$revision" \
    --expected-failures "$EXPECTED" >"$work/conformance.txt" 2>&1; then
    sed -n '/=== SUMMARY ===/,$p' "$work/conformance.txt"
    return 1
  fi
  sed -n 's/^Total:/  single checks, extensions included:/p' "$work/conformance.txt"
  echo "  failures of the requirements: $(grep -c '^  ~ ' "$work/conformance.txt") expected (see" \
    "$(basename "$EXPECTED")), 0 unexpected; others are extensions, reported but not required"
}

work=$(mktemp -d)
trap finish EXIT
install_tools
port=$(free_port)
url=http://127.0.0.1:$port/mcp
start_server --data "$work/data"
list_strictly "$url"
conform "$url" 2025-11-25
conform "$url" 2026-07-28
stop_server

echo "the same with a token"
ask_for_tokens "$url"
start_server --data "$work/guarded" --config "$work/auth.yaml"
BEARER=$(token_for "$url")
export BEARER NODE_OPTIONS="--import \"$PWD/.ci/bearer.mjs\""
conform "$url" 2025-11-25
conform "$url" 2026-07-28
