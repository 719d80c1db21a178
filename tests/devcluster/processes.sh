# shellcheck shell=bash disable=SC2154  # variables are devcluster's
# Processes that outlive the script, and how all of them are found again. Sourced by devcluster.
#
# NAME.pid holds a process's id and its start time: by the time an id is used it may be somebody else's. NAME.command holds what was started.
# Descriptor 8 is left to whoever starts a cluster and wants to be noticed when they are gone: no process of the cluster keeps it open.
# Whoever starts a cluster holds DIR/lock on descriptor 9, and so does each child until it has written its record. Who gets the lock sees every record.

identity() { # process id, or `self` → id and start time; fails when it has ended
  local stat state rest
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  read -r state rest <<<"${stat##*) }" # a name may hold blanks and parentheses
  [ "$state" != Z ] || return 1
  read -ra rest <<<"$rest"
  echo "${stat%% *} ${rest[18]}"
}

running() { # record
  local record
  { read -r record <"$1"; } 2>/dev/null && [ "$(identity "${record%% *}")" = "$record" ]
}

start() { # name, command…
  local name=$1
  shift
  rm -f "$name.pid"
  printf '%s\0' "${inside[@]}" "$@" >"$name.command"
  (
    identity "$BASHPID" >"$name.pid"
    exec 8>&- 9>&-
    exec setsid "${inside[@]}" "$@"
  ) >"$name.log" 2>&1 </dev/null &
  until [ -s "$name.pid" ]; do sleep 0.01; done
}

# Not SIGTERM: the API server would wait for open watches for most of a minute.
kill_all() { # records…
  local record pid
  for record in "$@"; do
    if running "$record"; then
      read -r pid _ <"$record"
      kill -KILL "$pid" 2>/dev/null || true
    fi
  done
  for record in "$@"; do
    for _ in $(seq 1 600); do running "$record" || break; sleep 0.05; done
    if running "$record"; then
      echo "the process of $PWD/$record cannot be killed" >&2
      exit 1
    fi
    rm -f "$record"
  done
}

# Some of a cluster's processes, as a crash would end them. Of what is in a node, the record is of nsenter, which waits in front for the program.
crash() { # name…
  local name pid
  for name in "$@"; do
    running "$name.pid" || die "no $name runs in $PWD"
    read -r pid _ <"$name.pid"
    # shellcheck disable=SC2046  # one id, if any
    if grep -qz '^nsenter$' "$name.command"; then kill -KILL $(cat "/proc/$pid/task/$pid/children"); fi
  done
  kill_all "${@/%/.pid}"
}

# What has crashed, as it was started before.
again() { # name…
  local name words inside=()
  for name in "$@"; do
    ! running "$name.pid" || die "$name runs in $PWD"
    mapfile -d '' -t words <"$name.command"
    start "$name" "${words[@]}"
  done
  await_api
}
