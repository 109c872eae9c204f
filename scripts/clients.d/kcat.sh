#!/usr/bin/env bash
# Test of kcat, with Debian's librdkafka: metadata, keys, headers, tombstones, compression, offsets by time,
# transactions, groups.
# shellcheck source=scripts/clients.d/assertions.sh
. "$(dirname "${BASH_SOURCE[0]}")/assertions.sh" "$@"

readonly topic=$prefix-topic group=$prefix-group

# Consumers check the CRC of each batch; -m is the metadata timeout.
kcat_client() { kcat -b "$broker" -m 20 "$@"; }
consume() { kcat_client -C -t "$topic" -e -q -X check.crcs=true "$@"; }
produce() { kcat_client -P -t "$topic" -X acks=all -X enable.idempotence=true "$@"; }

cleanup() {
  tool kafka-topics --delete --if-exists --topic "$topic" || true
  tool kafka-consumer-groups --delete --group "$group" || true
}
trap cleanup EXIT

kcat -V
tool kafka-topics --create --topic "$topic" --partitions 3 --replication-factor 1

metadata=$(kcat_client -L -t "$topic")
assert_match "metadata lists the topic with three partitions" "topic \"$topic\" with 3 partitions:" "$metadata"
assert_equal "every partition has a leader" 3 "$(grep -Ec '^ +partition [0-2], leader [0-9]+, replicas: [0-9]+, isrs: [0-9]+$' <<<"$metadata")"
assert_match "metadata marks the controller" '^ +broker [0-9]+ at .*\(controller\)$' "$metadata"

# -Z writes empty keys and values as null. The last record is a tombstone; the one before it has no key.
printf 'k1:first\nk2:second, with a comma\n:without a key\nk4:\n' | produce -p 0 -K: -Z -H source=kcat -H 'with=an = sign'
assert_equal "keys, values, nulls, headers and offsets are read as written" \
  "0|2|k1|5|first|source=kcat,with=an = sign
1|2|k2|20|second, with a comma|source=kcat,with=an = sign
2|-1||13|without a key|source=kcat,with=an = sign
3|2|k4|-1||source=kcat,with=an = sign" \
  "$(consume -p 0 -o beginning -f '%o|%K|%k|%S|%s|%h\n')"
assert_equal "consuming from an offset starts at that offset" "2
3" "$(consume -p 0 -o 2 -f '%o\n')"
assert_equal "consuming from two records before the end reads two" "2
3" "$(consume -p 0 -o -2 -f '%o\n')"

written=
for codec in gzip snappy lz4 zstd; do
  lines=$(seq 1 300 | sed "s/^/$codec compresses repeated text, repeated text, repeated text, in line /")
  produce -p 1 -z "$codec" -X linger.ms=50 <<<"$lines"
  written+=${written:+$'\n'}$lines
done
assert_equal "gzip, snappy, lz4 and zstd are decompressed" "$written" "$(consume -p 1 -o beginning -f '%s\n')"

# One process for each record, so that timestamps differ.
for word in one two three; do produce -p 2 <<<"$word"; done
times=$(consume -p 2 -o beginning -f '%T\n')
assert_equal "timestamps increase" "$times" "$(sort -n -u <<<"$times")"
query_offset() { kcat_client -Q -t "$topic:2:$1"; }
assert_equal "the second record's timestamp finds the second record" "$topic [2] offset 1" "$(query_offset "$(sed -n 2p <<<"$times")")"
assert_equal "one millisecond later finds the third record" "$topic [2] offset 2" "$(query_offset $(($(sed -n 2p <<<"$times") + 1)))"
assert_equal "a time before all records finds the first" "$topic [2] offset 0" "$(query_offset 1)"
assert_equal "a time after all records finds nothing" "$topic [2] offset -1" "$(query_offset $(($(sed -n 3p <<<"$times") + 1)))"

# With a transactional id, kcat writes one transaction per run.
printf 'committed a\ncommitted b\n' | kcat_client -P -t "$topic" -p 2 -X transactional.id="$prefix-writer"
assert_equal "read_committed reads a committed transaction" "one
two
three
committed a
committed b" "$(consume -p 2 -o beginning -X isolation.level=read_committed -f '%s\n')"

consume_as_group() { kcat_client -q -e -X auto.offset.reset=earliest -X check.crcs=true -f '%p %s\n' -G "$group" "$topic"; }
everything=$(consume -o beginning -f '%p %s\n' | sort)
assert_equal "all partitions have 1209 records" 1209 "$(wc -l <<<"$everything" | tr -d ' ')"
assert_equal "a new group reads all records" "$everything" "$(consume_as_group | sort)"
printf 'later\n' | produce -p 0
printf 'later\n' | produce -p 1
assert_equal "the group continues at its committed offsets" "0 later
1 later" "$(consume_as_group | sort)"
