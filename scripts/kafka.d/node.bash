# One broker process of scripts/kafka: whether it answers, whether it runs, how it is started and ended.
# Sourced by scripts/kafka, whose words (`say`, `fail`) it uses.

# How long each thing may take, in seconds.
readonly START_LIMIT=90 STOP_LIMIT=30 LOCK_LIMIT=120 REPLY_LIMIT=2

# --- talking to a broker ----------------------------------------------------------------------------------------

# Reads the next byte of the open connection (descriptor 3) into `byte`; fails at the end of it or after REPLY_LIMIT.
# A NUL ends read's line at once, and that is how it is told from the rest.
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

# Reads past a string with a length of two bytes in front; the length of a null is 65535.
skip_string() {
  next_number 2 || return
  ((number == 65535)) || next_number "$number"
}

# Whether anything accepts connections at a port.
is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Whether a Kafka broker at port $1 serves requests: it answers ApiVersions and names live brokers in its metadata, at least
# $2 of them (one), and the one with id $3 among them if that is given.
# A listener that wants a login closes the second connection; then the first answer is all that can be had.
serves() { is_open "$1" && (
  number=0
  exec 3<>"/dev/tcp/127.0.0.1/$1"
  # Size 10, api key 18 (ApiVersions), version 0, correlation id 7, no client id.
  printf '\x00\x00\x00\x0a\x00\x12\x00\x00\x00\x00\x00\x07\xff\xff' >&3
  next_number 4 && next_number 4 && [[ $number == 7 ]] && next_number 2 && [[ $number == 0 ]] || exit 1
  exec 3<>"/dev/tcp/127.0.0.1/$1"
  # Size 14, api key 3 (Metadata), version 1, correlation id 8, no client id, an empty list of topics.
  printf '\x00\x00\x00\x0e\x00\x03\x00\x01\x00\x00\x00\x08\xff\xff\x00\x00\x00\x00' >&3
  next_byte || exit $(($? > 128)) # above 128: no answer in time; else: closed on us
  next_number 3 && next_number 4 && [[ $number == 8 ]] && next_number 4 && [[ $number -ge ${2:-1} ]] || exit 1
  [[ -z ${3:-} ]] || names_broker "$3" "$number"
) 2>/dev/null; }

# Whether the next $2 brokers of the metadata reply that is being read include the one with id $1.
names_broker() {
  local id=$1 left=$2
  while ((left-- > 0)); do
    next_number 4 || return
    if [[ $number == "$id" ]]; then return; fi
    # Host, port, rack.
    skip_string && next_number 4 && skip_string || return
  done
  return 1
}

# --- its process ------------------------------------------------------------------------------------------------

# Prints the process id of the node in folder $1 if that process lives and is this node's broker, not a stranger that
# was given the number since.
running() {
  local pid arguments
  [[ -f $1/pid ]] && pid=$(cat "$1/pid") && [[ -n $pid ]] || return 1
  if [[ -r /proc/$pid/cmdline ]]; then
    arguments=$(tr '\0' ' ' <"/proc/$pid/cmdline")
  else
    arguments=$(ps -ww -o args= -p "$pid" 2>/dev/null) || return 1
  fi
  [[ $arguments == *"kafka.Kafka $1/server.properties"* ]] && echo "$pid"
}

# Whether a process is halted by SIGSTOP.
is_paused() { [[ $(ps -o state= -p "$1" 2>/dev/null) == T* ]]; }

# Lets one process at a time start or end the node in folder $1. The lock is a link that names its holder, so a dead
# one's is void.
locks=()
lock() {
  local link=$1.lock holder deadline=$((SECONDS + LOCK_LIMIT))
  mkdir -p "${link%/*}"
  until ln -s "$$" "$link" 2>/dev/null; do
    holder=$(readlink "$link" || true)
    if [[ -n $holder ]] && ! kill -0 "$holder" 2>/dev/null; then rm -f "$link"; continue; fi
    ((SECONDS < deadline)) || fail "process $holder has been starting or stopping this node for $LOCK_LIMIT s"
    sleep 0.1
  done
  locks+=("$link")
  trap 'rm -f "${locks[@]}"' EXIT
}

# A cluster id as Kafka has them: 16 random bytes in URL-safe base64, which must not begin with a dash.
new_cluster_id() { echo "F$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | cut -c 2-22)"; }

