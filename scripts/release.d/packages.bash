# Inventory, archive, .deb and .rpm. Sourced by scripts/release.
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables of scripts/release

# The SBOM, and the licences of everything that is linked into the binary.
dependency_list() {
  mkdir -p "$scratch/licences"
  python3 "$parts/inventory.py" --target "$host" --commit "$commit" --binary "$out/$name" \
    --sbom "$out/foodstream-$version-$machine.cdx.json" --licences "$scratch/licences/THIRD-PARTY-LICENSES" \
    --features tls
}

# Sets the modes and times of a tree, so that they depend on nothing but the commit.
settle() {
  chmod -R u=rwX,go=rX "$@"
  find "$@" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
}

# An archive of the entries of a directory, on stdout. ustar has no field for other times or for the packer.
archive() {
  local folder=$1
  shift
  tar --create --format=ustar --sort=name --owner=0 --group=0 --numeric-owner --directory="$folder" "$@"
}

# The documentation, and what it links to besides `scenarios`.
readonly DOCUMENTS=(README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE-APACHE LICENSE-MIT docs schemas)

# Documentation of the binary by itself, and the tree of /usr that .deb and .rpm install.
stage() {
  local usr=$scratch/stage/usr shell page
  mkdir -p "$scratch/man1" "$scratch/completions"
  "$binary" man "$scratch/man1" >/dev/null
  for shell in bash zsh fish; do "$binary" completions "$shell" >"$scratch/completions/$shell"; done

  install -D -m 755 "$binary" "$usr/bin/foodstream"
  mkdir -p "$usr/share/man/man1"
  for page in "$scratch"/man1/*.1; do gzip -9n <"$page" >"$usr/share/man/man1/${page##*/}.gz"; done
  install -D -m 644 "$scratch/completions/bash" "$usr/share/bash-completion/completions/foodstream"
  install -D -m 644 "$scratch/completions/fish" "$usr/share/fish/vendor_completions.d/foodstream.fish"
  mkdir -p "$usr/share/foodstream" "$usr/share/doc/foodstream"
  cp -r scenarios "$usr/share/foodstream/"
  cp -r "${DOCUMENTS[@]}" "$usr/share/doc/foodstream/"
  ln -s ../../foodstream/scenarios "$usr/share/doc/foodstream/scenarios"
  cp "$scratch/licences/THIRD-PARTY-LICENSES" "$usr/share/doc/foodstream/"
}

make_archive() {
  local top=$scratch/archive/$name
  mkdir -p "$top/completions" "$top/man/man1"
  install -m 755 "$binary" "$top/foodstream"
  cp "$scratch/completions/bash" "$top/completions/foodstream.bash"
  cp "$scratch/completions/zsh" "$top/completions/_foodstream"
  cp "$scratch/completions/fish" "$top/completions/foodstream.fish"
  cp "$scratch"/man1/*.1 "$top/man/man1/"
  cp -r "${DOCUMENTS[@]}" scenarios "$scratch/licences/THIRD-PARTY-LICENSES" "$top/"
  settle "$top"
  archive "$scratch/archive" "$name" | gzip -9n >"$out/$name.tar.gz"
}

make_deb() {
  local tree=$scratch/deb share size
  cp -a "$scratch/stage" "$tree"
  share=$tree/usr/share/doc/foodstream
  install -D -m 644 "$scratch/completions/zsh" "$tree/usr/share/zsh/vendor-completions/_foodstream"
  gzip -9n "$share/THIRD-PARTY-LICENSES"
  gzip -9n <CHANGELOG.md >"$share/changelog.gz"
  gzip -9n >"$share/changelog.Debian.gz" <<END
foodstream ($version-$PACKAGE_RELEASE) unstable; urgency=medium

  * Release $version. The changes are in changelog.gz.

 -- $MAINTAINER  $(date --rfc-email --date="@$SOURCE_DATE_EPOCH")
END
  debian_copyright >"$share/copyright"
  mkdir "$tree/DEBIAN"
  size=$(du --apparent-size -sk "$tree/usr" | cut -f 1)
  cat >"$tree/DEBIAN/control" <<END
Package: foodstream
Version: $version-$PACKAGE_RELEASE
Architecture: $debian
Maintainer: $MAINTAINER
Installed-Size: $size
Recommends: ca-certificates
Suggests: bash-completion
Section: utils
Priority: optional
Homepage: $(manifest repository)
Description: event streaming on Kafka, with a workload that verifies itself
 Learn, demonstrate and test event streaming on Kafka with a food-ordering
 workload that proves what it claims. Starts a broker of its own if no Kafka
 is running.
END
  (cd "$tree" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
  settle "$tree"
  # With several threads, the compressed bytes depend on their number.
  dpkg-deb --root-owner-group -Zxz --threads-max=1 --build "$tree" \
    "$out/foodstream_$version-${PACKAGE_RELEASE}_$debian.deb" >/dev/null
}

# A value of the package in Cargo.toml.
manifest() { sed -n "s/^$1 = \"\(.*\)\"\$/\1/p" Cargo.toml | head -n 1; }

debian_copyright() {
  cat <<END
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: foodstream
Source: $(manifest repository)
Comment: The licences of the libraries in the binary are in THIRD-PARTY-LICENSES.gz.

Files: *
Copyright: $(sed -n 's/^Copyright (c) //p' LICENSE-MIT | head -n 1)
License: Expat or Apache-2.0

License: Expat
$(sed -n '/^Permission is hereby/,$p' LICENSE-MIT | sed 's/^$/./; s/^/ /')

License: Apache-2.0
 On Debian systems, the Apache License 2.0 is in
 /usr/share/common-licenses/Apache-2.0.
END
}

make_rpm() {
  local tree=$scratch/rpm/tree macros=() entry
  mkdir -p "$scratch/rpm"
  cp -a "$scratch/stage" "$tree"
  install -D -m 644 "$scratch/completions/zsh" "$tree/usr/share/zsh/site-functions/_foodstream"
  mkdir -p "$tree/usr/share/licenses/foodstream"
  cp LICENSE-APACHE LICENSE-MIT "$tree/usr/share/licenses/foodstream/"
  mv "$tree/usr/share/doc/foodstream/THIRD-PARTY-LICENSES" "$tree/usr/share/licenses/foodstream/"
  settle "$tree"
  # The settings of this machine's rpm must not change the package: dependencies and debugging packages are not looked
  # for, files are taken as they are, and the build time is that of the commit.
  for entry in "_topdir $scratch/rpm" "_rpmdir $scratch/rpm/out" "_rpmfilename foodstream.rpm" \
    "_buildhost foodstream" "use_source_date_epoch_as_buildtime 1" "clamp_mtime_to_source_date_epoch 1" \
    "debug_package %{nil}" "_build_id_links none" "__os_install_post %{nil}" "_binary_payload w7.xzdio" \
    "vendor %{nil}" "_vendor %{nil}" "distribution %{nil}" "optflags %{nil}" "_docdir_fmt %%{NAME}" \
    "_dbpath $scratch/rpm/db" \
    "release_version $version" "release_number $PACKAGE_RELEASE" "release_tree $tree" \
    "release_url $(manifest repository)"; do
    macros+=(--define "$entry")
  done
  rpmbuild --quiet --target "$machine-linux" "${macros[@]}" -bb "$parts/foodstream.spec" >"$scratch/rpm/log" 2>&1 ||
    { cat "$scratch/rpm/log" >&2; fail "rpmbuild failed"; }
  cp "$scratch/rpm/out/foodstream.rpm" "$out/foodstream-$version-$PACKAGE_RELEASE.$machine.rpm"
}
