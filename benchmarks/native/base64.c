#include "base64.h"

#include <stdint.h>
#include <stdbool.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static uint16_t pairs[4096];     /* 12 bits -> two characters */
static uint16_t sextets[65536];  /* two characters -> 12 bits, 0xffff for what is not in the alphabet */

__attribute__((constructor)) static void fill_tables(void)
{
    memset(sextets, 0xff, sizeof sextets);
    for (int high = 0; high < 64; high++)
        for (int low = 0; low < 64; low++) {
            char pair[2] = {alphabet[high], alphabet[low]};
            uint16_t key;
            memcpy(&key, pair, 2);
            pairs[high << 6 | low] = key;
            sextets[key] = (uint16_t)(high << 6 | low);
        }
}

size_t base64_encode(char *text, const unsigned char *bytes, size_t size)
{
    char *begin = text;
    for (; size >= 3; size -= 3, bytes += 3, text += 4) {
        unsigned bits = (unsigned)bytes[0] << 16 | (unsigned)bytes[1] << 8 | bytes[2];
        memcpy(text, &pairs[bits >> 12], 2);
        memcpy(text + 2, &pairs[bits & 4095], 2);
    }
    if (size) {
        unsigned bits = (unsigned)bytes[0] << 16 | (size == 2 ? (unsigned)bytes[1] << 8 : 0);
        memcpy(text, &pairs[bits >> 12], 2);
        text[2] = size == 2 ? alphabet[bits >> 6 & 63] : '=';
        text[3] = '=';
        text += 4;
    }
    return (size_t)(text - begin);
}

size_t base64_size(const char *text, size_t length)
{
    if (length % 4)
        return (size_t)-1;
    if (length == 0)
        return 0;
    return length / 4 * 3 - (text[length - 1] == '=') - (text[length - 2] == '=');
}

size_t base64_decode(unsigned char *bytes, const char *text, size_t length)
{
    size_t size = base64_size(text, length);
    if (size == (size_t)-1 || size == 0)
        return size;
    unsigned bad = 0;
    for (size_t i = 0; i + 4 < length; i += 4, bytes += 3) {
        uint16_t left, right;
        memcpy(&left, text + i, 2);
        memcpy(&right, text + i + 2, 2);
        unsigned high = sextets[left], low = sextets[right];
        bad |= high | low;
        bytes[0] = (unsigned char)(high >> 4);
        bytes[1] = (unsigned char)(high << 4 | low >> 8);
        bytes[2] = (unsigned char)low;
    }
    char last[4];
    memcpy(last, text + length - 4, 4);
    size_t tail = size % 3 ? size % 3 : 3;
    for (size_t i = tail + 1; i < 4; i++)
        last[i] = 'A';
    uint16_t left, right;
    memcpy(&left, last, 2);
    memcpy(&right, last + 2, 2);
    bad |= sextets[left] | sextets[right];
    unsigned bits = (unsigned)sextets[left] << 12 | sextets[right];
    for (size_t i = 0; i < tail; i++)
        bytes[i] = (unsigned char)(bits >> (16 - 8 * i));
    return bad & 0x8000 ? (size_t)-1 : size;
}
