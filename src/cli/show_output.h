/* What `noslit show` prints. */
#ifndef NOSLIT_CLI_SHOW_OUTPUT_H
#define NOSLIT_CLI_SHOW_OUTPUT_H

#include "noslit/model/select.h"
#include "noslit/pipe/card.h"

/* rows holds the one row, with its PDF; z_true is NaN when unknown. */
nsl_status nsl_show_print(nsl_catalogue *c, const nsl_rows *rows, int64_t row, double z_true, nsl_error *err);
/* A line for each selected row. */
nsl_status nsl_show_list(nsl_catalogue *c, const nsl_select *select, nsl_error *err);
void nsl_show_print_facts(const nsl_card_facts *facts);

#endif
