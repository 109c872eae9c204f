#!/usr/bin/env bash
# Owns what Kafka's own command-line tools must show: topics, records, settings, offsets, groups, transactions, load.
# shellcheck source=scripts/clients.d/claims.sh
. "$(dirname "${BASH_SOURCE[0]}")/claims.sh" "$@"

readonly topic=$prefix-topic ledger=$prefix-ledger group=$prefix-group
# Seconds that a tool in the background may take to get somewhere.
readonly LIMIT=40

scratch=$(mktemp -d "${TMPDIR:-/tmp}/java-tools.XXXXXX")
readonly scratch
background=
leave() {
  local code=$?
  trap - EXIT
  [[ -z $background ]] || kill -9 "$background" 2>/dev/null || true
  rm -rf "$scratch"
  if [[ $code -ne 0 ]]; then
    tool kafka-topics --delete --if-exists --topic "$prefix-.*" || true
  fi
  exit "$code"
}
trap leave EXIT

# Waits until a file that a tool in the background writes has so many lines.
lines_in() {
  local deadline=$((SECONDS + LIMIT))
  until [[ $(wc -l <"$2") -ge $1 ]]; do
    if ((SECONDS >= deadline)) || ! kill -0 "$background" 2>/dev/null; then
      same "the tool in the background writes $1 lines" "$1 lines" "$(cat "$2")"
    fi
    sleep 0.2
  done
}
# Columns of a table, whatever its widths.
columns() {
  awk -v wanted="$1" 'BEGIN { n = split(wanted, c, ",") } NF { for (i = 1; i <= n; i++) printf "%s%s", $c[i], (i < n ? " " : "\n") }'
}

# --- topics, records, settings, offsets -------------------------------------------------------------------------

cluster=$("$scripts/kafka" tool kafka-cluster cluster-id --bootstrap-server "$broker")
matches "the cluster has an id" '^Cluster ID: [A-Za-z0-9_-]+$' "$cluster"
created=$(tool kafka-topics --create --topic "$topic" --partitions 2 --replication-factor 1 --config retention.ms=7200000)
matches "a topic is created" "^Created topic $topic" "$created"
tool kafka-topics --create --topic "$ledger" --partitions 1 --replication-factor 1
tool kafka-topics --alter --topic "$topic" --partitions 3
described=$(tool kafka-topics --describe --topic "$topic")
matches "partitions can be added" $'\tPartitionCount: 3\t' "$described"
matches "a setting is the topic's own" 'Configs: (.*,)?retention.ms=7200000(,.*)?$' "$described"
same "every partition is led by the node that holds it" 3 \
  "$(grep -Ec $'\tPartition: [0-2]\tLeader: ([0-9]+)\tReplicas: \\1\tIsr: \\1(\t|$)' <<<"$described")"
listed=$(tool kafka-topics --list)
same "topics are listed" "$ledger
$topic" "$(grep "^$prefix-" <<<"$listed" | sort)"

tool kafka-configs --alter --entity-type topics --entity-name "$topic" \
  --add-config max.message.bytes=54321 --delete-config retention.ms
settings=$(tool kafka-configs --describe --entity-type topics --entity-name "$topic")
matches "a setting is added" '^ +max.message.bytes=54321 .*DYNAMIC_TOPIC_CONFIG:max.message.bytes=54321' "$settings"
lacks "another is taken away" 'retention.ms' "$settings"

tool kafka-console-producer --topic "$topic" --property parse.key=true --property parse.headers=true --producer-property acks=all <<'EOF'
n:1,m:one	k1	first
n:2	k2	second, with a comma
n:3	k3	third
n:4	k1	fourth, behind the first
EOF
# Called without a function in between, a tool is the very process that is signalled.
"$scripts/kafka" tool kafka-console-consumer --bootstrap-server "$broker" --topic "$topic" --from-beginning --group "$group" \
  --consumer-property auto.commit.interval.ms=200 --property print.key=true --property print.headers=true \
  --property print.partition=true --property print.offset=true >"$scratch/records" &
background=$!
lines_in 4 "$scratch/records"
# Java's partitioner puts these keys here on three partitions, whatever the broker.
same "records come back with keys, headers, partitions and offsets" "Partition:0	Offset:0	n:2	k2	second, with a comma
Partition:1	Offset:0	n:3	k3	third
Partition:2	Offset:0	n:1,m:one	k1	first
Partition:2	Offset:1	n:4	k1	fourth, behind the first" "$(sort "$scratch/records")"

# --- groups: the console's consumer is still a member -----------------------------------------------------------

same "the group has one member with all partitions" "$group console-consumer 3 $topic:0,1,2" \
  "$(tool kafka-consumer-groups --describe --group "$group" --members --verbose | grep "^$group " | columns 1,4,5,7)"
same "the group is stable" "$group range Stable 1" \
  "$(tool kafka-consumer-groups --describe --group "$group" --state | grep "^$group " | columns 1,4,5,6)"
kill "$background"
wait "$background" 2>/dev/null || true
background=

