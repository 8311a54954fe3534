#include "noslit/model/flags.h"

#include <stdio.h>
#include <string.h>

static const struct {
  uint32_t bit;
  const char *word;
} flag_words[] = {
#define ROW(name, bit, word, text) {name, word},
    NSL_FLAG_LIST(ROW)
#undef ROW
};

void nsl_flags_words(uint32_t flags, char *out, size_t size)
{
  size_t used = 0;
  if (size) { out[0] = '\0'; }
  for (size_t i = 0; i < sizeof flag_words / sizeof *flag_words && used < size; i++) {
    if (flags & flag_words[i].bit) {
      used += (size_t)snprintf(out + used, size - used, "%s%s", used ? "," : "", flag_words[i].word);
    }
  }
}
