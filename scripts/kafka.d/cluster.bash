# Clusters of three nodes (`scripts/kafka start --nodes 3`). Each node has a subdirectory, named by its id.
# Sourced by scripts/kafka. Uses its functions and those of node.bash.

readonly NODE_IDS='1 2 3'

# Whether directory $1 is that of a cluster: it has the file with the cluster id.
is_cluster() { [[ -f $1/cluster ]]; }

# The port of the broker of node $2 in the cluster at port $1; its controller uses the next port.
broker_port() { echo $(($1 + 2 * ($2 - 1))); }

cluster_bootstrap() { echo "bootstrap: 127.0.0.1:$1,127.0.0.1:$(($1 + 2)),127.0.0.1:$(($1 + 4))"; }

# Locks node $2, or all nodes, of the cluster at port $1. The order is fixed, so that two commands cannot deadlock.
lock_nodes() {
  local port=$1 id
  for id in ${2:-$NODE_IDS}; do lock "$data/$port.$id"; done
}

# Fails if a port of node $2 of the cluster at port $1 is in use.
check_node_ports() {
  local port
  port=$(broker_port "$1" "$2")
  is_open "$port" && fail "port $port, which the broker of node $2 needs, is in use by another process"
  is_open $((port + 1)) && fail "port $((port + 1)), which the controller of node $2 needs, is in use by another process"
  return 0
}

cluster_node_settings() {
  local port=$1 id=$2 node=$data/$1/$2
  node_settings "$node" "$id" "$(broker_port "$port" "$id")" \
    "1@127.0.0.1:$((port + 1)),2@127.0.0.1:$((port + 3)),3@127.0.0.1:$((port + 5))"
  echo
  cat "$files/cluster.properties"
  extra_settings
}

# Starts those nodes that do not run, and waits until all three, or the one of `--node`, are ready.
start_cluster() {
  local port=$1 only=$2 cluster_dir=$data/$1 id node stopped=() pids=() pid
  if [[ -z $only ]]; then
    ((port <= 65530)) || usage_error "invalid port '$port': a cluster uses six ports, so expected a number from 1 to 65530"
    lock "$cluster_dir"
    if [[ -f $cluster_dir/formatted ]]; then fail "port $port has a single node. Run first: stop --wipe $port"; fi
  fi
  lock_nodes "$port" "$only"
  java_command >/dev/null
  fetch_jars
  if ! is_cluster "$cluster_dir"; then
    mkdir -p "$cluster_dir"
    new_cluster_id >"$cluster_dir/cluster.new"
    mv "$cluster_dir/cluster.new" "$cluster_dir/cluster"
  fi
  for id in ${only:-$NODE_IDS}; do
    node=$cluster_dir/$id
    if broker_pid "$node" >/dev/null; then
      say "node $id: already running, process $(cat "$node/pid")"
      continue
    fi
    check_node_ports "$port" "$id"
    mkdir -p "$node"
    cluster_node_settings "$port" "$id" >"$node/server.properties"
    stopped+=("$id")
  done
  # In parallel, because each kafka-storage spends most of its time on starting its JVM.
  for id in ${stopped[@]+"${stopped[@]}"}; do
    format_storage "$cluster_dir/$id" "$(cat "$cluster_dir/cluster")" &
    pids+=($!)
  done
  for pid in ${pids[@]+"${pids[@]}"}; do wait "$pid" || exit 1; done
  # With the C1 compiler only, a start takes a third less time, and test nodes are restarted often.
  for id in ${stopped[@]+"${stopped[@]}"}; do launch_broker "$cluster_dir/$id" -Xms128m -Xmx384m -XX:TieredStopAtLevel=1; done
  # A node that is unfenced lists itself in its metadata. A whole cluster is ready when every node lists all three.
  for id in ${only:-$NODE_IDS}; do
    if [[ -n $only ]]; then
      wait_until_ready "$cluster_dir/$id" "$(broker_port "$port" "$id")" 1 "$id"
    else
      wait_until_ready "$cluster_dir/$id" "$(broker_port "$port" "$id")" 3
    fi
  done
  cluster_bootstrap "$port"
}

# Stops one node, or all in parallel, by a signal. One after the other, the last two could not hand over their leaders.
stop_cluster() {
  local port=$1 only=$2 signal=$3 wipe=$4 cluster_dir=$data/$1 id pids=() pid
  if [[ -z $only ]]; then lock "$cluster_dir"; fi
  lock_nodes "$port" "$only"
  for id in ${only:-$NODE_IDS}; do
    stop_node "$cluster_dir/$id" "$(broker_port "$port" "$id")" "$signal" "node $id: " &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || exit 1; done
  if [[ $wipe == yes ]]; then rm -rf "$cluster_dir"; fi
}

signal_cluster() {
  local port=$1 only=$2 signal=$3 id
  for id in ${only:-$NODE_IDS}; do signal_node "$data/$port/$id" "$signal" "node $id: "; done
}

# Prints the status of each node. Returns 3 if a node does not run, 1 if a node does not respond.
cluster_status() {
  local port=$1 id code worst=0
  for id in $NODE_IDS; do
    code=0
    node_status "$data/$port/$id" "$(broker_port "$port" "$id")" "node $id: " || code=$?
    if ((code > worst)); then worst=$code; fi
  done
  cluster_bootstrap "$port"
  return "$worst"
}
