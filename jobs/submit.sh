#!/usr/bin/env bash
# Submits a survey to SLURM: jobs/submit.sh CONFIG [SELECT] [options]
#   --dry-run            show what would be submitted, submit nothing
#   --stages LIST        of simulate,train,plan,run,merge,validate (default run,merge,validate); each waits for the one before
#   --array N            the run as an array of N jobs side by side, each with its part of the tiles (default 1: a single job)
#   --nodes N            of each run job, instead of what the plan suggests
#   --time MINUTES       of each run job, instead of what the plan predicts
#   --ranks N            a node, instead of the site's cores_per_node
#   --partial            merge and validate also when tiles are left in quarantine
#   --site FILE          site profile (default $NOSLIT_SITE, jobs/site.sh, else jobs/site.example.sh)
# SELECT (--tiles, --cone, --failed, ...) is for the run; `noslit --help` has it. Nodes and time come from `noslit plan`: measured
# cost once something has run, a guess before. What was submitted is recorded in <workdir>/run/jobs.jsonl.
set -euo pipefail
jobs=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export NOSLIT_JOBS=$jobs

dry=0 stages=run,merge,validate parts=1 nodes="" minutes="" ranks="" partial=0 config="" words=()
while [ $# -gt 0 ]; do
  case $1 in
  --dry-run) dry=1 ;;
  --partial) partial=1 ;;
  --stages | --array | --nodes | --time | --ranks | --site | --tiles | --cone | --box | --polygon | --exposure | --source)
    [ $# -ge 2 ] || { echo "submit.sh: $1 wants a value" >&2; exit 2; }
    case $1 in
    --stages) stages=$2 ;;
    --array) parts=$2 ;;
    --nodes) nodes=$2 ;;
    --time) minutes=$2 ;;
    --ranks) ranks=$2 ;;
    --site) NOSLIT_SITE=$(realpath "$2") && export NOSLIT_SITE ;;
    *) words+=("$1" "$2") ;;
    esac
    shift ;;
  --failed | --stale | --force) words+=("$1") ;;
  -h | --help) sed -n '2,13p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
  -*) echo "submit.sh: unknown option '$1'; see --help" >&2; exit 2 ;;
  *) [ -z "$config" ] || { echo "submit.sh: '$1' is one argument too many" >&2; exit 2; }
     config=$1 ;;
  esac
  shift
done
. "$jobs/_lib.sh"
[ -n "$config" ] || stop "which configuration? jobs/submit.sh CONFIG [SELECT] [options]"
config=$(realpath "$config")
for number in "$parts" ${nodes:+"$nodes"} ${minutes:+"$minutes"} ${ranks:+"$ranks"}; do
  [[ $number =~ ^[1-9][0-9]*$ ]] || stop "'$number' is no positive whole number"
done
for stage in ${stages//,/ }; do
  [ -f "$jobs/$stage.sbatch" ] || stop "no stage '$stage'; there are simulate, train, plan, run, merge, validate"
done
case " ${words[*]-} " in *" --failed "* | *" --stale "*) [ "$parts" = 1 ] || stop "--array goes with tiles and regions; tiles that --failed or --stale name are made by one job, or by a run without SELECT" ;; esac
[ -x "$noslit" ] || stop "$noslit is not there: build it, or set noslit= in the site profile"
[ $dry = 1 ] || command -v sbatch > /dev/null || stop "no sbatch here: submit on a login node, or look with --dry-run"
ranks=${ranks:-$cores_per_node}
workdir=$(realpath -m "$(config_value "$config" survey.workdir)")

# --- what the plan predicts -------------------------------------------------------------------------------------------------------

# Looking whether the plan is of today's inputs costs a look at every exposure, so it is asked for once.
survey_plan=""
no_plan_yet() { [[ ,$stages, =~ ,(simulate|plan), ]]; }
if ! no_plan_yet && [[ ,$stages, =~ ,(run|merge|validate), ]]; then
  survey_plan=$("$noslit" plan "$config" --json) || exit 1
fi
value() { sed -n "s/^[[:space:]]*\"$1\":[[:space:]]*\([^,]*\),\{0,1\}$/\1/p" <<< "$2"; }

