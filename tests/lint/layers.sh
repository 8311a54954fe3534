#!/usr/bin/env bash
# The house's order (docs/rules.md): layers include only what they may see, foreign headers stay in their rooms, files stay short.
# Usage: layers.sh BUILD_DIR SOURCE_DIR
set -eu
cd "$2"
find src include -type f \( -name '*.c' -o -name '*.h' \) | LC_ALL=C sort | xargs awk '
  BEGIN {
    # What a layer may see besides itself.
    sees["base"] = ""
    sees["io"] = sees["model"] = sees["nn"] = " base "
    sees["pipe"] = " base io model nn "
    sees["par"] = " base io model nn pipe "
    sees["cli"] = " base io model nn pipe par "
    # Foreign header (pattern) -> its rooms.
    rooms["^mpi\\.h$"] = " par "
    rooms["^(hdf5|H5[A-Za-z]*)\\.h$"] = " io "
    rooms["^(fitsio2?|longnam|drvrsmem)\\.h$"] = " io "
    rooms["^yaml\\.h$"] = " io "
    rooms["^wcslib(\\.h$|/)"] = " io "
    rooms["^(cjson/)?cJSON(_Utils)?\\.h$"] = " io "
    rooms["^(openblas/)?(cblas|lapacke|openblas_config|f77blas)\\.h$"] = " nn "
    rooms["^zlib\\.h$"] = " io "
    rooms["^isa-l(\\.h$|/)"] = " io "
    rooms["^chealpix\\.h$"] = " model "
    rooms["^Random123/"] = " base "
    rooms["^(xxhash|xxh3)\\.h$"] = " base "
    max_lines = 500
  }
  function complain(text) { print text; bad = 1 }
  function may_see(layer, other) { return other == layer || index(sees[layer], " " other " ") }

  FNR == 1 {
    n = split(FILENAME, part, "/")
    layer = part[1] == "src" ? part[2] : part[2] == "noslit" ? part[3] : ""
    if (!(layer in sees)) { complain(FILENAME ": lies in no layer (src/<layer>/, include/noslit/<layer>/)") }
    lines = 0
  }
  { if (++lines == max_lines + 1) { complain(FILENAME ": more than " max_lines " lines; split it by subject") } }

  /^[ \t]*#[ \t]*include[ \t]*[<"]/ {
    header = $0
    sub(/^[^<"]*[<"]/, "", header)
    sub(/[>"].*/, "", header)
    place = FILENAME ":" FNR ": "
    if (header ~ /(^|\/)\.\.\//) { complain(place "includes by ../: " header) }
    if (header ~ /^noslit\//) {
      split(header, h, "/")
      if (!(h[2] in sees)) { complain(place "no such layer: " header) }
      else if (!may_see(layer, h[2])) { complain(place "layer " layer " may not include " header) }
    } else {
      split(header, h, "/")
      if ((h[1] in sees) && h[1] != layer) { complain(place "layer " layer " may not include the private " header) }
    }
    for (pattern in rooms) {
      if (header ~ pattern && !index(rooms[pattern], " " layer " ")) { complain(place "foreign header <" header "> outside its room:" rooms[pattern]) }
    }
  }
  END { exit bad }
' && echo "layers: all in order"
