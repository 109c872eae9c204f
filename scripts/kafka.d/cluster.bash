# What `scripts/kafka start --nodes 3` adds: three nodes in one folder, each in a folder of its own by its number.
# Sourced by scripts/kafka, whose words (`say`, `fail`) it uses.

readonly NUMBERS='1 2 3'

# Whether a folder is that of a cluster; its file holds the cluster id.
is_cluster() { [[ -f $1/cluster ]]; }

# The port of the broker with number $2 in the cluster at port $1; its controller has the next one.
broker_port() { echo $(($1 + 2 * ($2 - 1))); }

cluster_bootstrap() { echo "bootstrap: 127.0.0.1:$1,127.0.0.1:$(($1 + 2)),127.0.0.1:$(($1 + 4))"; }

# The numbers that a command is for: one, or all of them. Locks each, in order, so that no two commands wait for each other.
lock_nodes() {
  local port=$1 number
  for number in ${2:-$NUMBERS}; do lock "$data/$port.$number"; done
}

# Fails if a port of a node that is to be started is taken.
cluster_ports_free() {
  local port
  port=$(broker_port "$1" "$2")
  is_open "$port" && fail "port $port, for the broker of node $2, is taken by something else"
  is_open $((port + 1)) && fail "port $((port + 1)), for the controller of node $2, is taken by something else"
  return 0
}

cluster_node_settings() {
  local port=$1 number=$2 node=$data/$1/$2
  node_settings "$node" "$number" "$(broker_port "$port" "$number")" \
    "1@127.0.0.1:$((port + 1)),2@127.0.0.1:$((port + 3)),3@127.0.0.1:$((port + 5))"
  echo
  cat "$files/cluster.properties"
  extra_settings
}

# Prepares and starts those of the nodes that do not run, and waits until all of them serve: all three, or the one of `--node`.
start_cluster() {
  local port=$1 only=$2 folder=$data/$1 number node absent=() pids=() pid
  if [[ -z $only ]]; then
    ((port <= 65530)) || misused "a cluster takes six ports, so its first one is at most 65530"
    lock "$folder"
    if [[ -f $folder/formatted ]]; then fail "the node of port $port was made without --nodes 3; stop --wipe it first"; fi
  fi
  lock_nodes "$port" "$only"
  java_command >/dev/null
  fetch
  if ! is_cluster "$folder"; then
    mkdir -p "$folder"
    new_cluster_id >"$folder/cluster.new"
    mv "$folder/cluster.new" "$folder/cluster"
  fi
  for number in ${only:-$NUMBERS}; do
    node=$folder/$number
    if running "$node" >/dev/null; then
      say "node $number: already running, process $(cat "$node/pid")"
      continue
    fi
    cluster_ports_free "$port" "$number"
    mkdir -p "$node"
    cluster_node_settings "$port" "$number" >"$node/server.properties"
    absent+=("$number")
  done
  # Each format is a JVM of its own, most of whose time is its start.
  for number in ${absent[@]+"${absent[@]}"}; do
    format "$folder/$number" "$(cat "$folder/cluster")" &
    pids+=($!)
  done
  for pid in ${pids[@]+"${pids[@]}"}; do wait "$pid" || exit 1; done
  # The first compiler alone takes a third off what a start costs, which is most of what a node that comes and goes does.
  for number in ${absent[@]+"${absent[@]}"}; do launch "$folder/$number" -Xms128m -Xmx384m -XX:TieredStopAtLevel=1; done
  # A node is in its own metadata when the controller lets it serve; all of them together need all of them to be there.
  for number in ${only:-$NUMBERS}; do
    if [[ -n $only ]]; then
      await "$folder/$number" "$(broker_port "$port" "$number")" 1 "$number"
    else
      await "$folder/$number" "$(broker_port "$port" "$number")" 3
    fi
  done
  cluster_bootstrap "$port"
}

# Ends nodes by a signal: one, or all of them at once, as none of the last two could hand over its leaders alone.
end_cluster() {
  local port=$1 only=$2 signal=$3 wipe=$4 folder=$data/$1 number pids=() pid
  if [[ -z $only ]]; then lock "$folder"; fi
  lock_nodes "$port" "$only"
  for number in ${only:-$NUMBERS}; do
    end "$folder/$number" "$(broker_port "$port" "$number")" "$signal" "node $number: " &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || exit 1; done
  if [[ $wipe == yes ]]; then rm -rf "$folder"; fi
}

signal_cluster() {
  local port=$1 only=$2 signal=$3 number
  for number in ${only:-$NUMBERS}; do signal_node "$data/$port/$number" "$signal" "node $number: "; done
}

# Says how each node is; returns 3 when one does not run, 1 when one does not answer.
cluster_status() {
  local port=$1 number code worst=0
  for number in $NUMBERS; do
    code=0
    node_status "$data/$port/$number" "$(broker_port "$port" "$number")" "node $number: " || code=$?
    if ((code > worst)); then worst=$code; fi
  done
  cluster_bootstrap "$port"
  return "$worst"
}
