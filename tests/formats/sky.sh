# Image libraries and population tables: the tools find what is in made-up catalogues, cutouts and tables, and simulate draws from it.
. "$(dirname "$0")/../e2e/_lib.sh"
[ -n "$python" ] || skip "no python with h5py"
"$python" -c "import astropy, scipy" 2> /dev/null || skip "no astropy or scipy"
dir=$build/tests/work/formats-$name tools=$source_dir/tools
rm -rf "$dir"; mkdir -p "$dir"
"$python" "$source_dir/tests/formats/sky_inputs.py" make "$dir"
"$python" "$tools/make_images.py" "$dir/acs.h5" "galsim:$dir/real.fits,$dir/real_fits.fits"
"$python" "$tools/make_images.py" "$dir/hsc.h5" "hsc:$dir/hsc.csv"
"$python" "$tools/make_population.py" "$dir/desi.h5" "desi:$dir/zcat.fits"
"$python" "$tools/make_population.py" "$dir/nz.h5" "nz:$dir/nz.ecsv"
"$python" "$tools/make_population.py" "$dir/some.h5" "csv:$dir/some.csv,z=redshift,mag=i,class=kind"
"$python" "$tools/make_population.py" "$dir/cosmos.h5" "cosmos:$dir/real.fits,$dir/real_fits.fits"
"$python" "$source_dir/tests/formats/sky_inputs.py" check "$dir"

printf '0.3 0\n0.5 1\n0.7 0\n' > "$dir/target.txt"
stamps() { # NAME SETTING...
  local to=$dir/stamps-$1; shift
  "$noslit" simulate "$source_dir/configs/train_stamps.yaml" --stamps --set simulate.stamps=20 --set "simulate.stamps_dir=$to" "$@"
}
stamps images --set "simulate.images=$dir/acs.h5" --set "simulate.population=$dir/desi.h5"
stamps target --set "simulate.images=$dir/hsc.h5" --set "simulate.population=$dir/nz.h5" --set "simulate.target_nz=$dir/target.txt" --set simulate.clean=true
"$python" -c "
import glob, h5py
with h5py.File(glob.glob('$dir/stamps-target/*.h5')[0]) as f:
    z = f['label/z'][:]
    assert len(z) == 20 and z.min() > 0.3 and z.max() < 0.7, z
with h5py.File(glob.glob('$dir/stamps-images/*.h5')[0]) as f, h5py.File('$dir/acs.h5') as g: # q of the catalogue: the image's and 0.03
    q = f['facts/q'][:][f['facts/re_px'][:] > 0]
    assert len(q) > 10 and q.min() > g['q'][:].min() - 0.15 and q.max() < g['q'][:].max() + 0.15, q"
expect 1 "$noslit" simulate "$source_dir/configs/train_stamps.yaml" --stamps --set simulate.stamps=1 --set "simulate.stamps_dir=$dir/no" --set "simulate.images=$dir/nz.h5"
