#include "message.h"

#include <stdlib.h>
#include <string.h>

/* Where the string that begins at `p` ends, or NULL. memchr passes a long chunk at memory speed. */
static const char *string_end(const char *p, const char *end)
{
    for (; (p = memchr(p, '"', (size_t)(end - p))); p++) {
        const char *slash = p;
        while (slash[-1] == '\\')
            slash--;
        if ((p - slash) % 2 == 0)
            return p;
    }
    return NULL;
}

static const char *skip_spaces(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    return p;
}

static bool is(const char *text, size_t length, const char *expected)
{
    return strlen(expected) == length && memcmp(text, expected, length) == 0;
}

static void take_string(struct message *message, const char *key, size_t key_length, const char *value, size_t length)
{
    if (is(key, key_length, "chunk")) {
        message->chunk = value;
        message->chunk_length = length;
        message->chunks++;
    } else if (is(key, key_length, "method")) {
        message->kind = is(value, length, "process/output")   ? OUTPUT
                        : is(value, length, "process/exited") ? EXITED
                        : is(value, length, "process/closed") ? CLOSED
                                                              : OTHER;
    } else if (is(key, key_length, "processId") && length > 1) {
        message->process = strtol(value + 1, NULL, 10);
    }
}

static void take_number(struct message *message, const char *key, size_t key_length, long value)
{
    if (is(key, key_length, "seq"))
        message->seq = value;
    else if (is(key, key_length, "id"))
        message->id = value;
    else if (is(key, key_length, "exitCode"))
        message->exit_code = value;
}

bool parse_message(struct message *message, const char *line, size_t length)
{
    const char *end = line + length, *p = line;
    *message = (struct message){.kind = ANSWER, .id = -1, .process = -1, .seq = -1, .line = line, .length = length};
    if (length < 2 || line[0] != '{' || end[-1] != '}')
        return false;
    while ((p = memchr(p, '"', (size_t)(end - p)))) {
        const char *key = p + 1;
        if ((p = string_end(key, end)) == NULL)
            return false;
        size_t key_length = (size_t)(p - key);
        p = skip_spaces(p + 1, end);
        if (p >= end || *p != ':')
            continue; /* a string in an array */
        p = skip_spaces(p + 1, end);
        if (*p == '"') {
            const char *value = p + 1;
            if ((p = string_end(value, end)) == NULL)
                return false;
            take_string(message, key, key_length, value, (size_t)(p - value));
            p++;
        } else if (*p == '-' || (*p >= '0' && *p <= '9')) {
            char *after;
            long number = strtol(p, &after, 10);
            take_number(message, key, key_length, number);
            p = after;
        } else if (*p == '{' && is(key, key_length, "error")) {
            message->failed = true;
        }
    }
    return message->kind != ANSWER || message->id >= 0;
}
