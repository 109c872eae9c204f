# Assertions of the shell programs in this directory: a true one is logged, a false one exits with code 1.
# shellcheck shell=bash
# Arguments of the programs, and of this file: the broker's address, a prefix for the names of topics and groups.
set -euo pipefail

# shellcheck disable=SC2034 # used by the programs that source this file
readonly broker=$1 prefix=$2
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly scripts

# Runs one of Kafka's own tools with --bootstrap-server.
tool() {
  local name=$1
  shift
  echo "+ $name $*" >&2
  "$scripts/kafka" tool "$name" --bootstrap-server "$broker" "$@"
}

# assert_equal DESCRIPTION EXPECTED ACTUAL
assert_equal() {
  if [[ $2 == "$3" ]]; then
    echo "ok: $1" >&2
  else
    printf 'FAILED: %s\n--- expected\n%s\n--- actual\n%s\n' "$1" "$2" "$3" >&2
    exit 1
  fi
}

# assert_match DESCRIPTION REGEX TEXT: some line of the text matches the extended regular expression.
assert_match() {
  if grep -Eq -e "$2" <<<"$3"; then
    echo "ok: $1" >&2
  else
    printf 'FAILED: %s\n--- no line matches\n%s\n--- actual\n%s\n' "$1" "$2" "$3" >&2
    exit 1
  fi
}

# assert_no_match DESCRIPTION REGEX TEXT: no line of the text matches the extended regular expression.
assert_no_match() {
  if grep -Eq -e "$2" <<<"$3"; then
    printf 'FAILED: %s\n--- a line matches\n%s\n--- actual\n%s\n' "$1" "$2" "$3" >&2
    exit 1
  fi
  echo "ok: $1" >&2
}
