/* Functions that are compiled several times, for newer and older processors, and chosen when the program starts. The clones do the
 * same operations on the same numbers (-ffp-contract=off: no fused multiply-add), so results have the same bits everywhere. */
#ifndef NOSLIT_BASE_VECTORISED_H
#define NOSLIT_BASE_VECTORISED_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define NSL_VECTORISED __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#elif defined(__x86_64__)
#define NSL_VECTORISED __attribute__((target_clones("avx2", "default")))
#else
#define NSL_VECTORISED
#endif

#endif
