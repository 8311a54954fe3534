#include "noslit/pipe/rows_h5.h"

nsl_h5_type nsl_col_h5_type(nsl_col_type type)
{
  switch (type) {
  case NSL_COL_I64:
    return NSL_H5_I64;
  case NSL_COL_F64:
    return NSL_H5_F64;
  case NSL_COL_F32:
    return NSL_H5_F32;
  case NSL_COL_I32:
    return NSL_H5_I32;
  case NSL_COL_U32:
    return NSL_H5_U32;
  }
  return NSL_H5_F64;
}
