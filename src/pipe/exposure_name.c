#include "exposure_name.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/str.h"

enum { WORD_SIZE = 32, WORDS = 3, DETECTOR_DIGITS_MAX = 6 };

static int all_digits(const char *s)
{
  if (!*s) { return 0; }
  for (; *s; s++) {
    if (!isdigit((unsigned char)*s)) { return 0; }
  }
  return 1;
}

static int is_level(const char *s) { return s[0] == 'L' && all_digits(s + 1); }

void nsl_exposure_name_parse(const char *path, char *obsid, size_t size, int *detector)
{
  obsid[0] = '\0';
  *detector = -1;
  char last[WORDS][WORD_SIZE] = {{0}}; /* the words before the one in hand, newest first */
  for (const char *at = nsl_path_base(path); *at;) {
    size_t n = strcspn(at, "_.");
    char word[WORD_SIZE] = {0};
    if (n < sizeof word) { memcpy(word, at, n); }
    if (is_level(word) && all_digits(last[0]) && strlen(last[0]) <= DETECTOR_DIGITS_MAX) {
      *detector = atoi(last[0]);
      if (all_digits(last[1]) && strlen(last[1]) < size) { strcpy(obsid, last[1]); }
      return;
    }
    memmove(last[1], last[0], sizeof last[0] * (WORDS - 1));
    memcpy(last[0], word, sizeof word);
    at += n + (at[n] != '\0');
  }
}

int nsl_detector_number(const char *text)
{
  size_t end = strlen(text);
  while (end > 0 && !isdigit((unsigned char)text[end - 1])) { end--; }
  size_t start = end;
  while (start > 0 && isdigit((unsigned char)text[start - 1])) { start--; }
  return start < end && end - start <= DETECTOR_DIGITS_MAX ? atoi(text + start) : -1;
}
