/* Where runs keep their journals and reports: <workdir>/run/, or, for one part of the survey (--part I/N), run/part-I-of-N/, so
 * that parts can run side by side. Local. */
#ifndef NOSLIT_PIPE_LEDGER_FILES_H
#define NOSLIT_PIPE_LEDGER_FILES_H

#include "noslit/model/select.h"

/* Folder of a run's journal and report; caller frees, NULL when out of memory. */
char *nsl_ledger_folder(const char *workdir, const nsl_select *select);
/* All files of this name, of the survey and of its parts. Caller frees with nsl_paths_free. */
nsl_status nsl_ledger_files(const char *workdir, const char *name, char ***paths, size_t *n, nsl_error *err);

#endif
