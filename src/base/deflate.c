#include "noslit/base/deflate.h"

#include <stdlib.h>
#include <string.h>

enum {
  BLOCK = 38400,  /* bytes that share a code: a plane of a stamp */
  LITERALS = 286, /* symbols: bytes, end of block, lengths of runs */
  END = 256,
  LENGTHS = 19, /* symbols of the code of code lengths */
  RUN_MIN = 3,  /* copies of the byte before */
  RUN_MAX = 258,
  TOKENS = 512, /* a byte, or 256 + length of a run - RUN_MIN */
  BITS_MAX = 15
};

/* A code: bits in the order in which they are written, and how many. */
typedef struct {
  uint32_t bits[TOKENS];
  uint8_t n[TOKENS];
} code;

typedef struct {
  uint8_t *at;
  uint64_t waiting;
  unsigned n;
} bit_writer;

/* At most 32 bits. */
static inline void put(bit_writer *w, uint32_t bits, unsigned n)
{
  w->waiting |= (uint64_t)bits << w->n;
  w->n += n;
  for (; w->n >= 8; w->n -= 8, w->waiting >>= 8) { *w->at++ = (uint8_t)w->waiting; }
}

static inline void store(uint8_t *at, uint64_t v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  memcpy(at, &v, sizeof v);
#else
  for (int k = 0; k < 8; k++) { at[k] = (uint8_t)(v >> (8 * k)); }
#endif
}

/* ---- codes ---- */