offsets() { tool kafka-consumer-groups --describe --group "$group" --offsets 2>&1 | grep "^$group " | columns 3,4,5,6 | sort; }
same "the group has committed everything" "0 1 1 0
1 1 1 0
2 2 2 0" "$(offsets)"
matches "the group is listed" "^$group$" "$(tool kafka-consumer-groups --list)"
reset() { tool kafka-consumer-groups --group "$group" --topic "$topic" --reset-offsets "$@" | grep "^$group " | columns 3,4 | sort; }
same "a dry run says what it would set" "0 0
1 0
2 0" "$(reset --to-earliest --dry-run)"
same "a reset moves the group from where it still stood" "0 0
1 0
2 1" "$(reset --shift-by -1 --execute)"
matches "offsets of a partition are deleted" "^$topic +1 +Successful" \
  "$(tool kafka-consumer-groups --group "$group" --topic "$topic:1" --delete-offsets)"
same "the others stand where they were set, with their lag" "0 0 1 1
2 1 2 1" "$(offsets)"
matches "the group is deleted" "Deletion of requested consumer groups \\('$group'\\) was successful" \
  "$(tool kafka-consumer-groups --delete --group "$group")"

get_offsets() { tool kafka-get-offsets --topic "$topic" --time "$1" | cut -d : -f 2,3; }
request="{\"partitions\": [{\"topic\": \"$topic\", \"partition\": 2, \"offset\": 1}], \"version\": 1}"
matches "records are deleted" "^partition: $topic-2[[:space:]]+low_watermark: 1$" \
  "$(tool kafka-delete-records --offset-json-file /dev/stdin <<<"$request")"
same "the earliest offsets" "0:0
1:0
2:1" "$(get_offsets earliest)"
same "the latest offsets" "0:1
1:1
2:2" "$(get_offsets latest)"
same "the offsets of the latest timestamps" "0:0
1:0
2:1" "$(get_offsets max-timestamp)"
same "a time before all finds the first that are left" "0:0
1:0
2:1" "$(get_offsets 1)"

# --- transactions: one is left open by a producer that is killed ------------------------------------------------

"$scripts/kafka" tool kafka-producer-perf-test --topic "$ledger" --num-records 100000 --record-size 10 \
  --throughput 20 --transactional-id "$prefix-open" --transaction-duration-ms 600000 \
  --producer-props "bootstrap.servers=$broker" acks=all linger.ms=0 transaction.timeout.ms=600000 >"$scratch/open" &
background=$!
lines_in 1 "$scratch/open"
kill -9 "$background"
wait "$background" 2>/dev/null || true
background=
same "the open transaction is listed" "$prefix-open Ongoing" \
  "$(tool kafka-transactions list | grep "^$prefix-open[[:space:]]" | columns 1,4)"
same "and described" "$prefix-open Ongoing 600000 $ledger-0" \
  "$(tool kafka-transactions describe --transactional-id "$prefix-open" | grep "[[:space:]]$prefix-open[[:space:]]" | columns 2,5,6,9)"
same "its partition knows where it begins" "0 0" \
  "$(tool kafka-transactions describe-producers --topic "$ledger" --partition 0 | sed 1d | columns 2,6)"
lacks "it does not hang: its coordinator knows it" "^${ledger}[[:space:]]" \
  "$(tool kafka-transactions find-hanging --topic "$ledger" --partition 0 --max-transaction-timeout 0)"
tool kafka-transactions abort --topic "$ledger" --partition 0 --start-offset 0
same "aborted, it is open no more" "None" "$(tool kafka-transactions describe-producers --topic "$ledger" --partition 0 | sed 1d | columns 6)"

tool kafka-console-producer --topic "$ledger" <<<"after the abort"
first() { tool kafka-console-consumer --topic "$ledger" --partition 0 --offset earliest --max-messages 1 --timeout-ms 30000 "$@"; }
same "read_committed skips what was aborted" "after the abort" "$(first --isolation-level read_committed)"
matches "read_uncommitted does not" '^[A-Z]{10}$' "$(first --isolation-level read_uncommitted)"

# --- load -------------------------------------------------------------------------------------------------------

matches "five thousand records are acknowledged" '^5000 records sent, ' \
  "$("$scripts/kafka" tool kafka-producer-perf-test --topic "$topic" \
    --num-records 5000 --record-size 200 --throughput -1 --producer-props "bootstrap.servers=$broker" acks=all compression.type=lz4)"
# What was there before it: four records, less the one that was deleted.
same "and read again, with those that were there" "5003" \
  "$(tool kafka-consumer-perf-test --topic "$topic" --messages 5003 --timeout 30000 --group "$prefix-load" | tail -n 1 | cut -d , -f 5 | tr -d ' ')"

tool kafka-consumer-groups --delete --group "$prefix-load"
tool kafka-topics --delete --topic "$prefix-.*"
lacks "deleted topics are gone" "^$prefix-" "$(tool kafka-topics --list)"
