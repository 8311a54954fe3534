/* Quality flags of a catalogue row. Bits are part of the file format: append only. */
#ifndef NOSLIT_MODEL_FLAGS_H
#define NOSLIT_MODEL_FLAGS_H

#include <stddef.h>
#include <stdint.h>

/* X(name, bit, word, description) */
#define NSL_FLAG_LIST(X)                                                                                      \
  X(NSL_FLAG_NO_PDF, 0, "no_pdf", "the source could not be measured; the PDF row is zero")                    \
  X(NSL_FLAG_NO_GV, 1, "no_gv", "no usable GV exposure")                                                      \
  X(NSL_FLAG_NO_GI, 2, "no_gi", "no usable GI exposure")                                                      \
  X(NSL_FLAG_PARTIAL_GV, 3, "partial_gv", "less than 90 % of the GV wavelength range was seen")               \
  X(NSL_FLAG_PARTIAL_GI, 4, "partial_gi", "less than 90 % of the GI wavelength range was seen")               \
  X(NSL_FLAG_CONTAMINATED, 5, "contaminated", "neighbours give over 20 % of the light in the aperture")       \
  X(NSL_FLAG_ZEROTH_ORDER, 6, "zeroth_order", "a neighbour's zeroth order falls on the spectrum")             \
  X(NSL_FLAG_SATURATED, 7, "saturated", "saturated pixels on the spectrum")                                   \
  X(NSL_FLAG_FEW_EXPOSURES, 8, "few_exposures", "fewer than two exposures in a band: cosmic rays may remain") \
  X(NSL_FLAG_MANY_BAD, 9, "many_bad", "over 20 % of the pixels on the spectrum are masked")                   \
  X(NSL_FLAG_SPLIT, 10, "crosses_split", "the spectrum crosses the boundary between two gratings")            \
  X(NSL_FLAG_BAD_INPUT, 11, "bad_input", "the catalogue entry is not usable (position or magnitude)")         \
  X(NSL_FLAG_EXPOSURE_LOST, 12, "exposure_lost", "an exposure of this source could not be read")              \
  X(NSL_FLAG_STAR, 13, "star", "the input catalogue calls it a star")                                         \
  X(NSL_FLAG_UNUSUAL, 14, "unusual", "unlike anything the network was trained on")                            \
  X(NSL_FLAG_LOW_SNR, 15, "low_snr", "SNR_GI below 1: outside the training range")

#define NSL_FLAG_ENUM(name, bit, word, text) name = 1u << (bit),
enum { NSL_FLAG_LIST(NSL_FLAG_ENUM) NSL_FLAG_ALL_OF_THEM = (1u << 16) - 1 };
#undef NSL_FLAG_ENUM

/* "no_gv,partial_gi" into out (cut if too small); "" for 0. */
void nsl_flags_words(uint32_t flags, char *out, size_t size);

#endif
