/* Every configuration key there is. Keep sections together; docs/configuration.md is made from `noslit config --keys`. */
#include "noslit/model/config.h"

#define S NSL_KEY_SCIENCE
#define M NSL_KEY_MOCK
#define T NSL_KEY_TRAINING
#define O NSL_KEY_OPERATION
#define BIG 9e15

const nsl_key nsl_config_keys[] = {
    /* path, type, class, unit, min, max, default, choices, help */
    {"survey.name", NSL_KEY_TEXT, O, "", 0, 0, "survey", NULL, "name that the products carry"},
    {"survey.workdir", NSL_KEY_PATH, O, "", 0, 0, ".", NULL, "folder for plan, tiles, run ledger and products"},
    {"survey.seed", NSL_KEY_INT, S, "", 0, BIG, "1", NULL, "seed of every random stream"},

    {"instrument.file", NSL_KEY_PATH, O, "", 0, 0, NULL, NULL, "instrument file: bands, detectors, gratings"},

    {"input.exposures", NSL_KEY_LIST, O, "", 1, 10000, NULL, NULL, "glob patterns of the L1 detector exposures"},
    {"input.catalogue", NSL_KEY_PATH, O, "", 0, 0, NULL, NULL, "source catalogue: FITS table, CSV or HDF5"},
    {"input.catalogue_hdu", NSL_KEY_TEXT, O, "", 0, 0, "", NULL, "extension or group of the catalogue; empty for the first table"},
    {"input.column_id", NSL_KEY_TEXT, O, "", 0, 0, "ID", NULL, "column with the integer identifier"},
    {"input.column_ra", NSL_KEY_TEXT, O, "", 0, 0, "RA", NULL, "column with the right ascension in degrees"},
    {"input.column_dec", NSL_KEY_TEXT, O, "", 0, 0, "DEC", NULL, "column with the declination in degrees"},
    {"input.column_mag", NSL_KEY_TEXT, O, "", 0, 0, "MAG", NULL, "column with the AB magnitude"},
    {"input.column_re", NSL_KEY_TEXT, O, "", 0, 0, "RE", NULL, "optional column: half-light radius, arcsec"},
    {"input.column_q", NSL_KEY_TEXT, O, "", 0, 0, "Q", NULL, "optional column: axis ratio"},
    {"input.column_pa", NSL_KEY_TEXT, O, "", 0, 0, "PA", NULL, "optional column: position angle, degrees north through east"},
    {"input.column_sersic_n", NSL_KEY_TEXT, O, "", 0, 0, "SERSIC_N", NULL, "optional column: Sersic index"},
    {"input.column_star", NSL_KEY_TEXT, O, "", 0, 0, "STAR", NULL, "optional column: 1 for stars"},
    {"input.mag_faint", NSL_KEY_REAL, S, "mag", 0, 40, "40", NULL, "sources fainter than this are neighbours only, not measured"},

    {"tiles.order", NSL_KEY_INT, S, "", 0, 16, "7", NULL, "HEALPix order of the sky tiles (7: 0.46 degrees)"},

    {"stamp.reject_sigma", NSL_KEY_REAL, S, "sigma", 2, 100, "5", NULL, "outlier rejection between exposures (cosmic rays)"},
    {"stamp.sky_rows", NSL_KEY_INT, S, "px", 0, 200, "12", NULL, "rows above and below the stamp used for the local sky"},
    {"stamp.neighbour_mag", NSL_KEY_REAL, S, "mag", 0, 40, "26", NULL,
     "neighbours down to this magnitude enter the contamination model"},

    {"run.model", NSL_KEY_PATH, O, "", 0, 0, NULL, NULL, "trained network"},
    {"run.samples", NSL_KEY_INT, S, "", 1, 10000, "128", NULL, "Monte Carlo dropout samples per source"},
    {"run.batch", NSL_KEY_INT, S, "", 1, 1024, "64", NULL, "stamps per network batch"},
    {"run.max_attempts", NSL_KEY_INT, O, "", 1, 100, "3", NULL, "failures of a tile before it is quarantined"},
    {"run.lease_s", NSL_KEY_REAL, O, "s", 1, 86400, "300", NULL, "a worker silent for longer is taken for lost"},
    {"run.lease_factor", NSL_KEY_REAL, O, "", 1, 1000, "10", NULL, "or for longer than this times the predicted tile time"},
    {"run.heartbeat_s", NSL_KEY_REAL, O, "s", 0.05, 3600, "5", NULL, "interval of a worker's sign of life"},
    {"run.exposure_cache", NSL_KEY_INT, O, "", 0, 4096, "64", NULL, "exposures a worker keeps open between tiles"},

    {"output.catalogue", NSL_KEY_PATH, O, "", 0, 0, "catalogue.hdf5", NULL, "merged catalogue; the name must end in .hdf5"},
    {"output.fits", NSL_KEY_PATH, O, "", 0, 0, "", NULL, "FITS export of the columns without PDFs; empty for none"},
    {"output.deflate", NSL_KEY_INT, O, "", 0, 9, "4", NULL, "compression level of the catalogue"},

    {"validate.truth", NSL_KEY_PATH, O, "", 0, 0, "", NULL, "truth table"},
    {"validate.match_radius", NSL_KEY_REAL, O, "arcsec", 0.001, 60, "0.5", NULL, "matching radius when matching by position"},

    {"simulate.outdir", NSL_KEY_PATH, M, "", 0, 0, "", NULL,
     "folder for the mock's exposures and tables (default: the work directory)"},
    {"simulate.ra", NSL_KEY_REAL, M, "deg", 0, 360, "150", NULL, "centre of the mock field"},
    {"simulate.dec", NSL_KEY_REAL, M, "deg", -90, 90, "2.2", NULL, "centre of the mock field"},
    {"simulate.pointings_x", NSL_KEY_INT, M, "", 1, 1000, "2", NULL, "pointings along right ascension"},
    {"simulate.pointings_y", NSL_KEY_INT, M, "", 1, 1000, "2", NULL, "pointings along declination"},
    {"simulate.exposures", NSL_KEY_INT, M, "", 1, 64, "4", NULL, "dithered exposures per pointing"},
    {"simulate.exptime", NSL_KEY_REAL, M, "s", 1, 1e5, "150", NULL, "time of one exposure"},
    {"simulate.dither", NSL_KEY_REAL, M, "arcsec", 0, 1000, "5", NULL, "largest dither offset"},
    {"simulate.density", NSL_KEY_REAL, M, "1/arcmin2", 0, 1000, "8", NULL, "galaxies per square arc minute down to mag_max"},
    {"simulate.mag_min", NSL_KEY_REAL, M, "mag", 10, 30, "17.5", NULL, "brightest galaxies"},
    {"simulate.mag_max", NSL_KEY_REAL, M, "mag", 10, 30, "22.5", NULL, "faintest galaxies of the catalogue"},
    {"simulate.faint_mag", NSL_KEY_REAL, M, "mag", 10, 30, "23.5", NULL, "uncatalogued background galaxies down to this"},
    {"simulate.star_fraction", NSL_KEY_REAL, M, "", 0, 1, "0.05", NULL, "stars among the catalogue's sources"},
    {"simulate.quasar_fraction", NSL_KEY_REAL, M, "", 0, 1, "0.01", NULL, "quasars among the catalogue's extragalactic sources"},
    {"simulate.z_min", NSL_KEY_REAL, M, "", 0, 2, "0.02", NULL, "lowest redshift"},
    {"simulate.z_max", NSL_KEY_REAL, M, "", 0, 2, "1.55", NULL, "highest redshift"},
    {"simulate.sky_mag", NSL_KEY_REAL, M, "mag/arcsec2", 15, 30, "22.1", NULL, "zodiacal sky, V"},
    {"simulate.cosmic_rays", NSL_KEY_REAL, M, "1/cm2/s", 0, 1000, "5", NULL, "cosmic ray hits"},
    {"simulate.bad_pixels", NSL_KEY_REAL, M, "", 0, 0.5, "0.0005", NULL, "fraction of hot, warm and dead pixels"},
    {"simulate.rotation", NSL_KEY_REAL, M, "deg", 0, 180, "0.5", NULL, "largest rotation of a pointing"},
    {"simulate.astrometric_error", NSL_KEY_REAL, M, "arcsec", 0, 10, "0.01", NULL, "rms error of catalogue positions, per axis"},
    {"simulate.wcs", NSL_KEY_TEXT, M, "", 0, 0, "TPV", "TPV|TAN", "projection of the exposures"},
    {"simulate.compress", NSL_KEY_BOOL, M, "", 0, 0, "false", NULL, "write fpack-compressed exposures"},
    {"simulate.stamps", NSL_KEY_INT, M, "", 0, 1e9, "0", NULL, "training stamps to make (simulate --stamps)"},
    {"simulate.stamps_dir", NSL_KEY_PATH, M, "", 0, 0, "stamps", NULL, "folder of the stamp files"},
    {"simulate.stamps_per_file", NSL_KEY_INT, M, "", 1, 1e7, "2000", NULL, "stamps in one file"},
    {"simulate.set", NSL_KEY_TEXT, M, "", 0, 0, "train", "train|validation|calibration|test", "which disjoint set of galaxies"},
    {"simulate.clean", NSL_KEY_BOOL, M, "", 0, 0, "false", NULL,
     "isolated sources, perfect calibration, no cosmic rays: the paper's conditions"},
    {"simulate.stamp_slope", NSL_KEY_REAL, M, "dex/mag", 0, 1, "0.2", NULL,
     "number counts of the stamps' galaxies; flatter than the sky's 0.35, so that bright ones are learned too"},
    {"simulate.snr_min", NSL_KEY_REAL, M, "", 0, 1000, "1", NULL, "training stamps keep true SNR_GI above this"},

    {"train.stamps", NSL_KEY_LIST, T, "", 1, 10000, NULL, NULL, "glob patterns of the training stamp files"},
    {"train.validation", NSL_KEY_LIST, T, "", 1, 10000, NULL, NULL, "glob patterns of the validation stamp files"},
    {"train.calibration", NSL_KEY_LIST, T, "", 1, 10000, NULL, NULL, "optional: stamp files for calibration"},
    {"train.output", NSL_KEY_PATH, T, "", 0, 0, "model.h5", NULL, "model file to write"},
    {"train.from", NSL_KEY_PATH, T, "", 0, 0, "", NULL, "start from this model instead of random weights"},
    {"train.architecture", NSL_KEY_TEXT, T, "", 0, 0, "eq", "eq|resnet34", "built-in network"},
    {"train.width", NSL_KEY_INT, T, "", 1, 512, "16", NULL, "channels of the trunk (resnet34: base width)"},
    {"train.dropout", NSL_KEY_REAL, T, "", 0, 0.9, "0.1", NULL, "dropout rate"},
    {"train.epochs", NSL_KEY_INT, T, "", 1, 100000, "10", NULL, "passes over the training stamps"},
    {"train.batch", NSL_KEY_INT, T, "", 1, 65536, "96", NULL, "stamps per step, over all ranks"},
    {"train.group", NSL_KEY_INT, T, "", 1, 65536, "24", NULL,
     "stamps that batch norm sees together; batch / group groups are shared out over the ranks"},
    {"train.lr", NSL_KEY_REAL, T, "", 1e-8, 1, "0.002", NULL, "highest learning rate"},
    {"train.lr_min", NSL_KEY_REAL, T, "", 0, 1, "1e-6", NULL, "last learning rate"},
    {"train.warm_up", NSL_KEY_REAL, T, "", 0, 0.9, "0.1", NULL, "fraction of the steps in which the rate grows"},
    {"train.weight_decay", NSL_KEY_REAL, T, "", 0, 1, "0.01", NULL, "AdamW weight decay"},
    {"train.clip", NSL_KEY_REAL, T, "", 0, 1e6, "1", NULL, "gradient norm limit; 0 for none"},
    {"train.label_sigma", NSL_KEY_REAL, T, "", 0, 0.1, "0.0012", NULL, "width of the soft label in ln(1+z)"},
    {"train.shift_y", NSL_KEY_INT, T, "px", 0, 20, "2", NULL, "augmentation: largest vertical shift"},
    {"train.shift_x", NSL_KEY_REAL, T, "px", 0, 100, "0", NULL, "augmentation: rms horizontal shift (wavelength zero point)"},
    {"train.flip", NSL_KEY_BOOL, T, "", 0, 0, "true", NULL, "augmentation: mirror in y"},
    {"train.contamination_k", NSL_KEY_REAL, T, "", 0, 1000, "0.5", NULL,
     "pixel weight 1 / (1 + (k c / sigma)^2) under expected neighbours' light c"},
    {"train.validate_steps", NSL_KEY_INT, T, "", 0, 1e9, "0", NULL, "steps between validations; 0: one each epoch"},
    {"train.checkpoint", NSL_KEY_PATH, T, "", 0, 0, "", NULL,
     "checkpoint file (default: beside the output); training resumes from it"},
    {"train.checkpoint_s", NSL_KEY_REAL, T, "s", 1, 1e6, "120", NULL, "interval of checkpoints"},
};

const size_t nsl_config_n_keys = sizeof nsl_config_keys / sizeof *nsl_config_keys;
