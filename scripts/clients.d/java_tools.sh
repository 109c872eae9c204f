#!/usr/bin/env bash
# Test of Kafka's own command-line tools: topics, configs, records, groups, offsets, transactions, load.
# shellcheck source=scripts/clients.d/assertions.sh
. "$(dirname "${BASH_SOURCE[0]}")/assertions.sh" "$@"

readonly topic=$prefix-topic tx_topic=$prefix-tx group=$prefix-group
# Seconds that a background tool may take to write its output.
readonly LIMIT=40

scratch=$(mktemp -d "${TMPDIR:-/tmp}/java-tools.XXXXXX")
readonly scratch
background=
cleanup() {
  local code=$?
  trap - EXIT
  [[ -z $background ]] || kill -9 "$background" 2>/dev/null || true
  rm -rf "$scratch"
  if [[ $code -ne 0 ]]; then
    tool kafka-topics --delete --if-exists --topic "$prefix-.*" || true
  fi
  exit "$code"
}
trap cleanup EXIT

# Waits until file $2, which the background tool writes, has $1 lines.
wait_for_lines() {
  local deadline=$((SECONDS + LIMIT))
  until [[ $(wc -l <"$2") -ge $1 ]]; do
    if ((SECONDS >= deadline)) || ! kill -0 "$background" 2>/dev/null; then
      assert_equal "the background tool writes $1 lines" "$1 lines" "$(cat "$2")"
    fi
    sleep 0.2
  done
}
# Prints the columns $1 of a table, separated by single spaces.
columns() {
  awk -v wanted="$1" 'BEGIN { n = split(wanted, c, ",") } NF { for (i = 1; i <= n; i++) printf "%s%s", $c[i], (i < n ? " " : "\n") }'
}

# --- topics, configs, records -----------------------------------------------------------------------------------

cluster=$("$scripts/kafka" tool kafka-cluster cluster-id --bootstrap-server "$broker")
assert_match "the cluster has an id" '^Cluster ID: [A-Za-z0-9_-]+$' "$cluster"
created=$(tool kafka-topics --create --topic "$topic" --partitions 2 --replication-factor 1 --config retention.ms=7200000)
assert_match "a topic is created" "^Created topic $topic" "$created"
tool kafka-topics --create --topic "$tx_topic" --partitions 1 --replication-factor 1
tool kafka-topics --alter --topic "$topic" --partitions 3
described=$(tool kafka-topics --describe --topic "$topic")
assert_match "partitions can be added" $'\tPartitionCount: 3\t' "$described"
assert_match "the topic's config is described" 'Configs: (.*,)?retention.ms=7200000(,.*)?$' "$described"
assert_equal "every partition's leader is its replica" 3 \
  "$(grep -Ec $'\tPartition: [0-2]\tLeader: ([0-9]+)\tReplicas: \\1\tIsr: \\1(\t|$)' <<<"$described")"
listed=$(tool kafka-topics --list)
assert_equal "topics are listed" "$topic
$tx_topic" "$(grep "^$prefix-" <<<"$listed" | sort)"

tool kafka-configs --alter --entity-type topics --entity-name "$topic" \
  --add-config max.message.bytes=54321 --delete-config retention.ms
settings=$(tool kafka-configs --describe --entity-type topics --entity-name "$topic")
assert_match "a config is added" '^ +max.message.bytes=54321 .*DYNAMIC_TOPIC_CONFIG:max.message.bytes=54321' "$settings"
assert_no_match "a config is removed" 'retention.ms' "$settings"

tool kafka-console-producer --topic "$topic" --property parse.key=true --property parse.headers=true --producer-property acks=all <<'EOF'
n:1,m:one	k1	first
n:2	k2	second, with a comma
n:3	k3	third
n:4	k1	fourth, after the first
EOF
# Not through the function `tool`: then $! would be a subshell, and not the JVM that is killed below.
"$scripts/kafka" tool kafka-console-consumer --bootstrap-server "$broker" --topic "$topic" --from-beginning --group "$group" \
  --consumer-property auto.commit.interval.ms=200 --property print.key=true --property print.headers=true \
  --property print.partition=true --property print.offset=true >"$scratch/records" &
background=$!
wait_for_lines 4 "$scratch/records"
# The client's partitioner maps these keys to these partitions.
assert_equal "records are read with keys, headers, partitions and offsets" "Partition:0	Offset:0	n:2	k2	second, with a comma
Partition:1	Offset:0	n:3	k3	third
Partition:2	Offset:0	n:1,m:one	k1	first
Partition:2	Offset:1	n:4	k1	fourth, after the first" "$(sort "$scratch/records")"

# --- groups: the console consumer is still a member -------------------------------------------------------------

assert_equal "the group has one member with all partitions" "$group console-consumer 3 $topic:0,1,2" \
  "$(tool kafka-consumer-groups --describe --group "$group" --members --verbose | grep "^$group " | columns 1,4,5,7)"
assert_equal "the group is stable" "$group range Stable 1" \
  "$(tool kafka-consumer-groups --describe --group "$group" --state | grep "^$group " | columns 1,4,5,6)"
kill "$background"
wait "$background" 2>/dev/null || true
background=

