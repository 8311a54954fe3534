/* Rows of a catalogue as a table. */
#include <stdio.h>

#include "noslit/model/flags.h"
#include "show_output.h"

enum { BLOCK_ROWS = 1 << 16 };

static void print_words(uint32_t flags)
{
  const char *comma = "";
#define WORD(name, bit, word, text) \
  if (flags & (name)) {             \
    printf("%s%s", comma, word);    \
    comma = ",";                    \
  }
  NSL_FLAG_LIST(WORD)
#undef WORD
  puts(flags ? "" : "-");
}

static void print_row(const nsl_rows *r, int64_t i)
{
  printf("%-19lld %11.6f %+10.6f %12lld %6.2f", (long long)r->object_id[i], r->ra[i], r->dec[i], (long long)r->tile[i],
         (double)r->mag[i]);
  if (r->flags[i] & NSL_FLAG_NO_PDF) {
    printf(" %8s %8s %8s %6s", "-", "-", "-", "-");
  } else {
    printf(" %8.5f %8.5f %8.5f %6.3f", (double)r->z_mode[i], (double)r->z_lo68[i], (double)r->z_hi68[i], (double)r->odds[i]);
  }
  printf(" %7.2f %7.2f  ", (double)r->snr_gv[i], (double)r->snr_gi[i]);
  print_words(r->flags[i]);
}

nsl_status nsl_show_list(nsl_catalogue *c, const nsl_select *select, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_rows rows = {0};
  int64_t n = nsl_catalogue_rows(c);
  printf("%-19s %11s %10s %12s %6s %8s %8s %8s %6s %7s %7s  %s\n", "object_id", "ra", "dec", "tile", "mag", "z_mode", "z_lo68",
         "z_hi68", "odds", "snr_gv", "snr_gi", "flags");
  for (int64_t first = 0; first < n; first += BLOCK_ROWS) {
    int64_t count = n - first < BLOCK_ROWS ? n - first : BLOCK_ROWS;
    NSL_TRY(nsl_catalogue_read(c, first, count, 0, &rows, err));
    for (int64_t i = 0; i < count; i++) {
      if (nsl_select_row(select, nsl_catalogue_order(c), rows.object_id[i], rows.ra[i], rows.dec[i])) { print_row(&rows, i); }
    }
    nsl_rows_free(&rows);
  }
cleanup:
  nsl_rows_free(&rows);
  return st;
}
