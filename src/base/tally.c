#include "noslit/base/tally.h"

#include <stdio.h>
#include <string.h>

void nsl_tally_add(nsl_tally *t, const char *text)
{
  for (int i = 0; i < t->n; i++) {
    if (!strncmp(t->items[i].text, text, NSL_TALLY_TEXT - 1)) {
      t->items[i].count++;
      return;
    }
  }
  if (t->n == NSL_TALLY_TEXTS) {
    t->others++;
    return;
  }
  snprintf(t->items[t->n].text, NSL_TALLY_TEXT, "%s", text);
  t->items[t->n++].count = 1;
}
