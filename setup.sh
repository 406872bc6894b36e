# shellcheck shell=bash
# What a fresh Debian 12 or 13 needs, each part installed only where it is missing. Sourced by run, test and the Dockerfile.

RUN_PACKAGES=(orthanc orthanc-python orthanc-dicomweb orthanc-gdcm dcmtk python3 python3-venv ca-certificates)
# shellcheck disable=SC2034  # read by test
TEST_PACKAGES=(postgresql docker-compose chromium shellcheck dicom3tools libgdcm-tools poppler-utils rclone openssl
    openssh-client)

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo > /dev/null; then
        sudo "$@"
    else
        echo "Packages are missing: run this once as root, or install sudo." >&2
        return 1
    fi
}

installed() {
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2> /dev/null)" = installed ]
}

# Install the named packages that are missing; no service of theirs is started, now or at the next boot.
install_packages() {
    local missing=() package
    for package in "$@"; do
        installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "Installing ${missing[*]} ..."
    # shellcheck disable=SC2016  # $@ and the variables belong to the inner shell
    as_root env DEBIAN_FRONTEND=noninteractive bash -euo pipefail -c '
        rule=/usr/sbin/policy-rc.d    # Debian asks this script before it starts a service
        if [ ! -e "$rule" ]; then
            trap "rm -f $rule" EXIT
            printf "#!/bin/sh\nexit 101\n" > "$rule"
            chmod +x "$rule"
        fi
        apt-get update -q
        apt-get install -y -q --no-install-recommends "$@"
        if [ -d /run/systemd/system ]; then
            for package in "$@"; do
                case $package in orthanc | postgresql) systemctl disable --quiet "$package" ;; esac
            done
        fi' install "${missing[@]}"
}

stamp() {
    echo ".venv/installed-${1%.lock}"
}

wanted() {
    { /usr/bin/python3 --version; cat "$1" pyproject.toml; } | sha256sum
}

# Make .venv hold what the lock names. Debian's own python3, because that is the one Orthanc embeds.
python_environment() {
    local lock=$1 python=/usr/bin/python3
    # Whoever has asked for an extra once keeps it, also where versions change.
    if [ "$lock" = requirements.lock ] && [ -e "$(stamp requirements-flywheel.lock)" ]; then
        lock=requirements-flywheel.lock
    fi
    [ "$(cat "$(stamp "$lock")" 2> /dev/null)" != "$(wanted "$lock")" ] || return 0
    echo "Installing what $lock names into .venv ..."
    .venv/bin/python -c 'import sys; sys.exit(sys.argv[1] != "Python %s.%s.%s" % sys.version_info[:3])' \
        "$("$python" --version)" 2> /dev/null || "$python" -m venv --clear .venv
    .venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r "$lock"
    .venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
    # Every lock holds all that requirements.lock does, in the same versions.
    wanted requirements.lock > "$(stamp requirements.lock)"
    wanted "$lock" > "$(stamp "$lock")"
}

# The servers of tests/node, in a cache folder outside of the checkout: once for each lock file of theirs.
node_servers() {
    .venv/bin/python tests/object_servers.py
}

# Run a function; one at a time, since `./run` and `./test` may be started together.
alone() {
    (
        flock 9
        "$@"
    ) 9< pyproject.toml
}

# Everything but the test packages; the argument names the lock file.
set_up() {
    install_packages "${RUN_PACKAGES[@]}"
    alone python_environment "$1"
}
