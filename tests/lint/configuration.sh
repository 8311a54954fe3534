# docs/configuration.md must hold the table of keys as the program prints it.
set -euo pipefail
build=$1 source_dir=$2
diff <("$build/noslit" config --keys) <(grep '^|' "$source_dir/docs/configuration.md") ||
  { echo "docs/configuration.md is out of date: replace its table by the output of 'noslit config --keys'"; exit 1; }
