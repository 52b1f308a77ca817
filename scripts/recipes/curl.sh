#!/bin/sh
# The daemon by curl: sh curl.sh [URL]
set -eu
url=${1:-http://localhost:49983}
json='content-type: application/json'

# A token: from here on every request must carry it. Until one is set, none is asked for.
token=secret
curl -fsS -H "$json" -d "{\"accessToken\":\"$token\",\"envVars\":{\"GREETING\":\"hello\"}}" "$url/init"
auth="x-access-token: $token"

# Files: write, read, look at.
curl -fsS -H "$auth" -H 'content-type: application/octet-stream' --data-binary 'written by curl' "$url/files?path=/tmp/greeting.txt"
echo
curl -fsS -H "$auth" "$url/files?path=/tmp/greeting.txt"
echo
curl -fsS -H "$auth" -H "$json" -d '{"path":"/tmp/greeting.txt"}' "$url/filesystem.Filesystem/Stat"
echo

# A command. Calls that stream take and give envelopes: a byte of flags and four of length before each JSON message. Bytes are base64.
# The length of this message is counted in characters: ASCII only. A command is ended by SendSignal, not by leaving.
message='{"process":{"cmd":"/bin/sh","args":["-c","echo $GREETING from $(uname -s)"]},"stdin":false,"tag":"greeter"}'
length=${#message}
head=$(printf '\\000\\000\\000\\%03o\\%03o' $((length / 256)) $((length % 256)))
# shellcheck disable=SC2059 # its escapes are the four bytes
{ printf "$head"; printf %s "$message"; } |
  curl -fsSN -H "$auth" -H 'content-type: application/connect+json' --data-binary @- "$url/process.Process/Start" |
  grep -ao '"stdout":"[^"]*' | cut -d '"' -f 4 | while read -r chunk; do printf %s "$chunk" | base64 -d; done

# What runs.
curl -fsS -H "$auth" -H "$json" -d '{}' "$url/process.Process/List"
echo
