#include "command.h"

const nsl_command *const nsl_commands[] = {
    &nsl_cmd_simulate, &nsl_cmd_train, &nsl_cmd_plan,   &nsl_cmd_run,   &nsl_cmd_merge, &nsl_cmd_status, &nsl_cmd_validate,
    &nsl_cmd_show,     &nsl_cmd_diff,  &nsl_cmd_verify, &nsl_cmd_audit, &nsl_cmd_model, &nsl_cmd_config, &nsl_cmd_estimate,
    &nsl_cmd_stamps,   NULL,
};
