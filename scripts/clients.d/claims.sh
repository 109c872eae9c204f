# Owns how the shell programs beside it state a claim: what holds is logged, what does not ends the program.
# shellcheck shell=bash
# Read in by them; they are called with the broker's address and the prefix of everything they may create.
set -euo pipefail

# shellcheck disable=SC2034 # used by those who read this in
readonly broker=$1 prefix=$2
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly scripts

# One of Kafka's own tools; --bootstrap-server is given.
tool() {
  local name=$1
  shift
  echo "+ $name $*" >&2
  "$scripts/kafka" tool "$name" --bootstrap-server "$broker" "$@"
}

# A claim, what it expects, and what was seen.
same() {
  if [[ $2 == "$3" ]]; then
    echo "holds: $1" >&2
  else
    printf 'WRONG: %s\n--- expected\n%s\n--- seen\n%s\n' "$1" "$2" "$3" >&2
    exit 1
  fi
}

# A claim, an extended regular expression that some line must match, and the text.
matches() {
  if grep -Eq -e "$2" <<<"$3"; then
    echo "holds: $1" >&2
  else
    printf 'WRONG: %s\n--- no line matches\n%s\n--- seen\n%s\n' "$1" "$2" "$3" >&2
    exit 1
  fi
}

# A claim, an extended regular expression that no line may match, and the text.
lacks() {
  if grep -Eq -e "$2" <<<"$3"; then
    printf 'WRONG: %s\n--- a line matches\n%s\n--- seen\n%s\n' "$1" "$2" "$3" >&2
    exit 1
  fi
  echo "holds: $1" >&2
}
