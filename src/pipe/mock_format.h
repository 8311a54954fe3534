/* Files that a mock draws from (spectra, images, populations) say at their root what they are. Internal to pipe/. */
#ifndef NSL_PIPE_MOCK_FORMAT_H
#define NSL_PIPE_MOCK_FORMAT_H

#include "noslit/base/status.h"
#include "noslit/io/h5.h"

/* NSL_E_FORMAT unless the root attributes `format` and `version` are these. For the message: `what` it should be, with its article
 * ("an image library"), and the tool of tools/ that makes one. */
nsl_status nsl_mock_check_format(nsl_h5 *f, const char *format, int version, const char *what, const char *tool, nsl_error *err);

#endif
