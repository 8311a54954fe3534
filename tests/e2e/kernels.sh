# OpenBLAS kernels: an OpenBLAS that does not know the processor takes those of 2004; the program takes better ones, unless told.
. "$(dirname "$0")/_lib.sh"
grep -q ' avx2 ' /proc/cpuinfo || skip "a processor without AVX2"
core() { "$noslit" --version | sed -n 's/^openblas core //p'; }

found=$(unset OPENBLAS_CORETYPE; core)
case $found in
Prescott | Core2 | Penryn | Nehalem | Sandybridge) fail "kernels of $found on a processor with AVX2" ;;
'') fail "no core in noslit --version" ;;
esac
for asked in Prescott Haswell; do
  [ "$(OPENBLAS_CORETYPE=$asked core)" = $asked ] || fail "OPENBLAS_CORETYPE=$asked is not heeded"
done
# The program that starts again has the same arguments and exit code.
code=0
(unset OPENBLAS_CORETYPE; "$noslit" no-such-command 2> /dev/null) || code=$?
[ $code = 2 ] || fail "exit code $code of an unknown command"
