# The whole chain as a normal user submits it to a SLURM: mock survey and stamps, training, plan, run, merge, validate, each when the
# one before has ended well. The launcher is srun with PMIx where SLURM and MPI both speak it, else mpirun.
. "$(dirname "$0")/../e2e/_lib.sh"
. "$(dirname "$0")/_lib.sh"
user=daemon # every system has one, and it owns nothing here
id "$user" > /dev/null 2>&1 || skip "no user $user"
start_cluster 4
dir=$(mktemp -d /tmp/noslit-chain.XXXXXX)
trap 'stop_cluster; rm -rf "$dir"' EXIT
as_user() { (cd "$dir" && HOME=$dir TMPDIR=$dir setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups "$@"); }
sed -e "s|@NOSLIT@|$source_dir|g" -e "s|@INPUT@|$dir|g" -e "s|run: {model: \"[^\"]*\"|run: {model: model.h5|" \
  -e "s|simulate: {|simulate: {stamps: 32, stamps_dir: stamps, |" -e "s|pointings_x: 2|pointings_x: 1|" -e "s|fits: catalogue.fits|fits: columns.fits|" "$source_dir/tests/e2e/mini.yaml" > "$dir/survey.yaml"
echo "train: {architecture: eq, width: 4, epochs: 1, batch: 16, output: model.h5, stamps: [stamps/*.h5], validation: [stamps/*.h5]}" >> "$dir/survey.yaml"
launcher=mpirun
if srun --mpi=list 2>&1 | grep -q pmix; then launcher=srun; fi
cat > "$dir/site.sh" <<SITE
noslit=$noslit
cores_per_node=2
launcher=$launcher
mpirun_options="--oversubscribe --bind-to none"
srun_options="--mpi=pmix"
drain_s=20
max_walltime_h=1
SITE
chown -R "$user" "$dir"
as_user test -x "$noslit" || skip "$user may not read $build"
as_user env -u OMPI_ALLOW_RUN_AS_ROOT -u OMPI_ALLOW_RUN_AS_ROOT_CONFIRM SLURM_CONF="$SLURM_CONF" "$source_dir/jobs/submit.sh" survey.yaml \
  --site site.sh --stages simulate,train,plan,run,merge,validate > "$dir/submitted.txt" || fail "submit.sh: $(cat "$dir/submitted.txt")"
[ "$(wc -l < "$dir/run/jobs.jsonl")" = 6 ] || fail "six jobs should be recorded: $(cat "$dir/run/jobs.jsonl")"
completed "$dir" validate
[ "$(stat -c %U "$dir/catalogue.hdf5")" = "$user" ] || fail "the catalogue belongs to another user"
as_user "$noslit" verify catalogue.hdf5 > /dev/null || fail "the catalogue does not verify"
as_user "$noslit" audit survey.yaml > /dev/null || fail "the catalogue is not complete"
says "complete: yes" "$noslit" status "$dir/survey.yaml"
[ -s "$dir/report/metrics.json" ] || fail "validate left no metrics"
echo "launcher: $launcher"
