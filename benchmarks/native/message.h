/* One line of the wire -> the members that the driver needs, wherever they stand. Copies nothing. */
#ifndef MESSAGE_H
#define MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

enum kind { ANSWER, OUTPUT, EXITED, CLOSED, OTHER };

struct message {
    enum kind kind;
    bool failed;          /* an answer that is an error */
    long id;              /* of an answer; -1 without */
    long process;         /* the number in "p7"; -1 without */
    long seq;
    long exit_code;
    long chunks;          /* how many chunks there were: 1 in a notification */
    const char *chunk;    /* the last chunk, base64, in the line itself */
    size_t chunk_length;
    const char *line;
    size_t length;
};

/* False if the line is not what a server may send. */
bool parse_message(struct message *message, const char *line, size_t length);

#endif
