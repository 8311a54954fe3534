/* What `status` asks of the file system: bench_pipe heads DIR N makes N small sealed tile files in DIR (unless they are there) and
 * reads their heads, on one thread and on eight; then through an index that remembers them all. Prints JSON. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/clock.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/pipe/head_index.h"
#include "noslit/pipe/tile_file.h"
#include "pipe/tile_seal.h"

#define ORDER 7
#define THREADS 8

typedef struct {
  const char *dir;
  nsl_head_index *index; /* NULL: every head from its file */
  long first, step, n, bad;
} share;

static void die(const nsl_error *err)
{
  fprintf(stderr, "bench_pipe: %s\n", err->text);
  exit(1);
}

static void *read_heads(void *argument)
{
  share *s = argument;
  nsl_tile_head head;
  for (long i = s->first; i < s->n; i += s->step) {
    char *path = nsl_tile_file_path(s->dir, ORDER, i);
    nsl_status st = !path      ? NSL_E_NOMEM
                    : s->index ? nsl_head_index_look(s->index, (size_t)i, path, &head, NULL)
                               : nsl_tile_read_head(path, &head, NULL, NULL);
    s->bad += st != NSL_OK;
    free(path);
  }
  return NULL;
}

static double timed(const char *dir, nsl_head_index *index, long n, int threads)
{
  share s[THREADS];
  pthread_t t[THREADS];
  double start = nsl_clock_s();
  for (int k = 0; k < threads; k++) {
    s[k] = (share){dir, index, k, threads, n, 0};
    if (pthread_create(&t[k], NULL, read_heads, &s[k])) { exit(1); }
  }
  long bad = 0;
  for (int k = 0; k < threads; k++) {
    pthread_join(t[k], NULL);
    bad += s[k].bad;
  }
  if (bad) { fprintf(stderr, "bench_pipe: %ld heads could not be read\n", bad); }
  return nsl_clock_s() - start;
}

/* Bodies of 4 kB stand for HDF5: a head is read without it. */
static void make_files(const char *dir, long n)
{
  static char body[4096];
  nsl_error err = NSL_ERROR_INIT;
  for (long i = 0; i < n; i++) {
    char *path = nsl_tile_file_path(dir, ORDER, i), *folder = nsl_path_dir(path);
    if (!nsl_file_exists(path)) {
      nsl_tile_seal seal = {.head = {.order = ORDER, .tile = i}, .grid = {1280, 0.01, 0.00075}};
      FILE *f;
      if (nsl_mkdirs(folder, &err) != NSL_OK) { die(&err); }
      f = fopen(path, "wb");
      if (!f || fwrite(body, 1, sizeof body, f) != sizeof body || fclose(f)) { exit(1); }
      if (nsl_tile_seal_append(path, &seal, &err) != NSL_OK) { die(&err); }
    }
    free(path);
    free(folder);
  }
}

/* Opening, looking at every file, saving, as status does it. */
static double indexed(const char *dir, long n, size_t *n_read)
{
  nsl_tile_id *tiles = malloc((size_t)n * sizeof *tiles);
  if (!tiles) { exit(1); }
  for (long i = 0; i < n; i++) { tiles[i] = i; }
  double start = nsl_clock_s();
  nsl_head_index *x = nsl_head_index_open(dir, tiles, (size_t)n, 0.1);
  if (!x) { exit(1); }
  timed(dir, x, n, THREADS);
  *n_read = nsl_head_index_n_read(x);
  nsl_head_index_save(x);
  nsl_head_index_free(x);
  free(tiles);
  return nsl_clock_s() - start;
}

int main(int argc, char **argv)
{
  nsl_error err = NSL_ERROR_INIT;
  if (argc != 4 || strcmp(argv[1], "heads") != 0) {
    fprintf(stderr, "bench_pipe heads DIR N\n");
    return 2;
  }
  long n = atol(argv[3]);
  size_t n_read;
  make_files(argv[2], n);
  char *run = nsl_strf("%s/run", argv[2]);
  if (!run || nsl_mkdirs(run, &err) != NSL_OK) { die(&err); }
  (void)timed(argv[2], NULL, n, 1); /* the first look fills the caches */
  double one = timed(argv[2], NULL, n, 1), eight = timed(argv[2], NULL, n, THREADS), first = indexed(argv[2], n, &n_read);
  double c0 = nsl_clock_cpu_s(), later = indexed(argv[2], n, &n_read), cpu = nsl_clock_cpu_s() - c0;
  printf("{\"heads\": %ld, \"s_1_thread\": %.3f, \"s_8_threads\": %.3f, \"s_index_made\": %.3f, \"s_index_used\": %.3f, "
         "\"cpu_s_index_used\": %.3f, \"heads_read_then\": %zu}\n",
         n, one, eight, first, later, cpu, n_read);
  free(run);
  return 0;
}
