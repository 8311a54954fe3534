/* A library of galaxy images (docs/formats.md, noslit-images): shapes of real galaxies, as mixtures of Gaussians without PSF. */
#ifndef PIPE_MOCK_IMAGES_H
#define PIPE_MOCK_IMAGES_H

#include <stdint.h>

#include "noslit/base/status.h"
#include "noslit/model/render.h"
#include "noslit/model/source.h"

typedef struct nsl_images nsl_images;

/* NSL_E_FORMAT for what is no such file, NSL_E_VALUE with the image's number for a bad image, or when a set would have none. */
nsl_status nsl_images_read(const char *path, nsl_images **out, nsl_error *err);
void nsl_images_free(nsl_images *images); /* NULL is fine */

/* Image k belongs to part k mod NSL_IMAGES_PARTS: training has the first five, validation, calibration, test (and survey) one each.
 */
#define NSL_IMAGES_PARTS 8
/* An image of about the size (shape->re_arcsec) and magnitude of source (seed, id), of those of its set (by the range of id).
 * Returns its number, and gives shape its axis ratio and Sersic index; size and position angle stay. */
int nsl_images_pick(const nsl_images *images, uint64_t seed, int64_t id, double mag, nsl_shape *shape);
/* The profile: scaled to the shape's size, turned to its position angle, mirrored or not by (seed, id); PSF and map as in
 * nsl_mix_from_shape. */
void nsl_images_mix(const nsl_images *images, int image, uint64_t seed, int64_t id, const nsl_shape *shape, double psf_sigma_px,
                    const double sky_to_px[4], nsl_mix *out);

#endif
