/* What a CSST file name tells: ..._<obsid>_<detector>_L<level>_<version>.fits (facts A3.1), parsed leniently. Pure. */
#ifndef PIPE_EXPOSURE_NAME_H
#define PIPE_EXPOSURE_NAME_H

#include <stddef.h>

/* obsid is "" and *detector -1 for what the name does not tell. */
void nsl_exposure_name_parse(const char *path, char *obsid, size_t size, int *detector);
/* The last run of digits in a DETECTOR value ("01", "CCD12", "7 "), or -1. */
int nsl_detector_number(const char *text);

#endif
