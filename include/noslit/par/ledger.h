/* What a run leaves behind beside the tiles, under <workdir>/run/: the journal of every change of state, the tiles in quarantine
 * with their reasons, the report, and the proof of completion. The tile files are the truth; these explain. A run of one part of
 * the survey (--part I/N) keeps journal and report in run/part-I-of-N/, so that parts can run side by side; quarantine and proof
 * are the survey's. Local. */
#ifndef NOSLIT_PAR_LEDGER_H
#define NOSLIT_PAR_LEDGER_H

#include "noslit/base/hash.h"
#include "noslit/io/json.h"
#include "noslit/pipe/tile_run.h"

/* The report of the run that ended last, of whatever part; NULL when there is none. Caller frees. */
nsl_json *nsl_ledger_last_report(const char *workdir);

/* What runs that are under way say of themselves (progress.json, every 10 s), an array; each with "age_s", the seconds since. A run
 * that died without a word leaves its last word until the next start. NULL when there is none. Caller frees. */
nsl_json *nsl_ledger_progress(const char *workdir);

/* --- run/quarantine.json --- */
typedef struct {
  nsl_tile_id tile;
  int attempts;
  char utc[32];
  char *reason;
  nsl_hash identity; /* of what the tile depended on: when that changes, it is tried again */
} nsl_quarantined;

typedef struct {
  size_t n;
  nsl_quarantined *items; /* sorted by tile */
} nsl_quarantine;

nsl_status nsl_quarantine_read(const char *workdir, nsl_quarantine *out, nsl_error *err); /* empty when there is no file */
void nsl_quarantine_free(nsl_quarantine *q);
const nsl_quarantined *nsl_quarantine_find(const nsl_quarantine *q, nsl_tile_id tile); /* NULL if it is not in it */
nsl_hash nsl_quarantine_identity(const nsl_tile_expectation *e, const nsl_plan_tile *tile);
/* Adds one tile (or replaces it), or takes one out, under a lock, so that runs side by side do not undo each other. */
nsl_status nsl_quarantine_add(const char *workdir, const nsl_quarantined *item, nsl_error *err);
nsl_status nsl_quarantine_remove(const char *workdir, const nsl_tile_id *tiles, size_t n, nsl_error *err);

/* --- run/COMPLETE.json --- */
/* Looks at the head of every planned tile; when each is done or in quarantine, writes the proof (else removes it). *complete 0/1.
 */
nsl_status nsl_proof_make(const nsl_tile_expectation *e, const nsl_plan *plan, const char *run_id, int *complete, nsl_error *err);
void nsl_proof_remove(const char *workdir);
/* Is there a proof, and is it of this plan, configuration, model and instrument? The document is returned when there is one (caller
 * frees), NULL otherwise. */
nsl_status nsl_proof_read(const nsl_tile_expectation *e, const nsl_plan *plan, int *valid, nsl_json **document, nsl_error *err);

#endif
