# Broker processes of scripts/kafka: requests that test whether a broker is ready, process ids, settings, start, stop.
# Sourced by scripts/kafka. Uses its functions `say`, `fail`, `run_java` and `java_command`.

# Time limits in seconds.
readonly START_LIMIT=90 STOP_LIMIT=30 LOCK_LIMIT=120 REPLY_LIMIT=2

# --- requests to a broker ---------------------------------------------------------------------------------------

# Reads the next byte of the open connection (descriptor 3) into `byte`; fails at its end or after REPLY_LIMIT.
# For a NUL, which is the delimiter, `read` succeeds with an empty variable.
next_byte() {
  local char
  IFS= LC_ALL=C read -r -d '' -n 1 -t "$REPLY_LIMIT" char <&3 || return
  if [[ -z $char ]]; then byte=0; else LC_ALL=C printf -v byte '%d' "'$char"; fi
}

# Reads a big-endian number of $1 bytes into `number`.
next_number() {
  local left=$1 byte
  number=0
  while ((left-- > 0)); do
    next_byte || return
    number=$((number * 256 + (byte & 255)))
  done
}

# Skips a string: two bytes of length, then the text. The length of a null string is 65535.
skip_string() {
  next_number 2 || return
  ((number == 65535)) || next_number "$number"
}

# Whether a process accepts connections at port $1.
is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Whether a Kafka broker at port $1 is ready: it responds to ApiVersions, and its metadata lists at least $2 live
# brokers (default 1), among them the one with id $3 if that is given. A listener that requires a login closes the
# second connection; then the ApiVersions response is enough.
is_ready() { is_open "$1" && (
  number=0
  exec 3<>"/dev/tcp/127.0.0.1/$1"
  # Size 10, api key 18 (ApiVersions), version 0, correlation id 7, no client id.
  printf '\x00\x00\x00\x0a\x00\x12\x00\x00\x00\x00\x00\x07\xff\xff' >&3
  next_number 4 && next_number 4 && [[ $number == 7 ]] && next_number 2 && [[ $number == 0 ]] || exit 1
  exec 3<>"/dev/tcp/127.0.0.1/$1"
  # Size 14, api key 3 (Metadata), version 1, correlation id 8, no client id, an empty list of topics.
  printf '\x00\x00\x00\x0e\x00\x03\x00\x01\x00\x00\x00\x08\xff\xff\x00\x00\x00\x00' >&3
  next_byte || exit $(($? > 128)) # above 128: timeout; otherwise the broker closed the connection
  next_number 3 && next_number 4 && [[ $number == 8 ]] && next_number 4 && [[ $number -ge ${2:-1} ]] || exit 1
  [[ -z ${3:-} ]] || has_broker "$3" "$number"
) 2>/dev/null; }

# Whether the next $2 brokers of the Metadata response on descriptor 3 include the one with id $1.
has_broker() {
  local id=$1 left=$2
  while ((left-- > 0)); do
    next_number 4 || return
    if [[ $number == "$id" ]]; then return; fi
    # Host, port, rack.
    skip_string && next_number 4 && skip_string || return
  done
  return 1
}

# --- processes --------------------------------------------------------------------------------------------------

# Prints the process id of the node in directory $1 if its broker runs. The arguments are compared too, because the
# system may have given the id to another process.
broker_pid() {
  local pid arguments
  [[ -f $1/pid ]] && pid=$(cat "$1/pid") && [[ -n $pid ]] || return 1
  if [[ -r /proc/$pid/cmdline ]]; then
    arguments=$(tr '\0' ' ' <"/proc/$pid/cmdline")
  else
    arguments=$(ps -ww -o args= -p "$pid" 2>/dev/null) || return 1
  fi
  [[ $arguments == *"kafka.Kafka $1/server.properties"* ]] && echo "$pid"
}

# Whether process $1 is stopped by SIGSTOP.
is_paused() { [[ $(ps -o state= -p "$1" 2>/dev/null) == T* ]]; }

# Locks the node in directory $1 against other commands that start or stop it. The lock is a link to the id of the
# process that holds it; the lock of a process that has ended is removed.
locks=()
lock() {
  local link=$1.lock holder deadline=$((SECONDS + LOCK_LIMIT))
  mkdir -p "${link%/*}"
  until ln -s "$$" "$link" 2>/dev/null; do
    holder=$(readlink "$link" || true)
    if [[ -n $holder ]] && ! kill -0 "$holder" 2>/dev/null; then rm -f "$link"; continue; fi
    ((SECONDS < deadline)) || fail "process $holder holds the lock of this node for more than $LOCK_LIMIT s"
    sleep 0.1
  done
  locks+=("$link")
  trap 'rm -f "${locks[@]}"' EXIT
}

# A cluster id in Kafka's format: 16 random bytes in URL-safe base64. It must not begin with a dash.
new_cluster_id() { echo "F$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | cut -c 2-22)"; }

