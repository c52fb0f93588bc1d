"""The script that a cluster runs for an attempt: it claims before it begins, beats while it runs, marks how it ended.

Its folder is shared by agent and nodes:

`run`        this script        `desk/address`  (one level up) where the agent answers, read at each try
`work/`      the job's working folder    `log`  what the command printed
`beat`       changes while the copy lives
`stop`       written by the agent: the copy ends its command when it sees it
`exit.json`  how the command of the granted copy ended, written whole

It needs bash (for /dev/tcp) and coreutils; nothing of the platform is installed on a node.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from compute_scheduler.engine.rules import REFUSED_CODE, UNCLAIMED_CODE


@dataclass(frozen=True)
class Copied:
    """What the script of an attempt is made of; claim_s: how long a copy asks before it leaves without beginning."""

    attempt: str
    folder: Path
    desk: Path
    token: str
    command: Sequence[str]
    env: Mapping[str, str]
    time_limit_s: float
    log_bytes: int
    beat_s: float
    grace_s: float
    claim_s: float = 600.0


def script(copied: Copied) -> str:
    """The text of the script."""
    values = {
        "attempt": copied.attempt,
        "folder": str(copied.folder),
        "desk": str(copied.desk),
        "token": copied.token,
        "limit_s": str(max(1, round(copied.time_limit_s))),
        "log_bytes": str(copied.log_bytes),
        "beat_s": f"{copied.beat_s:g}",
        "grace_s": f"{copied.grace_s:g}",
        "claim_s": f"{copied.claim_s:g}",
        "refused": str(REFUSED_CODE),
        "unclaimed": str(UNCLAIMED_CODE),
    }
    known = "\n".join(f"{name}={shlex.quote(value)}" for name, value in values.items())
    env = " ".join(shlex.quote(f"{name}={value}") for name, value in copied.env.items())
    command = " ".join(shlex.quote(part) for part in copied.command)
    return f"#!/bin/bash\n{known}\nenvironment=({env})\ncommand=({command})\n{_STEPS}"


_STEPS = r"""
umask 077
nonce=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
remote=${BRAIN_REMOTE:-${SLURM_JOB_ID:-}}

ask() { # 0 granted, 1 refused, 2 nobody answered
  local host port rest line code=
  read -r host port 2>/dev/null <"$desk" || return 2
  { exec 3<>"/dev/tcp/$host/$port"; } 2>/dev/null || return 2
  printf '%s\r\n' "POST /v1/$1/$attempt HTTP/1.0" "Authorization: Bearer $token" "X-Nonce: $nonce" \
    "X-Remote: $remote" "X-Address: ${BRAIN_ADDRESS:-}" "Content-Length: 0" "" >&3 2>/dev/null
  read -r -t 60 rest code rest <&3
  if [ "$code" = 200 ]; then # the environment of a gang's member comes with the grant, up to a point
    while IFS= read -r -t 10 line <&3 && [ -n "${line%$'\r'}" ]; do :; done
    code=
    while IFS= read -r -t 10 line <&3; do
      [ "$line" = . ] && code=204 && break
      environment+=("$line")
    done
  fi
  exec 3>&-
  case "$code" in 204) return 0 ;; 403 | 409) return 1 ;; *) return 2 ;; esac
}

trap '' PIPE
tries=0
while :; do
  ask claims
  case $? in 0) break ;; 1) exit "$refused" ;; esac
  [ "$SECONDS" -ge "${claim_s%.*}" ] && exit "$unclaimed"
  tries=$((tries < 10 ? tries + 1 : 10))
  sleep "$((tries / 2)).$((RANDOM % 9 + 1))"
done
trap - PIPE

cd "$folder/work" || exit "$unclaimed"
launch=("$(command -v setsid)")
# A command outlives neither this script nor, where the node has setpriv, its sudden death.
with=("$(command -v setpriv)" --pdeathsig KILL)
"${with[@]}" true 2>/dev/null && launch=("${with[@]}" "${launch[@]}")
read -r began rest </proc/uptime
child=
terminated=
trap 'terminated=1; [ -n "$child" ] && kill -TERM -- "-$child" 2>/dev/null' TERM
(
  trap - TERM
  exec env -u BRAIN_REMOTE -u BRAIN_ADDRESS "${environment[@]}" "${launch[@]}" "${command[@]}"
) </dev/null >>"$folder/log" 2>&1 &
child=$!

mark() { # how the command ended: cause, code, processor time
  local ended rest
  read -r ended rest </proc/uptime
  printf '{"nonce":"%s","cause":"%s","code":%d,"began":%s,"ended":%s,"cpu":"%s"}\n' \
    "$nonce" "$1" "$2" "$began" "$ended" "$3" >"$folder/exit.$nonce"
  mv -f "$folder/exit.$nonce" "$folder/exit.json"
}

is_orphan() { # the script was killed and cannot end its command any more
  local pid name state rest
  read -r pid name state rest 2>/dev/null </proc/$$/stat || return 0
  [ "$state" = Z ]
}

is_over() { # /proc/uptime counts hundredths of a second
  local now rest
  read -r now rest </proc/uptime
  [ "$((${now/./} - ${began/./}))" -ge "$((limit_s * 100))" ]
}

(
  trap 'exit 0' TERM
  count=0
  while :; do
    count=$((count + 1))
    echo "$nonce $count" >"$folder/beat"
    sleep "$beat_s"
    size=$(stat -c %s "$folder/log" 2>/dev/null || echo 0)
    [ "$size" -gt "$((log_bytes + 1000000))" ] && truncate -s "$log_bytes" "$folder/log"
    if [ -e "$folder/stop" ]; then why=stopped
    elif is_over; then why=time_limit
    elif is_orphan; then why=killed
    else continue; fi
    echo "$why" >"$folder/why.$nonce"
    kill -TERM -- "-$child" 2>/dev/null
    sleep "$grace_s"
    kill -KILL -- "-$child" 2>/dev/null
    [ "$why" = killed ] && [ ! -e "$folder/exit.json" ] && mark killed 137 ""
    exit 0
  done
) >/dev/null 2>&1 &
keeper=$!

# A signal interrupts the waiting: it goes on until the command has ended.
while
  wait "$child"
  code=$?
  [ -n "$terminated" ] && [ "$code" -gt 128 ] && kill -0 "$child" 2>/dev/null
do :; done
if [ -n "$terminated" ]; then
  wait "$child" 2>/dev/null
  last=$?
  [ "$last" -ne 127 ] && code=$last
fi
kill -KILL -- "-$child" 2>/dev/null
why=$(cat "$folder/why.$nonce" 2>/dev/null)
[ -z "$why" ] && [ -n "$terminated" ] && why=terminated
times >"$folder/times.$nonce"
{ read -r cpu; read -r cpu; } <"$folder/times.$nonce"
mark "${why:-exit}" "$code" "$cpu"
kill "$keeper" 2>/dev/null
ask ended >/dev/null 2>&1
exit "$code"
"""
