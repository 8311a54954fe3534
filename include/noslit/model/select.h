/* The selection language of run, status, merge, validate and show:
 * --tiles 12,40-44  --cone RA,DEC,RADIUS  --box RA0,RA1,DEC0,DEC1  --polygon RA,DEC,RA,DEC,...  --exposure OBSID
 * --source ID  --failed  --stale  --force  --part I/N. Degrees throughout; several are joined by OR, and --part then takes the I-th
 * of N shares of that, contiguous and of about equal cost, for jobs side by side. Pure. */
#ifndef NOSLIT_MODEL_SELECT_H
#define NOSLIT_MODEL_SELECT_H

#include <stddef.h>
#include <stdint.h>

#include "noslit/base/status.h"
#include "noslit/model/skytile.h"

typedef struct nsl_select nsl_select;

nsl_status nsl_select_new(nsl_select **out, nsl_error *err); /* selects everything */
void nsl_select_free(nsl_select *s);

/* Is this a selection option ("--cone")? *takes_value says whether an argument follows. */
int nsl_select_is_option(const char *option, int *takes_value);
/* Adds one; value is NULL for options that take none. Errors name the option and what it wants. */
nsl_status nsl_select_add(nsl_select *s, const char *option, const char *value, nsl_error *err);

int nsl_select_is_all(const nsl_select *s);  /* nothing was added (--force apart) */
int nsl_select_is_open(const nsl_select *s); /* nothing was added (--force and --part apart) */
int nsl_select_force(const nsl_select *s);
int nsl_select_failed(const nsl_select *s);
int nsl_select_stale(const nsl_select *s);
int nsl_select_part(const nsl_select *s, int *index); /* N of --part I/N and *index = I, from 1; 0 without it */
/* Is a tile named by --tiles or touched by a region (a tile counts as touched when a source in it could lie inside)? */
int nsl_select_tile(const nsl_select *s, int order, nsl_tile_id tile);
/* Is a position inside a region? (For validate and show; --tiles needs the order.) */
int nsl_select_position(const nsl_select *s, int order, double ra_deg, double dec_deg);
/* Does it name a row of a catalogue: all do, or its source, or its position? --exposure, --failed and --stale name none by
 * themselves (par/choose.h finds their tiles). */
int nsl_select_row(const nsl_select *s, int order, int64_t id, double ra_deg, double dec_deg);
size_t nsl_select_exposures(const nsl_select *s, const char *const **obsids); /* named by --exposure */
size_t nsl_select_sources(const nsl_select *s, const int64_t **ids);          /* named by --source */
/* Canonical text, for logs and provenance. Caller frees. */
char *nsl_select_text(const nsl_select *s);

#endif
