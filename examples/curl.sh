#!/usr/bin/env bash
# Dialect `content` with curl and jq:
# RIVULET_URL=http://localhost:3000 RIVULET_TOKEN=rvl_… bash curl.sh "What is a rivulet?"
url=${RIVULET_URL:-http://localhost:3000}
body=$(jq -n --arg message "${1:-What is a rivulet?}" '{$message, stream: true}')
# The same request with the same key is the same turn.
key=$(date +%s)-$$-$RANDOM$RANDOM
cursor=
head=$(mktemp)
trap 'rm -f "$head"' EXIT

fail() {
  printf '\n%s\n' "$1" >&2
  exit 1
}

# #region ask
for ((failures = 0; failures < 10; failures++)); do
  data=
  while IFS= read -r line; do
    line=${line%$'\r'}
    case $line in
      data:*) data=${line#data:} ;;
      # The event's last line, before the empty line that ends it.
      id:*) cursor=${line#id: } ;;
      '')
        case $(jq -r '.type?' <<<"$data") in
          content) jq -j .content <<<"$data" ;;
          metadata) echo && exit ;;
          error) fail "$(jq -r .error <<<"$data")" ;;
        esac
        data= failures=0
        ;;
    esac
  done < <(
    curl --silent --no-buffer --dump-header "$head" --speed-limit 1 --speed-time 45 "$url/api/v1/chat" \
      --header "Authorization: Bearer $RIVULET_TOKEN" --header "Content-Type: application/json" \
      --header "Idempotency-Key: $key" ${cursor:+--header "Last-Event-ID: $cursor"} --data "$body"
  )
  case $(cut -d ' ' -f 2 -s "$head" | head -n 1) in
    200 | 429 | 502 | 503 | 504 | '') sleep 1 ;;
    204) echo && exit ;;
    # An error response is one line without a newline.
    *) fail "$(jq -r .error <<<"$line")" ;;
  esac
  : >"$head"
done
fail "The server cannot be reached. The answer is kept there."
# #endregion