static int ascending(const void *a, const void *b)
{
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

/* How many symbols have each length in Huffman's code of n > 1 frequencies that grow; at most `limit`. */
static void count_lengths(const uint32_t *freq, int n, int limit, int count[BITS_MAX + 1])
{
  uint64_t weight[2 * LITERALS];
  int parent[2 * LITERALS], depth[2 * LITERALS], leaf = 0, inner = n, made = n;
  for (int i = 0; i < n; i++) { weight[i] = freq[i]; }
  for (; made < 2 * n - 1; made++) { /* joins the two lightest, of the leaves or of what was joined */
    weight[made] = 0;
    for (int k = 0; k < 2; k++) {
      int lightest = leaf < n && (inner >= made || weight[leaf] <= weight[inner]) ? leaf++ : inner++;
      weight[made] += weight[lightest];
      parent[lightest] = made;
    }
  }
  memset(count, 0, (BITS_MAX + 1) * sizeof *count);
  depth[2 * n - 2] = 0;
  for (int i = 2 * n - 3; i >= 0; i--) {
    depth[i] = depth[parent[i]] + 1;
    if (i < n) { count[depth[i] < limit ? depth[i] : limit]++; }
  }
  long over = -(1L << limit); /* what the codes take of the space of `limit` bits, beyond all of it */
  for (int l = 1; l <= limit; l++) { over += (long)count[l] << (limit - l); }
  for (; over > 0; over--) { /* a shorter code makes room for one that was cut */
    int l = limit - 1;
    while (count[l] == 0) { l--; }
    count[l]--;
    count[l + 1] += 2;
    count[limit]--;
  }
}

/* Lengths of the symbols' codes, 0 for those that do not come. */
static void find_lengths(const uint32_t *freq, int n, int limit, uint8_t *length)
{
  uint32_t order[LITERALS], sorted[LITERALS];
  int used = 0, count[BITS_MAX + 1];
  memset(length, 0, (size_t)n);
  for (int i = 0; i < n; i++) {
    if (freq[i]) { order[used++] = freq[i] << 9 | (uint32_t)i; }
  }
  if (used == 1) { length[order[0] & 511] = 1; }
  if (used < 2) { return; }
  qsort(order, (size_t)used, sizeof *order, ascending);
  for (int i = 0; i < used; i++) { sorted[i] = order[i] >> 9; }
  count_lengths(sorted, used, limit, count);
  for (int l = 1, i = used - 1; l <= limit; l++) {
    for (int k = 0; k < count[l]; k++) { length[order[i--] & 511] = (uint8_t)l; }
  }
}

/* The canonical code of these lengths, turned round: deflate writes its codes from the top. */
static void make_code(const uint8_t *length, int n, uint32_t *bits)
{
  uint32_t next[BITS_MAX + 2] = {0}, count[BITS_MAX + 2] = {0};
  for (int i = 0; i < n; i++) { count[length[i]]++; }
  count[0] = 0;
  for (int l = 1; l <= BITS_MAX; l++) { next[l] = (next[l - 1] + count[l - 1]) << 1; }
  for (int i = 0; i < n; i++) {
    uint32_t c = length[i] ? next[length[i]]++ : 0;
    bits[i] = 0;
    for (int k = 0; k < length[i]; k++, c >>= 1) { bits[i] = bits[i] << 1 | (c & 1); }
  }
}

/* Symbol of a run, and the bits that tell how much longer it is than the least of its symbol. */
static int run_symbol(int run, uint32_t *extra, unsigned *n_extra)
{
  int over = run - RUN_MIN, octave = 0;
  *extra = *n_extra = 0;
  if (run == RUN_MAX) { return 285; }
  if (over < 8) { return 257 + over; }
  while (over >> (octave + 3)) { octave++; }
  *n_extra = (unsigned)octave;
  *extra = (uint32_t)over & ((1u << octave) - 1);
  return 257 + 4 * octave + (over >> octave);
}

/* ---- blocks ---- */

/* Bytes to tokens; a run never goes back before the block. */
static size_t tokenise(const uint8_t *in, size_t n, uint16_t *token)
{
  size_t m = 0, i = 0;
  while (i < n) {
    uint32_t here, next;
    token[m++] = in[i++];
    if (i + RUN_MIN > n) { continue; }
    memcpy(&here, in + i - 1, sizeof here);
    next = here >> 8 | here << 24;
    if ((here ^ next) & 0xffffffu) { continue; } /* of in[i - 1 .. i + 2], neighbours that differ */
    size_t run = RUN_MIN, most = n - i < RUN_MAX ? n - i : RUN_MAX;
    while (run < most && in[i + run] == in[i - 1]) { run++; }
    token[m++] = (uint16_t)(256 + run - RUN_MIN);
    i += run;
  }
  return m;
}

/* Frequencies of symbols. */
static void count_symbols(const uint16_t *token, size_t m, uint32_t freq[LITERALS])
{
  uint32_t of_token[2][TOKENS] = {{0}}, extra;
  unsigned n_extra;
  for (size_t i = 0; i < m; i++) { of_token[i & 1][token[i]]++; }
  for (int t = 0; t < LITERALS; t++) { freq[t] = t < 256 ? of_token[0][t] + of_token[1][t] : 0; }
  for (int t = 256; t < TOKENS; t++) { freq[run_symbol(t - 256 + RUN_MIN, &extra, &n_extra)] += of_token[0][t] + of_token[1][t]; }
  freq[END] = 1;
}

/* The lengths of both codes, themselves coded: runs of zeros are told as such. */
static void put_lengths(bit_writer *w, const uint8_t *length, int n)
{
  static const uint8_t order[LENGTHS] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
  uint8_t symbol[LITERALS + 1], rest[LITERALS + 1], of_length[LENGTHS];
  uint32_t freq[LENGTHS] = {0}, bits[LENGTHS];
  int m = 0;
  for (int i = 0, zeros; i < n; i += zeros ? zeros : 1) {
    for (zeros = 0; i + zeros < n && zeros < 138 && length[i + zeros] == 0; zeros++) {}
    if (zeros < 3) { zeros = 0; }
    symbol[m] = zeros == 0 ? length[i] : zeros < 11 ? 17 : 18;
    rest[m] = (uint8_t)(zeros == 0 ? 0 : zeros < 11 ? zeros - 3 : zeros - 11);
    freq[symbol[m++]]++;
  }
  find_lengths(freq, LENGTHS, 7, of_length);
  make_code(of_length, LENGTHS, bits);
  put(w, LENGTHS - 4, 4);
  for (int i = 0; i < LENGTHS; i++) { put(w, of_length[order[i]], 3); }
  for (int i = 0; i < m; i++) {
    put(w, bits[symbol[i]], of_length[symbol[i]]);
    if (symbol[i] >= 17) { put(w, rest[i], symbol[i] == 17 ? 3 : 7); }
  }
}

/* Codes of the tokens; that of a run ends with its distance, one bit. */
static void code_tokens(const uint8_t *length, const uint32_t *bits, code *c)
{
  for (int t = 0; t < 256; t++) {
    c->bits[t] = bits[t];
    c->n[t] = length[t];
  }
  for (int t = 256; t < TOKENS; t++) {
    uint32_t extra;
    unsigned n_extra;
    int s = run_symbol(t - 256 + RUN_MIN, &extra, &n_extra);
    c->bits[t] = bits[s] | extra << length[s];
    c->n[t] = (uint8_t)(length[s] + n_extra + 1);
  }
}

/* Two tokens at a time: no more than 7 + 2 x 21 bits wait. */
static void put_tokens(bit_writer *w, const uint16_t *token, size_t m, const code *c)
{
  uint64_t waiting = w->waiting;
  unsigned n = w->n;
  uint8_t *at = w->at;
  for (size_t i = 0; i < m; i += 2) {
    unsigned a = token[i], b = token[i + 1];
    waiting |= (uint64_t)c->bits[a] << n;
    n += c->n[a];
    if (i + 1 < m) {
      waiting |= (uint64_t)c->bits[b] << n;
      n += c->n[b];
    }
    store(at, waiting);
    at += n >> 3;
    waiting >>= n & ~7u;
    n &= 7;
  }
  *w = (bit_writer){at, waiting, n};
}

static void put_block(bit_writer *w, const uint8_t *in, size_t n, int last)
{
  uint16_t token[BLOCK + 1];
  uint32_t freq[LITERALS], bits[LITERALS];
  uint8_t length[LITERALS + 1];
  code c;
  size_t m = tokenise(in, n, token);
  token[m] = 0;
  count_symbols(token, m, freq);
  find_lengths(freq, LITERALS, BITS_MAX, length);
  make_code(length, LITERALS, bits);
  code_tokens(length, bits, &c);
  length[LITERALS] = 1; /* the one distance there is */
  put(w, (uint32_t)last | 2u << 1, 3);
  put(w, LITERALS - 257, 5);
  put(w, 0, 5);
  put_lengths(w, length, LITERALS + 1);
  put_tokens(w, token, m, &c);
  put(w, bits[END], length[END]);
}

static uint32_t adler32(const uint8_t *in, size_t n)
{
  enum { MODULUS = 65521, PART = 5536, STEP = 16 }; /* PART: sums stay below 2^32 */
  uint32_t a = 1, b = 0;
  for (size_t i = 0; i < n;) {
    size_t end = n - i < PART ? n : i + PART;
    for (; i + STEP <= end; i += STEP) {
      uint32_t sum = 0, moment = 0;
      for (uint32_t k = 0; k < STEP; k++) {
        sum += in[i + k];
        moment += (STEP - k) * in[i + k];
      }
      b += STEP * a + moment;
      a += sum;
    }
    for (; i < end; i++) {
      a += in[i];
      b += a;
    }
    a %= MODULUS;
    b %= MODULUS;
  }
  return b << 16 | a;
}

size_t nsl_deflate_bound(size_t n) { return 2 * n + 600 * (n / BLOCK + 1) + 32; } /* a code has at most 15 bits */

size_t nsl_deflate(const uint8_t *in, size_t n, uint8_t *out)
{
  bit_writer w = {.at = out + 2};
  size_t at = 0;
  out[0] = 0x78;
  out[1] = 0x01;
  do {
    size_t part = n - at < BLOCK ? n - at : BLOCK;
    put_block(&w, in + at, part, at + part == n);
    at += part;
  } while (at < n);
  if (w.n > 0) { put(&w, 0, 8 - w.n); }
  uint32_t check = adler32(in, n);
  for (int k = 24; k >= 0; k -= 8) { *w.at++ = (uint8_t)(check >> k); }
  return (size_t)(w.at - out);
}
