#!/usr/bin/env bash
# Runs networks.py with PyTorch for Arm in an emulator: test/fixtures/networks-arm64.json. It needs qemu-user-static and
# g++-aarch64-linux-gnu. PyTorch's last wheel for Arm without CUDA is that of 2.10.
#   test/reference/networks_arm64.sh DIRECTORY NETWORK...
set -euo pipefail
directory=$(realpath -m "$1")
shift
reference=$(realpath "$(dirname "$0")")

root=$directory/root site=$directory/site
if [[ ! -e $site ]]; then
  mkdir -p "$directory"/apt/{state/lists/partial,cache/archives/partial} "$root/proc" "$root/lib"
  touch "$directory/apt/state/status"
  options=(-o APT::Architecture=arm64 -o APT::Architectures=arm64 -o "Dir::State=$directory/apt/state"
    -o "Dir::State::status=$directory/apt/state/status" -o "Dir::Cache=$directory/apt/cache")
  apt-get "${options[@]}" update -qq
  (cd "$directory/apt" && apt-get "${options[@]}" download -qq python3.11-minimal libpython3.11-{minimal,stdlib} \
    libexpat1 zlib1g libssl3 libffi8 liblzma5 libbz2-1.0 libsqlite3-0 libuuid1 libcrypt1)
  for package in "$directory"/apt/*.deb; do dpkg-deb -x "$package" "$root"; done
  ln -sf /usr/aarch64-linux-gnu/lib/* "$root/lib/"
  printf 'processor : 0\nFeatures : fp asimd crc32 atomics\nCPU implementer : 0x41\nCPU part : 0xd0c\n' >"$root/proc/cpuinfo"
  # pip would install CUDA, as torch needs on x64.
  python3 -m pip install --quiet --target "$site" --no-deps --only-binary :all: --python-version 3.11 \
    --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux2014_aarch64 \
    torch==2.10.0 torchvision==0.25.0 numpy pillow typing_extensions sympy mpmath networkx jinja2 markupsafe filelock fsspec
fi

exec qemu-aarch64-static -cpu max -L "$root" -E PYTHONHOME="$root/usr" -E PYTHONPATH="$site" -E OMP_NUM_THREADS=1 \
  -E LD_LIBRARY_PATH="$root/lib:$root/lib/aarch64-linux-gnu:$root/usr/lib/aarch64-linux-gnu" \
  "$root/usr/bin/python3.11" "$reference/networks.py" "$@"
