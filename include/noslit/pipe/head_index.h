/* What `status` remembers of tile files: run/heads.index holds the head of every tile file it has read, with the file's size, inode
 * and times. A head is believed as long as all four are what they were, which costs one system call instead of reading the file;
 * every change of a file, also one that keeps size and modification time, changes its inode or the time of its last change (ctime).
 * The index proves nothing and may be deleted at any time. Only for looking: what is merged or taken for done is read itself.
 * Local. */
#ifndef NOSLIT_PIPE_HEAD_INDEX_H
#define NOSLIT_PIPE_HEAD_INDEX_H

#include "noslit/pipe/tile_file.h"

typedef struct nsl_head_index nsl_head_index;

/* For these tiles (ascending; copied). Knows what the work directory's index says of them; without one, or with one of another
 * version or damaged, nothing. A file that changed less than settle_s ago is read again next time, since its times may not show a
 * further change. NULL when out of memory. */
nsl_head_index *nsl_head_index_open(const char *workdir, const nsl_tile_id *tiles, size_t n, double settle_s);
/* As nsl_tile_read_head, for tile number i of the list, whose file this is. Several threads may ask for different tiles. */
nsl_status nsl_head_index_look(nsl_head_index *x, size_t i, const char *path, nsl_tile_head *out, nsl_error *err);
/* How many heads had to be read from their files so far. */
size_t nsl_head_index_n_read(const nsl_head_index *x);
/* Writes the index if it has learned something. Silent when it cannot: a folder may be read only. */
void nsl_head_index_save(const nsl_head_index *x);
void nsl_head_index_free(nsl_head_index *x);

#endif