predict() { # sets nodes and minutes of a run job, and why
  local plan=$survey_plan core_h longest_s measured calc
  if no_plan_yet; then
    nodes=${nodes:-1} minutes=${minutes:-$((max_walltime_h * 60))} why="no plan yet, so nothing is predicted"
    return
  fi
  if [ ${#words[@]} -gt 0 ]; then plan=$("$noslit" plan "$config" "${words[@]}" --json) || exit 1; fi
  if [ "$(value tiles "$plan")" = 0 ]; then
    echo "run: ${words[*]} names no tile, so there is nothing to submit (--stages merge,validate for the rest)"
    exit 0
  fi
  core_h=$(value core_hours "$plan") longest_s=$(value longest_tile_s "$plan") measured=$(value cost_measured_tiles "$plan")
  printf -v core_h %.3g "$core_h" && printf -v longest_s %.3g "$longest_s"
  # Wall = startup + factor x (share of the work / workers + the longest tile, which may start last). The master works on no tile.
  calc=$(awk -v h="$core_h" -v l="$longest_s" -v f="$time_factor" -v p="$parts" -v r="$ranks" -v n="$nodes" -v m="$minutes" \
    -v aim="$aim_walltime_h" -v start="$startup_s" -v drain="$drain_s" -v most_n="$max_nodes" -v most_h="$max_walltime_h" '
    function workers(n) { return n * r > 1 ? n * r - 1 : 1 }
    BEGIN {
      work = h * 3600 * f / p
      if (n == "") for (n = 1; n < most_n && work / workers(n) > aim * 3600; n++);
      s = start + work / workers(n) + l * f + drain
      if (m == "") m = int(s / 60) + 1
      starts = 1
      if (m > most_h * 60) { starts = int(m / (most_h * 60)) + 1; m = most_h * 60 }
      printf "%d %d %.3g %.3g %d", n, m, work / 3600, s / 60, starts
    }')
  read -r nodes minutes share_h wall_m starts <<< "$calc"
  why="$(value tiles "$plan") tiles, $(value sources "$plan") sources, $core_h core-hours ($([ "$measured" -gt 0 ] && echo "measured on $measured tiles" || echo "a guess: nothing has run yet")), longest tile $longest_s s; x $time_factor, $parts job(s): $share_h core-hours and $wall_m min each"
  if [ "$starts" -gt 1 ]; then why="$why; more than max_walltime_h allows, so each will go back into the queue about $((starts - 1)) times"; fi
}

# Minutes for a stage that handles every source of the survey: milliseconds of CPU a source (docs/scaling.md, on the safe side) and
# ranks that share them. The longest allowed while there is no plan to count sources.
minutes_for() {
  if no_plan_yet; then
    echo $((max_walltime_h * 60))
    return
  fi
  awk -v n="$(value sources "$survey_plan")" -v ms="$1" -v r="$2" -v f="$time_factor" -v start="$startup_s" -v most="$((max_walltime_h * 60))" \
    'BEGIN { m = int((start + n * ms / 1000 / r * f) / 60) + 10; print m < most ? m : most }'
}

# --- submitting -------------------------------------------------------------------------------------------------------------------

common=(--parsable --export=ALL)
for option in account partition qos constraint; do [ -z "${!option}" ] || common+=("--$option=${!option}"); done
[ -z "$memory_per_node" ] || common+=("--mem=$memory_per_node")
common+=($sbatch_options)

record() { # stage, job, depends on, words...
  local quoted
  quoted=$(printf '%s ' "${@:4}" | sed 's/ $//; s/["\\]/\\&/g')
  printf '{"t":"%s","stage":"%s","job":"%s","after":"%s","config":"%s","command":"%s"}\n' "$(date -u +%FT%TZ)" "$1" "$2" "$3" "$config" "$quoted" \
    >> "$workdir/run/jobs.jsonl"
}
after="" ids=()
submit() { # stage, sbatch options..., --, arguments of the script
  local stage=$1 options=() command id; shift
  while [ "$1" != -- ]; do options+=("$1"); shift; done
  shift
  options+=(--output="$workdir/run/log/%x-$([[ " ${options[*]} " = *" --array="* ]] && echo %A_%a || echo %j).log")
  if [ -n "$after" ]; then options+=("--dependency=afterok:$after" --kill-on-invalid-dep=yes); fi
  command=(sbatch "${common[@]}" --job-name="noslit-$stage" "${options[@]}" "$jobs/$stage.sbatch" "$config" "$@")
  if [ $dry = 1 ]; then
    printf '%q ' "${command[@]}" | sed 's/ $//' && echo
    after="JOB_OF_${stage^^}"
    return
  fi
  mkdir -p "$workdir/run/log"
  id=$("${command[@]}") || stop "sbatch did not take the job: ${command[*]}"
  id=${id%%;*}
  record "$stage" "$id" "$after" "${command[@]}"
  echo "$stage: job $id${after:+, after $after}"
  after=$id
}

for stage in ${stages//,/ }; do
  case $stage in
  run)
    export NOSLIT_PARTIAL=$partial
    predict
    echo "run: $why"
    echo "run: $parts x $nodes node(s) x $ranks ranks, $minutes min"
    size=(--nodes="$nodes" --ntasks-per-node="$ranks" --time="$minutes" --signal="B:USR1@$drain_s")
    if [ "$parts" -gt 1 ]; then
      submit run "${size[@]}" --array="1-$parts" -- "${words[@]}" --parts "$parts"
    else
      submit run "${size[@]}" -- "${words[@]}"
    fi ;;
  simulate | train) submit "$stage" --nodes="${nodes:-1}" --ntasks-per-node="$ranks" --time="${minutes:-$((max_walltime_h * 60))}" --signal="B:USR1@$drain_s" -- ;;
  merge) merge_words=(); [ $partial = 0 ] || merge_words+=(--partial)
    submit merge --nodes=1 --ntasks-per-node="$ranks" --time="$(minutes_for 2 "$ranks")" -- "${merge_words[@]}" ;;
  plan) submit plan --time="$((max_walltime_h * 60))" -- ;;
  validate) submit validate --time="$(minutes_for 0.3 1)" -- ;;
  esac
done
[ $dry = 1 ] || echo "recorded in $workdir/run/jobs.jsonl; $noslit status $config says where it stands"
