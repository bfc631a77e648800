/* Base64, standard alphabet, padded (RFC 4648), by tables: fast enough never to be what is measured. */
#ifndef BASE64_H
#define BASE64_H

#include <stddef.h>

/* Encode; `text` has room for 4 * ceil(size / 3) characters. Returns how many were written. */
size_t base64_encode(char *text, const unsigned char *bytes, size_t size);
/* Decode; `bytes` has room for 3 * length / 4. Returns how many were written, or (size_t)-1 for what is no base64. */
size_t base64_decode(unsigned char *bytes, const char *text, size_t length);
/* How many bytes a text of this length stands for, or (size_t)-1. Looks at the padding only. */
size_t base64_size(const char *text, size_t length);

#endif