# Prints the settings of the node in directory $1, without FOODSTREAM_KAFKA_EXTRA. $2 is the node id, $3 the port, $4
# the controller quorum.
node_settings() {
  cat <<EOF
node.id=$2
controller.quorum.voters=$4
listeners=PLAINTEXT://127.0.0.1:$3,CONTROLLER://127.0.0.1:$(($3 + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$3
log.dirs=$1/log
EOF
  cat "$files/server.properties"
}

# Prints the settings of FOODSTREAM_KAFKA_EXTRA. They come last, so they override the others.
extra_settings() {
  [[ -n ${FOODSTREAM_KAFKA_EXTRA:-} ]] || return 0
  [[ -r $FOODSTREAM_KAFKA_EXTRA ]] || fail "cannot read the file of FOODSTREAM_KAFKA_EXTRA: $FOODSTREAM_KAFKA_EXTRA"
  echo
  cat "$FOODSTREAM_KAFKA_EXTRA"
}

# Formats the log directory of the node in directory $1 for cluster id $2; further arguments are for kafka-storage.
format_storage() {
  local node=$1 cluster=$2
  shift 2
  [[ -f $node/formatted ]] && return
  rm -rf "$node/log"
  if ! run_java kafka.tools.StorageTool format -t "$cluster" -c "$node/server.properties" "$@" >"$node/format.log" 2>&1; then
    tail -n 20 "$node/format.log" >&2
    fail "kafka-storage could not format the log directory $node/log; its output is above"
  fi
  touch "$node/formatted"
}

# Starts the broker of the node in directory $1 in the background; further arguments are for the JVM.
launch_broker() {
  local node=$1 java
  shift
  java=$(java_command)
  nohup "$java" "$@" -XX:+UseG1GC -Djava.awt.headless=true -Dfoodstream.kafka.log=info \
    "-Dlog4j2.configurationFile=$files/log4j2.properties" -cp "$jars/*" kafka.Kafka "$node/server.properties" \
    >"$node/server.log" 2>&1 </dev/null &
  echo $! >"$node/pid"
}

# Waits until the node in directory $1 is ready; further arguments are those of `is_ready`.
wait_until_ready() {
  local node=$1 pid deadline=$((SECONDS + START_LIMIT))
  shift
  pid=$(cat "$node/pid")
  until is_ready "$@"; do
    if ! kill -0 "$pid" 2>/dev/null; then
      tail -n 20 "$node/server.log" >&2
      fail "the broker ended during its start; the end of $node/server.log is above"
    fi
    if ((SECONDS >= deadline)); then
      tail -n 20 "$node/server.log" >&2
      fail "the broker did not respond within $START_LIMIT s; process $pid still runs, its log is $node/server.log"
    fi
    sleep 0.1
  done
}

# Sends signal $3 to the node in directory $1 at port $2 and waits for its end. $4 is a prefix for messages.
stop_node() {
  local node=$1 port=$2 signal=$3 name=$4 pid deadline
  if pid=$(broker_pid "$node"); then
    kill "-$signal" "$pid" 2>/dev/null || true
    # A paused process receives SIGTERM only when it is resumed.
    kill -CONT "$pid" 2>/dev/null || true
    deadline=$((SECONDS + STOP_LIMIT))
    # A killed process loses its arguments, which `broker_pid` reads, before its ports are free.
    while broker_pid "$node" >/dev/null || is_open "$port" || is_open $((port + 1)); do
      if ((SECONDS >= deadline)); then
        broker_pid "$node" >/dev/null || fail "${name}process $pid has ended, but another process listens on port $port or $((port + 1))"
        say "${name}process $pid did not end within $STOP_LIMIT s and is killed"
        kill -9 "$pid" 2>/dev/null || true
        deadline=$((SECONDS + STOP_LIMIT))
      fi
      sleep 0.1
    done
    if [[ $signal == KILL ]]; then say "${name}killed"; else say "${name}stopped"; fi
  else
    say "${name}not running"
  fi
  rm -f "$node/pid"
}

# Sends STOP or CONT ($2) to the node in directory $1, and prints that with prefix $3.
signal_node() {
  local node=$1 signal=$2 name=$3 pid
  pid=$(broker_pid "$node") || fail "${name}not running"
  kill "-$signal" "$pid"
  if [[ $signal == STOP ]]; then say "${name}paused"; else say "${name}resumed"; fi
}

# Prints, with prefix $3, whether the node in directory $1 runs and responds at port $2. Returns 3 if it does not run, 1
# if it does not respond.
node_status() {
  local node=$1 port=$2 name=$3 pid
  if ! pid=$(broker_pid "$node"); then
    say "${name}not running on port $port"
    return 3
  fi
  if is_paused "$pid"; then
    say "${name}paused, process $pid, log in $node/server.log"
    return 1
  fi
  if ! is_ready "$port"; then
    say "${name}process $pid runs but does not respond on port $port, log in $node/server.log"
    return 1
  fi
  say "${name}running, process $pid, log in $node/server.log"
}
