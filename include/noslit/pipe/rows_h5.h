/* How row columns are stored in HDF5: shared by tile files and the catalogue. */
#ifndef NOSLIT_PIPE_ROWS_H5_H
#define NOSLIT_PIPE_ROWS_H5_H

#include "noslit/io/h5.h"
#include "noslit/model/rows.h"

nsl_h5_type nsl_col_h5_type(nsl_col_type type);

#endif
