#!/bin/sh
# Builds this service's image as an OCI image layout (image-spec 1.1) in build/image, without a container engine:
#
#     build/image/oci-layout
#     build/image/index.json                names the manifest
#     build/image/blobs/sha256/<digest>     manifest, configuration, one layer per part below
#
# The image has two layers: `base` (users, a writable /tmp, a shell if BUSYBOX is given) and `app` (the service). The
# same files give the same bytes, whoever builds, when and under which umask; so a change of the app gives one new
# layer, and the base layer is never moved again.
#
#     BUSYBOX   path of a statically linked busybox to put into the base layer. Without it the image has no shell:
#               enough to build, sign and deploy, not enough to run.
#     ARCH      architecture that the image claims, amd64 unless given. It must be that of BUSYBOX.
set -eu

cd "$(dirname "$0")"
out=build/image
work=build/work
arch=${ARCH:-amd64}
created=1970-01-01T00:00:00Z
oci=application/vnd.oci.image

# What these would change is exactly what must not vary.
unset TAR_OPTIONS GZIP POSIXLY_CORRECT
LC_ALL=C
export LC_ALL
umask 022

fail() {
    echo "build-image: $*" >&2
    exit 1
}

# GNU tar sorts entries and sets their owner and time; macOS calls it gtar, when it has it.
tar=
for candidate in tar gtar; do
    if "$candidate" --version 2>/dev/null | grep -q 'GNU tar'; then
        tar=$candidate
        break
    fi
done
[ -n "$tar" ] || fail "GNU tar is needed; on macOS: brew install gnu-tar"
for tool in gzip sha256sum; do
    command -v "$tool" >/dev/null || fail "$tool is needed"
done

sha256() {
    sha256sum <"$1" | cut -d ' ' -f 1
}

size() {
    wc -c <"$1" | tr -d ' '
}

# blob TYPE FILE: moves the file to where its digest says and prints its descriptor.
blob() {
    digest=$(sha256 "$2")
    size=$(size "$2")
    mv "$2" "$work/image/blobs/sha256/$digest"
    printf '{"mediaType":"%s","digest":"sha256:%s","size":%s}' "$oci.$1" "$digest" "$size"
}

# layer NAME: packs $work/root/NAME; prints the descriptor and leaves the uncompressed digest in $work/NAME.diff.
layer() {
    "$tar" --create --file "$work/$1.tar" --directory "$work/root/$1" \
        --format ustar --sort name --mtime @0 --owner 0 --group 0 --numeric-owner .
    sha256 "$work/$1.tar" >"$work/$1.diff"
    gzip -n -9 "$work/$1.tar"
    blob layer.v1.tar+gzip "$work/$1.tar.gz"
}

rm -rf "$work"
mkdir -p "$work/root/base" "$work/root/app/app/www/cgi-bin" "$work/image/blobs/sha256"

# The base layer: what rarely changes.
base=$work/root/base
cp -R image/base/. "$base"
mkdir "$base/tmp"
if [ -n "${BUSYBOX:-}" ]; then
    [ -x "$BUSYBOX" ] || fail "BUSYBOX is not a program: $BUSYBOX"
    mkdir "$base/bin"
    cp "$BUSYBOX" "$base/bin/busybox"
    ln -s busybox "$base/bin/sh"
    ln -s busybox "$base/bin/dirname"
fi

# The app layer: what every commit may change.
app=$work/root/app/app
cp -R public/. "$app/www"
cp server/greeting "$app/www/cgi-bin/greeting"
cp server/start "$app/start"

# Readable by everyone, writable by its owner, executable where the file was: neither the umask nor a setgid directory
# of the checkout may show.
chmod -R u=rwX,go=rX,ug-s "$work/root"
chmod 1777 "$base/tmp"

base_layer=$(layer base)
app_layer=$(layer app)
base_diff=$(cat "$work/base.diff")
app_diff=$(cat "$work/app.diff")

cat >"$work/config.json" <<JSON
{"created":"$created","architecture":"$arch","os":"linux","config":{"User":"10001:10001","ExposedPorts":{"8080/tcp":{}},\
"Env":["PATH=/bin","PORT=8080","GREETING=hello"],"Entrypoint":["/app/start"],"WorkingDir":"/app"},\
"rootfs":{"type":"layers","diff_ids":["sha256:$base_diff","sha256:$app_diff"]},\
"history":[{"created":"$created","created_by":"build-image.sh: base"},\
{"created":"$created","created_by":"build-image.sh: app"}]}
JSON
config=$(blob config.v1+json "$work/config.json")

cat >"$work/manifest.json" <<JSON
{"schemaVersion":2,"mediaType":"$oci.manifest.v1+json","config":$config,"layers":[$base_layer,$app_layer]}
JSON
digest=$(sha256 "$work/manifest.json")
manifest=$(blob manifest.v1+json "$work/manifest.json")

cat >"$work/image/index.json" <<JSON
{"schemaVersion":2,"mediaType":"$oci.index.v1+json","manifests":[$manifest]}
JSON

printf '{"imageLayoutVersion":"1.0.0"}\n' >"$work/image/oci-layout"

# Only a finished layout takes the place of the last one.
rm -rf "$out"
mv "$work/image" "$out"
rm -rf "$work"
echo "$out: sha256:$digest" >&2
