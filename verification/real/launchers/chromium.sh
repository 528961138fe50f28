#!/usr/bin/env bash
# Chromium with its debugger; READY has the address of its first page.
. "$SERVERS/_lib.sh"
need_deb chromium chromium
fresh_run
spawn chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
  --remote-debugging-port="$PORT" --user-data-dir="$RUN/profile" about:blank
page_path() {
  python3 - "$PORT" <<'PY'
import json, sys, urllib.request
targets = json.load(urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/json/list", timeout=3))
print("/devtools/page/" + next(target["id"] for target in targets if target["type"] == "page"))
PY
}
wait_until 60 page_path
ready "$(page_path)"
