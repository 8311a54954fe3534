# Sourced by demo.sh, test.sh and bench.sh: finds the checkout, installs what is missing, builds, and sets up mpirun.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
jobs=$(nproc 2>/dev/null || echo 2)
PATH=$PATH:/usr/sbin # munged and slurmctld are there

say() { printf '\n== %s\n' "$*"; }

# What noslit needs: "package probe", the probe being a pkg-config name, a header or a command.
build_needs="gcc:cmd:cc cmake:cmd:cmake make:cmd:make pkg-config:cmd:pkg-config git:cmd:git libopenmpi-dev:pc:ompi openmpi-bin:cmd:mpirun
  libhdf5-openmpi-dev:pc:hdf5-openmpi|hdf5-mpi|hdf5 libcfitsio-dev:pc:cfitsio libopenblas-dev:pc:openblas libyaml-dev:pc:yaml-0.1
  wcslib-dev:pc:wcslib libchealpix-dev:pc:chealpix libcjson-dev:pc:libcjson libxxhash-dev:pc:libxxhash zlib1g-dev:pc:zlib libisal-dev:pc:libisal
  librandom123-dev:h:Random123/philox.h"
test_needs="libcmocka-dev:pc:cmocka clang-format:cmd:clang-format libcfitsio-bin:cmd:fpack|funpack slurm-wlm:cmd:sbatch munge:cmd:munged
python3-venv:py:ensurepip"
python_needs="python3:cmd:python3 python3-numpy:py:numpy python3-scipy:py:scipy python3-h5py:py:h5py python3-astropy:py:astropy python3-matplotlib:py:matplotlib"

have_one() { # kind name
  case $1 in
  cmd) command -v "$2" >/dev/null 2>&1 ;;
  pc) pkg-config --exists "$2" 2>/dev/null ;;
  h) echo "#include <$2>" | cc -E -x c - >/dev/null 2>&1 ;;
  py) find_python "$2" >/dev/null ;;
  esac
}

have() { # kind alternatives separated by |
  local name IFS='|'
  for name in $2; do have_one "$1" "$name" && return 0; done
  return 1
}

# A python that has these modules: $NOSLIT_PYTHON, the one on the PATH, or the system's.
find_python() {
  local p m
  for p in "${NOSLIT_PYTHON:-}" python3 /usr/bin/python3; do
    [ -n "$p" ] && command -v "$p" >/dev/null 2>&1 || continue
    for m in "$@"; do "$p" -c "import $m" >/dev/null 2>&1 || continue 2; done
    echo "$p"
    return 0
  done
  return 1
}

missing_packages() {
  local need kind probe
  for need in "$@"; do
    kind=${need#*:}; probe=${kind#*:}; kind=${kind%%:*}
    have "$kind" "$probe" || printf '%s ' "${need%%:*}"
  done
}

install_missing() { # needs...
  local missing sudo=""
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  if command -v apt-get >/dev/null 2>&1; then
    [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null 2>&1 && sudo="sudo -n"; }
    if [ "$(id -u)" = 0 ] || $sudo true 2>/dev/null; then
      say "installing $missing"
      $sudo env DEBIAN_FRONTEND=noninteractive apt-get update -qq
      $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
      missing=$(missing_packages "$@")
    fi
  fi
  if [ -n "$missing" ]; then
    say "missing, and not installable from here: $missing"
    echo "   (names of Debian packages; on a cluster 'module load' what gives them. Going on with what there is.)"
  fi
}

build_noslit() { # preset [target]
  say "building ($1)"
  cmake --preset "$1" -S "$root" >/dev/null
  cmake --build --preset "$1" -j "$jobs" ${2:+--target "$2"} | tail -n 1
}

# mpirun as these scripts call it: more ranks than cores are fine, and so is root in a container.
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1 OPENBLAS_NUM_THREADS=1
export OMPI_MCA_btl_vader_single_copy_mechanism=none
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
mpi() { local n=$1; shift; mpirun --oversubscribe --bind-to none -n "$n" "$@"; }
