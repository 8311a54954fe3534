# One selection language: every kind of selection, with every command that takes one, speaks of the same tiles and sources.
. "$(dirname "$0")/_lib.sh"
dir=$(workdir a)
survey=$dir/survey.yaml
catalogue=$dir/catalogue.hdf5
tiles_of() { find "$dir/tiles" -name 'Npix=*.h5' | sed 's/.*Npix=\([0-9]*\).h5/\1/' | sort -n; }
# A tile that always fails has no file, and is in quarantine.
expect 0 "$noslit" plan "$survey"
expect 0 "$noslit" run "$survey"
bad=$(tiles_of | sed -n 3p)
remove_bad() { rm "$(find "$dir/tiles" -name "Npix=$bad.h5")"; }
remove_bad
expect 3 "$noslit" run "$survey" --tiles "$bad" --fault "fail:tile=$bad"
expect 0 "$noslit" run "$survey" --failed
expect 0 "$noslit" merge "$survey"
cp "$catalogue" "$dir/whole.hdf5"

number() { sed -n "s/^[[:space:]]*\"$1\":[[:space:]]*\([0-9]*\),*$/\1/p"; }
listed() { tail -n +2 | awk '{print $4}' | sort -nu; } # tiles in the list of show
count_lines() { grep -c . || true; }

obsid=$("$noslit" show "$dir/whole.hdf5" --id "$("$noslit" show "$dir/whole.hdf5" --tiles "$bad" | awk 'NR==2 {print $1}')" --config "$survey" |
  sed -n 's/.*CSST_MSC_MS_SCI_[0-9]*_[0-9]*_\([0-9]*\)_.*/\1/p' | head -n 1)
[ -n "$obsid" ] || fail "show names no exposure"
source=$("$noslit" show "$dir/whole.hdf5" --tiles "$bad" | awk 'NR==2 {print $1}')
position=$("$noslit" show "$dir/whole.hdf5" --tiles "$bad" | awk 'NR==2 {print $2 "," $3}')
ra=${position%,*} dec=${position#*,}; dec=${dec#+}
around() { awk -v r="$ra" -v d="$dec" -v s=0.006 "BEGIN { printf \"$1\", $2 }"; }
first=$(tiles_of | head -n 1) last=$(tiles_of | sed -n 5p)

# selection, does a region cut tiles in pieces (then run and merge speak of whole tiles, show and validate of the sources inside)
check() {
  local pieces=$1 n rows shown; shift
  n=$("$noslit" plan "$survey" "$@" --json | number tiles)
  rows=$("$noslit" plan "$survey" "$@" --json | number sources)
  [ "$n" -ge 1 ] && [ "$n" -le "$(tiles_of | wc -l)" ] || fail "plan $*: $n tiles"
  says "^ +done +$n$" "$noslit" status "$survey" "$@"
  says ": $n of [0-9]+ tiles asked for: 0 made, $n verified" "$noslit" run "$survey" "$@"
  expect 0 "$noslit" merge "$survey" "$@"
  says ": $rows rows of $n tiles" "$noslit" merge "$survey" "$@"
  shown=$("$noslit" show "$dir/whole.hdf5" --config "$survey" "$@" | tail -n +2)
  if [ "$pieces" = whole ]; then
    [ "$(awk '{print $1}' <<< "$shown" | sort)" = "$("$noslit" show "$catalogue" --tiles 0-99999999999 | awk 'NR>1 {print $1}' | sort)" ] ||
      fail "show $* does not list the sources that merge $* writes"
  else
    [ "$(count_lines <<< "$shown")" -ge 1 ] && [ "$(count_lines <<< "$shown")" -le "$rows" ] || fail "show $*: $shown"
  fi
  "$noslit" validate "$dir/whole.hdf5" --truth "$fixture/truth.fits" --config "$survey" --draws 0 --json "$@" > "$dir/metrics.json"
  [ "$(sed -n '/"all"/,/}/p' "$dir/metrics.json" | number n | head -n 1)" -ge 1 ] || fail "validate $*: no source"
}
check whole --tiles "$bad"
check whole --tiles "$first-$last"
check whole --exposure "$obsid"
check pieces --cone "$ra,$dec,0.004"
check pieces --box "$(around '%.6f,%.6f,%.6f,%.6f' 'r-s,r+s,d-s,d+s')"
check pieces --polygon "$(around '%.6f,%.6f,%.6f,%.6f,%.6f,%.6f' 'r-s,d-s,r+s,d-s,r,d+s')"

# One source: its tile for run and merge, itself for validate; show prints its card.
says "1 of [0-9]+ tiles asked for: 0 made, 1 verified" "$noslit" run "$survey" --source "$source"
says "^source +$source$" "$noslit" show "$dir/whole.hdf5" --source "$source"
[ "$("$noslit" validate "$dir/whole.hdf5" --truth "$fixture/truth.fits" --draws 0 --json --source "$source" | sed -n '/"all"/,/}/p' | number n | head -n 1)" = 1 ] ||
  fail "validate --source $source is not of one source"

# States: of nothing, then of one tile each. A catalogue alone does not know them.
for state in --failed --stale; do
  [ "$("$noslit" plan "$survey" $state --json | number tiles)" = 0 ] || fail "plan $state names tiles"
  says " 0 of [0-9]+ tiles asked for" "$noslit" run "$survey" $state
  [ "$("$noslit" show "$dir/whole.hdf5" --config "$survey" $state | wc -l)" = 1 ] || fail "show $state lists sources"
  expect 2 "$noslit" show "$dir/whole.hdf5" $state
  expect 2 "$noslit" validate "$dir/whole.hdf5" --truth "$fixture/truth.fits" $state
  expect 2 "$noslit" merge "$survey" $state
done
remove_bad
expect 3 "$noslit" run "$survey" --tiles "$bad" --fault "fail:tile=$bad"
expect 0 "$noslit" run "$survey" --tiles "$last" --force --set run.samples=8
for pair in "--failed $bad" "--stale $last"; do
  set -- $pair
  says "tiles +1 \(selected\)" "$noslit" plan "$survey" "$1"
  says "^tile $2: " "$noslit" status "$survey" "$1" --why
  [ "$("$noslit" show "$dir/whole.hdf5" --config "$survey" "$1" | listed)" = "$2" ] || fail "show $1 is not of tile $2"
  expect 0 "$noslit" validate "$dir/whole.hdf5" --truth "$fixture/truth.fits" --config "$survey" --draws 0 "$1"
done
expect 0 "$noslit" run "$survey" --failed --stale
says "^complete: yes" "$noslit" status "$survey"