group_offsets() { tool kafka-consumer-groups --describe --group "$group" --offsets 2>&1 | grep "^$group " | columns 3,4,5,6 | sort; }
assert_equal "the group has committed all records" "0 1 1 0
1 1 1 0
2 2 2 0" "$(group_offsets)"
assert_match "the group is listed" "^$group$" "$(tool kafka-consumer-groups --list)"
reset_offsets() { tool kafka-consumer-groups --group "$group" --topic "$topic" --reset-offsets "$@" | grep "^$group " | columns 3,4 | sort; }
assert_equal "a dry run prints the new offsets" "0 0
1 0
2 0" "$(reset_offsets --to-earliest --dry-run)"
assert_equal "a reset starts from the unchanged offsets" "0 0
1 0
2 1" "$(reset_offsets --shift-by -1 --execute)"
assert_match "the offset of a partition is deleted" "^$topic +1 +Successful" \
  "$(tool kafka-consumer-groups --group "$group" --topic "$topic:1" --delete-offsets)"
assert_equal "the other offsets are as set, with their lag" "0 0 1 1
2 1 2 1" "$(group_offsets)"
assert_match "the group is deleted" "Deletion of requested consumer groups \\('$group'\\) was successful" \
  "$(tool kafka-consumer-groups --delete --group "$group")"

get_offsets() { tool kafka-get-offsets --topic "$topic" --time "$1" | cut -d : -f 2,3; }
request="{\"partitions\": [{\"topic\": \"$topic\", \"partition\": 2, \"offset\": 1}], \"version\": 1}"
assert_match "records are deleted" "^partition: $topic-2[[:space:]]+low_watermark: 1$" \
  "$(tool kafka-delete-records --offset-json-file /dev/stdin <<<"$request")"
assert_equal "the earliest offsets" "0:0
1:0
2:1" "$(get_offsets earliest)"
assert_equal "the latest offsets" "0:1
1:1
2:2" "$(get_offsets latest)"
assert_equal "the offsets of the latest timestamps" "0:0
1:0
2:1" "$(get_offsets max-timestamp)"
assert_equal "a time before all records finds the first remaining ones" "0:0
1:0
2:1" "$(get_offsets 1)"

# --- transactions: a killed producer leaves one open ------------------------------------------------------------

"$scripts/kafka" tool kafka-producer-perf-test --topic "$tx_topic" --num-records 100000 --record-size 10 \
  --throughput 20 --transactional-id "$prefix-open" --transaction-duration-ms 600000 \
  --producer-props "bootstrap.servers=$broker" acks=all linger.ms=0 transaction.timeout.ms=600000 >"$scratch/open" &
background=$!
wait_for_lines 1 "$scratch/open"
kill -9 "$background"
wait "$background" 2>/dev/null || true
background=
assert_equal "the open transaction is listed" "$prefix-open Ongoing" \
  "$(tool kafka-transactions list | grep "^$prefix-open[[:space:]]" | columns 1,4)"
assert_equal "the open transaction is described" "$prefix-open Ongoing 600000 $tx_topic-0" \
  "$(tool kafka-transactions describe --transactional-id "$prefix-open" | grep "[[:space:]]$prefix-open[[:space:]]" | columns 2,5,6,9)"
assert_equal "its partition lists the producer and the start offset" "0 0" \
  "$(tool kafka-transactions describe-producers --topic "$tx_topic" --partition 0 | sed 1d | columns 2,6)"
assert_no_match "it is not a hanging transaction, as its coordinator knows it" "^${tx_topic}[[:space:]]" \
  "$(tool kafka-transactions find-hanging --topic "$tx_topic" --partition 0 --max-transaction-timeout 0)"
tool kafka-transactions abort --topic "$tx_topic" --partition 0 --start-offset 0
assert_equal "the transaction is aborted" "None" "$(tool kafka-transactions describe-producers --topic "$tx_topic" --partition 0 | sed 1d | columns 6)"

tool kafka-console-producer --topic "$tx_topic" <<<"after the abort"
first_record() { tool kafka-console-consumer --topic "$tx_topic" --partition 0 --offset earliest --max-messages 1 --timeout-ms 30000 "$@"; }
assert_equal "read_committed skips the aborted records" "after the abort" "$(first_record --isolation-level read_committed)"
assert_match "read_uncommitted reads the aborted records" '^[A-Z]{10}$' "$(first_record --isolation-level read_uncommitted)"

# --- load -------------------------------------------------------------------------------------------------------

assert_match "5000 records are acknowledged" '^5000 records sent, ' \
  "$("$scripts/kafka" tool kafka-producer-perf-test --topic "$topic" \
    --num-records 5000 --record-size 200 --throughput -1 --producer-props "bootstrap.servers=$broker" acks=all compression.type=lz4)"
# 5000, and three of the four records before, one of which was deleted.
assert_equal "all records are read" "5003" \
  "$(tool kafka-consumer-perf-test --topic "$topic" --messages 5003 --timeout 30000 --group "$prefix-load" | tail -n 1 | cut -d , -f 5 | tr -d ' ')"

tool kafka-consumer-groups --delete --group "$prefix-load"
tool kafka-topics --delete --topic "$prefix-.*"
assert_no_match "deleted topics are not listed" "^$prefix-" "$(tool kafka-topics --list)"
