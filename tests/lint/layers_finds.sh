#!/usr/bin/env bash
# layers.sh finds what it is there for: every planted violation is named, and a tidy tree passes.
set -eu
lint=$2/tests/lint/layers.sh
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/src/{base,io,model,nn,pipe,par,cli} "$tree"/include/noslit/{base,model,pipe}

plant() { # file, line, what the complaint must say
  rm -f "$tree"/src/*/bad.c "$tree"/include/noslit/*/bad.h
  mkdir -p "$(dirname "$tree/$1")"
  printf '%b\n' "$2" >"$tree/$1"
  if out=$(bash "$lint" . "$tree" 2>&1); then
    echo "not found: $1: $2"
    exit 1
  fi
  case $out in *"$1"*"$3"*) ;; *) echo "wrong complaint about $1: $out"; exit 1 ;; esac
}

printf '#include <stdio.h>\n#include "noslit/base/status.h"\n#include <fitsio.h>\n#include "fits_internal.h"\n' >"$tree/src/io/good.c"
printf '#include "noslit/io/fits.h"\n#include <mpi.h>\n#include "noslit/pipe/plan.h"\n' >"$tree/src/par/good.c"
bash "$lint" . "$tree" >/dev/null

plant src/io/bad.c '#include "noslit/model/flags.h"' 'may not include'
plant src/model/bad.c '#include "noslit/nn/net.h"' 'may not include'
plant src/base/bad.c '#include "noslit/io/h5.h"' 'may not include'
plant src/pipe/bad.c '  #  include "noslit/par/run.h"' 'may not include'
plant include/noslit/base/bad.h '#include "noslit/pipe/plan.h"' 'may not include'
plant src/pipe/bad.c '#include "io/h5_internal.h"' 'private'
plant src/pipe/bad.c '#include "../io/h5_internal.h"' '../'
plant src/pipe/bad.c '#include <mpi.h>' 'outside its room'
plant src/pipe/bad.c '#include <hdf5.h>' 'outside its room'
plant src/par/bad.c '#include <hdf5.h>' 'outside its room'
plant src/pipe/bad.c '#include <zlib.h>' 'outside its room'
plant src/par/bad.c '#include <fitsio.h>' 'outside its room'
plant src/cli/bad.c '#include <yaml.h>' 'outside its room'
plant src/model/bad.c '#include <wcslib/wcs.h>' 'outside its room'
plant src/pipe/bad.c '#include <cJSON.h>' 'outside its room'
plant src/pipe/bad.c '#include <cjson/cJSON.h>' 'outside its room'
plant src/model/bad.c '#include <cblas.h>' 'outside its room'
plant src/pipe/bad.c '#include <chealpix.h>' 'outside its room'
plant src/nn/bad.c '#include <Random123/philox.h>' 'outside its room'
plant include/noslit/model/bad.h '#include <xxhash.h>' 'outside its room'
plant src/attic/bad.c 'int x;' 'no layer'
rm -r "$tree/src/attic"
plant src/nn/bad.c "$(for _ in $(seq 501); do printf '\\n'; done)" 'more than 500 lines'
echo "layers.sh finds every planted violation"
