/* A server on two pipes: launched, spoken to, and every event of its processes checked.

   The rule: a run in which an event is missing, repeated or out of the order of its stream is no measurement. It ends the driver. */
#ifndef SERVER_H
#define SERVER_H

#include "message.h"

#include <stdint.h>
#include <sys/types.h>

struct digest;

struct process {
    long events, seq_sum;      /* of all events so far: with closed_seq they prove that none is missing or repeated */
    long output_seq;           /* the last chunk's: chunks come in order */
    long closed_seq;           /* 0: not closed */
    long exit_code;            /* -1: not exited */
    uint64_t bytes;
    struct digest *digest;     /* given: decode the content and add it here */
};

struct server {
    pid_t pid;
    int to, from;              /* `to` does not block */
    char *queue;               /* what could not yet be sent */
    size_t queue_begin, queue_end, queue_room;
    char *input;
    size_t input_begin, input_scanned, input_end;
    long last_id;
    struct process *processes; /* by number: "p7" is processes[7] */
    long process_count, process_room, running;
};

enum options { PLAIN = 0, STDIN = 1, TTY = 2 };

/* Spawn the server; the handshake is another step. */
void launch(struct server *server, char **argv);
void handshake(struct server *server);
/* /bin/true, from its start to its end: what a server does only for its first process is done then. */
void run_one(struct server *server);
/* Handshake and one process. */
void warm_up(struct server *server);
/* End of file, then what is left is read. The server has ten seconds. */
void end(struct server *server);

/* Append a request to the queue; returns its id. Nothing is sent before flush() or receive(). */
long request(struct server *server, const char *method, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Send what the pipe takes. */
void flush(struct server *server);
/* The next message; its events are already accounted for. */
void receive(struct server *server, struct message *message);
/* Receive until this request is answered. An error ends the driver. */
void wait_answer(struct server *server, long id, struct message *message);

/* Ask for a process; `argv` is a JSON array. Returns its number; `id` is the request's. */
long start(struct server *server, const char *argv, enum options options, long *id);
/* Every event is there, up to exited and closed, without a gap. */
bool finished(const struct process *process);
/* Receive until the process is finished; anything but exit code 0 ends the driver. */
void wait_finished(struct server *server, long number);
/* End `count` processes that would not end by themselves, and receive until each is finished; it must have ended by SIGINT.
   process/signal, since process/terminate is SIGTERM to one server and SIGKILL to another. */
void interrupt(struct server *server, long first, long count);
/* JSON argv of a benchmark child. The text lives until the next call. */
const char *child(const char *mode, uint64_t number);
/* JSON argv of the program that is linked with nothing. */
const char *nothing(void);

#endif
