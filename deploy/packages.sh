# Sourced by quickstart.sh and test.sh: the Debian 12 packages, and how to install those that are missing.

SYNCLINE_BUILD_PACKAGES="build-essential cmake ninja-build pkg-config ccache
    libopenmpi-dev openmpi-bin libopenblas-openmp-dev libdnnl-dev libuv1-dev libnghttp2-dev
    libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libprotobuf-dev libsqlite3-dev libyaml-dev
    libjansson-dev zlib1g-dev libssl-dev libisal-dev libmicrohttpd-dev"
SYNCLINE_TEST_PACKAGES="libcmocka-dev python3 python3-numpy python3-grpcio python3-grpc-tools python3-protobuf
    clang-format clang-tidy git sqlite3 procps iproute2 util-linux"

# install_packages NAME...: does nothing where all are installed; says which it installs.
install_packages() {
    missing=""
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "install ok installed" ||
            missing="$missing $package"
    done
    [ -z "$missing" ] && return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "These packages are missing, and this is not a Debian system that could install them:$missing" >&2
        return 1
    fi
    sudo=""
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 || {
            echo "Installing needs root or sudo. Please install:$missing" >&2
            return 1
        }
        sudo="sudo"
    fi
    echo "Installing Debian packages:$missing"
    $sudo apt-get update -qq
    # shellcheck disable=SC2086
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}
