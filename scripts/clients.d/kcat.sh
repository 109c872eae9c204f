#!/usr/bin/env bash
# Owns what kcat (librdkafka as Debian ships it) must show: metadata, records with keys and headers, groups, time queries, compression.
# shellcheck source=scripts/clients.d/claims.sh
. "$(dirname "${BASH_SOURCE[0]}")/claims.sh" "$@"

readonly topic=$prefix-topic group=$prefix-group

# Every reader checks the CRC of every batch; -m bounds the wait for metadata.
cat_of() { kcat -b "$broker" -m 20 "$@"; }
read_from() { cat_of -C -t "$topic" -e -q -X check.crcs=true "$@"; }
write_to() { cat_of -P -t "$topic" -X acks=all -X enable.idempotence=true "$@"; }

leave() {
  tool kafka-topics --delete --if-exists --topic "$topic" || true
  tool kafka-consumer-groups --delete --group "$group" || true
}
trap leave EXIT

kcat -V
tool kafka-topics --create --topic "$topic" --partitions 3 --replication-factor 1

metadata=$(cat_of -L -t "$topic")
matches "metadata names the topic with its three partitions" "topic \"$topic\" with 3 partitions:" "$metadata"
same "every partition has a leader" 3 "$(grep -Ec '^ +partition [0-2], leader [0-9]+, replicas: [0-9]+, isrs: [0-9]+$' <<<"$metadata")"
matches "metadata names a controller" '^ +broker [0-9]+ at .*\(controller\)$' "$metadata"

# -Z: what is empty is null. The last record is a tombstone, the one before it has no key.
printf 'k1:first\nk2:second, with a comma\n:without a key\nk4:\n' | write_to -p 0 -K: -Z -H source=kcat -H 'with=an = sign'
same "keys, values, nulls, headers and offsets come back as they went" \
  "0|2|k1|5|first|source=kcat,with=an = sign
1|2|k2|20|second, with a comma|source=kcat,with=an = sign
2|-1||13|without a key|source=kcat,with=an = sign
3|2|k4|-1||source=kcat,with=an = sign" \
  "$(read_from -p 0 -o beginning -f '%o|%K|%k|%S|%s|%h\n')"
same "reading from an offset begins there" "2
3" "$(read_from -p 0 -o 2 -f '%o\n')"
same "reading from two before the end finds two" "2
3" "$(read_from -p 0 -o -2 -f '%o\n')"

written=
for codec in gzip snappy lz4 zstd; do
  lines=$(seq 1 300 | sed "s/^/$codec packs what repeats, what repeats, what repeats, in line /")
  write_to -p 1 -z "$codec" -X linger.ms=50 <<<"$lines"
  written+=${written:+$'\n'}$lines
done
same "what gzip, snappy, lz4 and zstd packed is unpacked" "$written" "$(read_from -p 1 -o beginning -f '%s\n')"

# A process each: their timestamps cannot be the same millisecond.
for word in one two three; do write_to -p 2 <<<"$word"; done
times=$(read_from -p 2 -o beginning -f '%T\n')
same "timestamps grow" "$times" "$(sort -n -u <<<"$times")"
at() { cat_of -Q -t "$topic:2:$1"; }
same "the time of the second record finds the second" "$topic [2] offset 1" "$(at "$(sed -n 2p <<<"$times")")"
same "a millisecond after it finds the third" "$topic [2] offset 2" "$(at $(($(sed -n 2p <<<"$times") + 1)))"
same "a time before all finds the first" "$topic [2] offset 0" "$(at 1)"
same "a time after all finds nothing" "$topic [2] offset -1" "$(at $(($(sed -n 3p <<<"$times") + 1)))"

# kcat writes one transaction per run when it has a transactional id.
printf 'committed a\ncommitted b\n' | cat_of -P -t "$topic" -p 2 -X transactional.id="$prefix-writer"
same "a committed transaction is read by those who read committed records" "one
two
three
committed a
committed b" "$(read_from -p 2 -o beginning -X isolation.level=read_committed -f '%s\n')"

as_group() { cat_of -q -e -X auto.offset.reset=earliest -X check.crcs=true -f '%p %s\n' -G "$group" "$topic"; }
everything=$(read_from -o beginning -f '%p %s\n' | sort)
same "there is everything to read" 1209 "$(wc -l <<<"$everything" | tr -d ' ')"
same "a new group reads everything" "$everything" "$(as_group | sort)"
printf 'later\n' | write_to -p 0
printf 'later\n' | write_to -p 1
same "the group goes on where it committed" "0 later
1 later" "$(as_group | sort)"
