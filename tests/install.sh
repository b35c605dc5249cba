#!/usr/bin/env bash
# Installs what the tests need beside Rust and a C compiler, on a Debian: only what is missing, through apt. Then each judge
# fetches its client. What looks over the sources goes into tests/cache/tools/bin. Quick when all is there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

packages=()
need() { # need COMMAND... -- PACKAGE...: the packages, unless every command works
    local test=()
    while [ "$1" != -- ]; do
        test+=("$1")
        shift
    done
    shift
    "${test[@]}" >/dev/null 2>&1 || packages+=("$@")
}
need python3 -c 'import ensurepip, venv' -- python3 python3-venv
need javac -version -- default-jdk-headless
need mvn -v -- maven
need go version -- golang-go
need node --version -- nodejs
need npm --version -- npm
need gcc --version -- gcc libc6-dev
need git --version -- git
need g++ --version -- g++
need make --version -- make
need setpriv --version -- util-linux
install() {
    echo "installing $*"
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"
}
[ ${#packages[@]} -eq 0 ] || install "${packages[@]}"
# Without it servers are not cut off from each other, and the test says so.
ip -V >/dev/null 2>&1 || install iproute2 || echo "no iproute2: the tests make no partitions"
for component in rustfmt clippy; do
    cargo "${component/rust/}" --version >/dev/null 2>&1 || rustup component add "$component"
done

tools=$here/cache/tools
mkdir -p "$tools/bin"
tool() { # tool KIND NAME VERSION
    local stamp=$tools/$2-$3
    [ -e "$stamp" ] && return
    "$1" "$2" "$3"
    touch "$stamp"
}
from_pypi() {
    python3 -m venv "$tools/python"
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check "$1==$2"
    ln -sf "$tools/python/bin/$1" "$tools/bin/$1"
}
# Not optimized: they run for seconds, and compile for minutes.
from_crates() {
    cargo install --quiet --locked --profile dev --no-default-features --root "$tools" "$1@$2"
}
tool from_pypi typos 1.52.0
tool from_crates cargo-machete 0.9.2
tool from_crates cargo-deny 0.20.2

"$here/reference/fetch"
for judge in "$here"/clients/*/judge; do
    "$judge" prepare
done
