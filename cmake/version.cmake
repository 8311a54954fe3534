# Writes the version header: the release number and, from a git checkout, the commit. Rewritten only when it changes.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 OUTPUT_VARIABLE COMMIT
                OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE RC)
if(NOT RC EQUAL 0)
  set(COMMIT "unknown")
endif()
set(TEXT "#define NOSLIT_VERSION \"${VERSION}\"\n#define NOSLIT_COMMIT \"${COMMIT}\"\n#define NOSLIT_SOURCE_DIR \"${SOURCE}\"\n")
set(OLD "")
if(EXISTS ${OUT})
  file(READ ${OUT} OLD)
endif()
if(NOT OLD STREQUAL TEXT)
  file(WRITE ${OUT} "${TEXT}")
endif()
