/* What the children write and how it is recognised: one block of text, each copy of it bearing its number, and a digest of the stream. */
#ifndef PATTERN_H
#define PATTERN_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK = 65536 };

/* Letters without a newline, so that a terminal passes them as they are. */
static inline void fill_block(char *block)
{
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (int i = 0; i < BLOCK; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        block[i] = (char)('a' + state % 26);
    }
}

/* A block that is lost, repeated or out of place changes the digest. */
static inline void number_block(char *block, uint64_t number)
{
    for (int i = 0; i < 12; i++, number /= 10)
        block[11 - i] = (char)('0' + number % 10);
}

/* A digest of a stream that does not depend on where the stream was cut. */
struct digest {
    uint64_t hash, size;
    size_t held;
    unsigned char block[BLOCK];
};

static inline uint64_t mix_block(uint64_t hash, const unsigned char *block, size_t size)
{
    uint64_t lanes[4] = {hash ^ 1, hash ^ 2, hash ^ 3, hash ^ 4}, words[4];
    size_t i = 0;
    for (; i + 32 <= size; i += 32) {
        memcpy(words, block + i, 32);
        for (int lane = 0; lane < 4; lane++) {
            lanes[lane] = (lanes[lane] ^ words[lane]) * 0x9fb21c651e98df25u;
            lanes[lane] ^= lanes[lane] >> 29;
        }
    }
    for (; i < size; i++)
        lanes[0] = (lanes[0] ^ block[i]) * 0x100000001b3u;
    for (int lane = 0; lane < 4; lane++)
        hash = (hash ^ lanes[lane]) * 0x9fb21c651e98df25u + size;
    return hash;
}

static inline void digest_add(struct digest *digest, const unsigned char *bytes, size_t size)
{
    digest->size += size;
    while (size) {
        size_t part = BLOCK - digest->held < size ? BLOCK - digest->held : size;
        memcpy(digest->block + digest->held, bytes, part);
        digest->held += part, bytes += part, size -= part;
        if (digest->held == BLOCK) {
            digest->hash = mix_block(digest->hash, digest->block, BLOCK);
            digest->held = 0;
        }
    }
}

static inline uint64_t digest_end(struct digest *digest)
{
    return mix_block(digest->hash, digest->block, digest->held);
}

#endif
