/* One source for the eye: its catalogue row, and a small HDF5 file that tools/show.py draws. Local. */
#ifndef NOSLIT_PIPE_CARD_H
#define NOSLIT_PIPE_CARD_H

#include "noslit/base/log.h"
#include "noslit/model/config.h"
#include "noslit/pipe/catalogue.h"

/* Reads the row with this identifier, with its PDF; NSL_E_NOTFOUND when there is none. *row: its number. */
nsl_status nsl_card_find(nsl_catalogue *c, const char *path, int64_t object_id, nsl_rows *out, int64_t *row, nsl_error *err);

/* What making the stamp again has told. */
typedef struct {
  size_t n_exposures;
  char **exposures; /* "<obsid> detector <id>: <path>" of those that may hold the source */
  uint32_t flags;
} nsl_card_facts;
void nsl_card_facts_free(nsl_card_facts *facts);

/* Writes the card of row i of rows: attributes of the root are the row's columns, flag_words ("low_snr,star") and z_true
 * (NaN when unknown); datasets pdf [n] (density in z) and edge_z [n+1]. With cfg (else NULL) the source's stamp is made again from
 * the exposures: flux, variance and contamination [2][40][480] in electrons, wavelength [2][480] in Angstrom; facts (may be NULL)
 * says from what, as does the attribute exposures ("<obsid>/<detector>,...") then. */
nsl_status nsl_card_write(const char *path, const nsl_rows *rows, size_t i, double z_true, const nsl_config *cfg,
                          const nsl_log *log, nsl_card_facts *facts, nsl_error *err);

#endif
