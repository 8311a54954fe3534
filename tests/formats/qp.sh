# qp itself reads the catalogue. It is on PyPI only: NOSLIT_QP_PYTHON names a python that has it, or tools/test.sh made one in qp-venv.
# Where there is none, formats.catalogue holds the catalogue to the rules that qp reads by.
. "$(dirname "$0")/../e2e/_lib.sh"
qp=${NOSLIT_QP_PYTHON:-$build/qp-venv/bin/python}
"$qp" -c "import qp" 2> /dev/null || skip "no python with qp (NOSLIT_QP_PYTHON)"
dir=$build/tests/work/formats-qp
rm -rf "$dir"; mkdir -p "$dir"
mpi 2 "$build/tests/mpi_test_merge" "$dir" a 0
"$qp" "$source_dir/tests/formats/catalogue.py" qp "$dir/a.hdf5"