# The settings of the node in folder $1, but for those of FOODSTREAM_KAFKA_EXTRA: node id, port and controller quorum.
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

# FOODSTREAM_KAFKA_EXTRA, which comes last and so wins.
extra_settings() {
  [[ -n ${FOODSTREAM_KAFKA_EXTRA:-} ]] || return 0
  [[ -r $FOODSTREAM_KAFKA_EXTRA ]] || fail "FOODSTREAM_KAFKA_EXTRA names a file that cannot be read: $FOODSTREAM_KAFKA_EXTRA"
  echo
  cat "$FOODSTREAM_KAFKA_EXTRA"
}

# Formats the log folder of the node in folder $1 for cluster id $2; further arguments are for kafka-storage.
format() {
  local node=$1 cluster=$2
  shift 2
  [[ -f $node/formatted ]] && return
  rm -rf "$node/log"
  if ! jvm kafka.tools.StorageTool format -t "$cluster" -c "$node/server.properties" "$@" >"$node/format.log" 2>&1; then
    tail -n 20 "$node/format.log" >&2
    fail "the log folder could not be formatted"
  fi
  touch "$node/formatted"
}

# Starts the broker of the node in folder $1 in the background; further arguments are for the JVM.
launch() {
  local node=$1 java
  shift
  java=$(java_command)
  nohup "$java" "$@" -XX:+UseG1GC -Djava.awt.headless=true -Dfoodstream.kafka.log=info \
    "-Dlog4j2.configurationFile=$files/log4j2.properties" -cp "$jars/*" kafka.Kafka "$node/server.properties" \
    >"$node/server.log" 2>&1 </dev/null &
  echo $! >"$node/pid"
}

# Waits until the node in folder $1 serves; further arguments are those of `serves`.
await() {
  local node=$1 pid deadline=$((SECONDS + START_LIMIT))
  shift
  pid=$(cat "$node/pid")
  until serves "$@"; do
    if ! kill -0 "$pid" 2>/dev/null; then
      tail -n 20 "$node/server.log" >&2
      fail "the broker ended instead of starting; its last words are above, all of them in $node/server.log"
    fi
    if ((SECONDS >= deadline)); then
      tail -n 20 "$node/server.log" >&2
      fail "the broker gave no answer within $START_LIMIT s; process $pid is left for you to look at, log in $node/server.log"
    fi
    sleep 0.1
  done
}

# Sends signal $3 to the node in folder $1 at port $2 and waits until it is gone; says so, with $4 in front.
end() {
  local node=$1 port=$2 signal=$3 name=$4 pid deadline
  if pid=$(running "$node"); then
    kill "-$signal" "$pid" 2>/dev/null || true
    # A paused process would hear of SIGTERM when it is resumed.
    kill -CONT "$pid" 2>/dev/null || true
    deadline=$((SECONDS + STOP_LIMIT))
    # A process that is killed loses its arguments before its ports.
    while running "$node" >/dev/null || is_open "$port" || is_open $((port + 1)); do
      if ((SECONDS >= deadline)); then
        running "$node" >/dev/null || fail "${name}process $pid ended, and something still listens on port $port or $((port + 1))"
        say "${name}no end within $STOP_LIMIT s; killing process $pid"
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

# Pauses (STOP) or resumes (CONT) the node in folder $1; says so, with $3 in front.
signal_node() {
  local node=$1 signal=$2 name=$3 pid
  pid=$(running "$node") || fail "${name}not running"
  kill "-$signal" "$pid"
  if [[ $signal == STOP ]]; then say "${name}paused"; else say "${name}resumed"; fi
}

# Says whether the node in folder $1 runs and answers at port $2, with $3 in front; returns 3 when it does not run.
node_status() {
  local node=$1 port=$2 name=$3 pid
  if ! pid=$(running "$node"); then
    say "${name}not running on port $port"
    return 3
  fi
  if is_paused "$pid"; then
    say "${name}paused, process $pid, log in $node/server.log"
    return 1
  fi
  if ! serves "$port"; then
    say "${name}process $pid runs but does not answer on port $port; log in $node/server.log"
    return 1
  fi
  say "${name}running, process $pid, log in $node/server.log"
}
