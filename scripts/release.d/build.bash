# The static binary of a release, without paths of this machine. Sourced by scripts/release.
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables of scripts/release

# Builds with a clean environment: CFLAGS, RUSTFLAGS, or cargo's variables of the caller would change the binary.
build_binary() {
  local registry names=$target/compilers name flags inputs
  # Cargo does not notice other flags or versions of the C compiler.
  inputs=$(sha256sum <"$parts/build.bash"; sha256sum <"$parts/compiler"; sha256sum <"$parts/resolver.c"; cc --version)
  if [[ $inputs != "$(cat "$target/inputs" 2>/dev/null || true)" ]]; then
    rm -rf "$target"
    mkdir -p "$target"
    cat <<<"$inputs" >"$target/inputs"
  fi
  cc -O2 -fPIE -c "$parts/resolver.c" -o "$target/resolver.o"
  cargo fetch --locked --target "$host"
  # Cargo names the directory of a registry after its address, which is another one behind a mirror.
  registry=$(cargo metadata --format-version 1 --locked --offline --filter-platform "$host" |
    grep -o '"manifest_path":"[^"]*/registry/src/[^/"]*' | head -n 1 | cut -d '"' -f 4 || true)
  [[ -n $registry ]] || fail "cargo metadata names no directory of the registry"
  # Not a temporary directory: C code is built again when PATH changes.
  mkdir -p "$names"
  for name in cc gcc c++ g++; do ln -sf "$parts/compiler" "$names/$name"; done
  local separator=$'\x1f'
  flags=-Ctarget-feature=+crt-static
  # The replacements are relative: an absolute one could be the path of another machine's checkout.
  flags+=$separator--remap-path-prefix=$root=foodstream
  flags+=$separator--remap-path-prefix=$target=target
  flags+=$separator--remap-path-prefix=$registry=registry
  # A static program cannot look up whether glibc has getrandom(2), and would read /dev/urandom, which an empty root lacks.
  flags+=$separator--cfg=getrandom_backend=\"linux_getrandom\"
  # The id of the linker is a hash of the debugging information too, which is then stripped.
  flags+=$separator-Clink-arg=-Wl,--build-id=none
  env -i HOME="$HOME" PATH="$names:$PATH" LC_ALL=C TZ=UTC SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" \
    ${CARGO_HOME+"CARGO_HOME=$CARGO_HOME"} ${RUSTUP_HOME+"RUSTUP_HOME=$RUSTUP_HOME"} \
    ${RUSTUP_TOOLCHAIN+"RUSTUP_TOOLCHAIN=$RUSTUP_TOOLCHAIN"} \
    RELEASE_ROOT="$root" RELEASE_TARGET="$target" RELEASE_REGISTRY="$registry" \
    CARGO_TARGET_DIR="$target" CARGO_ENCODED_RUSTFLAGS="$flags" CARGO_INCREMENTAL=0 LIBZ_SYS_STATIC=1 \
    CARGO_PROFILE_RELEASE_DEBUG=none CARGO_PROFILE_RELEASE_STRIP=symbols \
    cargo build --release --locked --offline --target "$host" --bin foodstream --features tls ${jobs:+"-j$jobs"}
  binary=$target/$host/release/foodstream
}

# A program that asks for a library or an interpreter does not run in an empty root.
check_binary() {
  local path before
  if readelf -ldW "$binary" | grep -E 'NEEDED|INTERP'; then fail "$binary is not static"; fi
  for path in "$root" "$target" "${CARGO_HOME:-$HOME/.cargo}/"; do
    # A short path such as /src is also the end of other paths. A longer one is not, and is looked for everywhere:
    # strings of Rust follow each other without a separator.
    before='(?<![\w./-])'
    if [[ $path == /*/?* ]]; then before=''; fi
    if grep -aqP "$before\Q$path\E" "$binary"; then fail "$binary contains the path $path of this machine"; fi
  done
}
