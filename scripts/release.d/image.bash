# An OCI image layout without a container engine. Sourced by scripts/release.
# https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables of scripts/release

# Moves a file into the layout and prints its descriptor.
blob() {
  local type=$1 file=$2 annotations=${3:-} digest size
  digest=$(sha256sum <"$file" | cut -d ' ' -f 1)
  size=$(stat --format=%s "$file")
  mv "$file" "$layout/blobs/sha256/$digest"
  printf '{"mediaType":"%s","digest":"sha256:%s","size":%s%s}' "$type" "$digest" "$size" "$annotations"
}

# The file system: the binary, a temporary directory, the home of a user without rights, and the certificates of public
# authorities, for brokers with such a certificate, in a place where librdkafka looks for them. They are those of Debian's
# package: the bundle in /etc of this machine may also have authorities of this machine.
layer() {
  local tree=$scratch/image/tree
  mkdir -p "$tree"/{etc/ssl/certs,tmp,home/foodstream,usr/bin,usr/share/doc/foodstream}
  install -m 755 "$binary" "$tree/usr/bin/foodstream"
  find /usr/share/ca-certificates/mozilla -name '*.crt' -print0 | sort -z | xargs -0 cat >"$tree/etc/ssl/certs/ca-certificates.crt"
  cp LICENSE-APACHE LICENSE-MIT "$scratch/licences/THIRD-PARTY-LICENSES" "$tree/usr/share/doc/foodstream/"
  printf 'root:x:0:0:root:/:/sbin/nologin\nfoodstream:x:%s:%s:foodstream:/home/foodstream:/sbin/nologin\n' \
    "$IMAGE_USER" "$IMAGE_USER" >"$tree/etc/passwd"
  printf 'root:x:0:\nfoodstream:x:%s:\n' "$IMAGE_USER" >"$tree/etc/group"
  settle "$tree"
  chmod 1777 "$tree/tmp"
  archive "$tree" --no-recursion home --recursion etc tmp usr >"$scratch/image/layer.tar"
  tar --append --format=ustar --owner="$IMAGE_USER" --group="$IMAGE_USER" --numeric-owner \
    --directory="$tree" --file="$scratch/image/layer.tar" home/foodstream
}

make_image() {
  local layout=$scratch/image/layout layer_digest layer_descriptor config_descriptor manifest_descriptor created labels
  mkdir -p "$layout/blobs/sha256"
  layer
  layer_digest=$(sha256sum <"$scratch/image/layer.tar" | cut -d ' ' -f 1)
  gzip -9n "$scratch/image/layer.tar"
  layer_descriptor=$(blob application/vnd.oci.image.layer.v1.tar+gzip "$scratch/image/layer.tar.gz")
  created=$(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
  labels=$(printf '"org.opencontainers.image.%s":"%s",' \
    title foodstream description "$(manifest description)" version "$version" revision "$commit" \
    created "$created" source "$(manifest repository)" licenses "$(manifest license)")
  labels=${labels%,}
  cat >"$scratch/image/config.json" <<END
{"created":"$created","architecture":"$debian","os":"linux","config":{"User":"$IMAGE_USER:$IMAGE_USER",\
"Env":["PATH=/usr/bin","HOME=/home/foodstream"],"Entrypoint":["/usr/bin/foodstream"],"Cmd":["--help"],\
"WorkingDir":"/home/foodstream","Labels":{$labels}},"rootfs":{"type":"layers","diff_ids":["sha256:$layer_digest"]},\
"history":[{"created":"$created","created_by":"scripts/release"}]}
END
  config_descriptor=$(blob application/vnd.oci.image.config.v1+json "$scratch/image/config.json")
  cat >"$scratch/image/manifest.json" <<END
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":$config_descriptor,\
"layers":[$layer_descriptor],"annotations":{$labels}}
END
  # The first name is that of the tag in the layout, the second one is for `docker load`.
  manifest_descriptor=$(blob application/vnd.oci.image.manifest.v1+json "$scratch/image/manifest.json" \
    ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"$version\",\"io.containerd.image.name\":\"localhost/foodstream:$version\"}")
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s]}\n' \
    "$manifest_descriptor" >"$layout/index.json"
  printf '{"imageLayoutVersion":"1.0.0"}\n' >"$layout/oci-layout"
  settle "$layout"
  archive "$layout" blobs index.json oci-layout >"$out/$name.oci.tar"
}
