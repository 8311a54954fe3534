/* How often each of a few texts came: the reasons of a hundred thousand tiles in a handful of lines. Local. */
#ifndef NOSLIT_BASE_TALLY_H
#define NOSLIT_BASE_TALLY_H

#include <stdint.h>

enum { NSL_TALLY_TEXTS = 8, NSL_TALLY_TEXT = 240 };

typedef struct {
  struct {
    char text[NSL_TALLY_TEXT]; /* longer ones are cut */
    int64_t count;
  } items[NSL_TALLY_TEXTS]; /* in the order of their first coming */
  int n;
  int64_t others; /* texts for which there was no room */
} nsl_tally;

void nsl_tally_add(nsl_tally *t, const char *text);

#endif
