# Site profile: what jobs/submit.sh and the job scripts must know of a cluster. Copy it to jobs/site.sh (found by itself), or name it
# by --site FILE or NOSLIT_SITE. Shell syntax; leave out what the cluster does not want. Every value here is the default.

account=""                 # --account
partition=""               # --partition
qos=""                     # --qos
constraint=""              # --constraint; one kind of processor in one run keeps the bits the same (docs/operations.md)
sbatch_options=""          # anything else for every sbatch, such as "--mail-type=END,FAIL"

cores_per_node=32          # one rank a core
memory_per_node=""         # --mem, such as 180G; "" leaves it to the cluster
max_nodes=32               # of one job (of one task of an array)
max_walltime_h=12          # of one job
aim_walltime_h=4           # as many nodes as make a job last about this long
time_factor=1.5            # time asked for over time predicted; raise it where cores or disks are slower than those that measured
startup_s=180              # modules, mpirun, plan check, model

drain_s=300                # SIGUSR1 comes this long before the time limit: longer than the longest tile takes
max_stuck=3                # a run that makes no tile in this many starts in a row is not put into the queue again

launcher=mpirun            # mpirun or srun (srun needs a SLURM and an MPI that both speak PMIx)
mpirun_options="--bind-to core"
srun_options="--mpi=pmix --cpu-bind=cores"

noslit="$jobs/../build/noslit"

# Runs in every job before the program: modules and environment.
setup() {
  # module load gcc openmpi hdf5-parallel openblas cfitsio wcslib
  :
}
