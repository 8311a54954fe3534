#include "command.h"

const nsl_command *const nsl_commands[] = {
    &nsl_cmd_config,
    NULL,
};
