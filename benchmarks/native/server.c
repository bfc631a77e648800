#define _GNU_SOURCE
#include "server.h"

#include "base64.h"
#include "measure.h"
#include "pattern.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
    READ_SIZE = 256 << 10,
    INPUT_ROOM = 8 << 20, /* a line fits: notifications are at most 2 MiB */
};

void launch(struct server *server, char **argv)
{
    int to[2], from[2];
    *server = (struct server){.input = reserve(NULL, INPUT_ROOM)};
    if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
        die("pipe: %s", strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to[0], 0);
    posix_spawn_file_actions_adddup2(&actions, from[1], 1);
    int error = posix_spawnp(&server->pid, argv[0], &actions, NULL, argv, environ);
    if (error)
        die("%s: %s", argv[0], strerror(error));
    posix_spawn_file_actions_destroy(&actions);
    victim = server->pid;
    close(to[0]);
    close(from[1]);
    server->to = to[1];
    server->from = from[0];
    fcntl(server->to, F_SETFL, O_NONBLOCK);
}

void handshake(struct server *server)
{
    struct message message;
    wait_answer(server, request(server, "initialize", "{\"clientName\":\"benchmark\"}"), &message);
    request(server, "initialized", NULL);
    flush(server);
}

void run_one(struct server *server)
{
    long id;
    wait_finished(server, start(server, "[\"/bin/true\"]", PLAIN, &id));
}

void warm_up(struct server *server)
{
    handshake(server);
    run_one(server);
}

void end(struct server *server)
{
    close(server->to);
    double deadline = now() + 10;
    for (ssize_t size = 1; size > 0;) {
        struct pollfd poller = {.fd = server->from, .events = POLLIN};
        if (poll(&poller, 1, (int)((deadline - now()) * 1000)) <= 0 || now() > deadline)
            break;
        size = read(server->from, server->input, INPUT_ROOM);
    }
    close(server->from);
    while (waitpid(server->pid, NULL, WNOHANG) == 0) {
        if (now() > deadline)
            kill(server->pid, SIGKILL);
        usleep(200);
    }
    victim = 0;
    free(server->input);
    free(server->queue);
    free(server->processes);
}

static void append(struct server *server, const char *format, va_list arguments)
{
    for (;;) {
        size_t room = server->queue_room - server->queue_end;
        va_list copy;
        va_copy(copy, arguments);
        int length = vsnprintf(server->queue + server->queue_end, room, format, copy);
        va_end(copy);
        if ((size_t)length < room) {
            server->queue_end += (size_t)length;
            return;
        }
        server->queue_room = 2 * server->queue_room + (size_t)length + 4096;
        server->queue = reserve(server->queue, server->queue_room);
    }
}

static void append_text(struct server *server, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    append(server, format, arguments);
    va_end(arguments);
}

long request(struct server *server, const char *method, const char *format, ...)
{
    if (format == NULL) {
        append_text(server, "{\"jsonrpc\":\"2.0\",\"method\":\"%s\"}\n", method);
        return -1;
    }
    va_list arguments;
    append_text(server, "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"method\":\"%s\",\"params\":", ++server->last_id, method);
    va_start(arguments, format);
    append(server, format, arguments);
    va_end(arguments);
    append_text(server, "}\n");
    return server->last_id;
}

void flush(struct server *server)
{
    while (server->queue_begin < server->queue_end) {
        ssize_t size = write(server->to, server->queue + server->queue_begin, server->queue_end - server->queue_begin);
        if (size < 0 && errno == EAGAIN)
            return;
        if (size <= 0)
            die("the server does not take requests: %s", strerror(errno));
        server->queue_begin += (size_t)size;
    }
    server->queue_begin = server->queue_end = 0;
}

/* One read(2), with what is queued going out meanwhile. */
static void read_more(struct server *server)
{
    flush(server);
    while (server->queue_end) {
        struct pollfd pollers[] = {{.fd = server->from, .events = POLLIN}, {.fd = server->to, .events = POLLOUT}};
        poll(pollers, 2, -1);
        if (pollers[1].revents)
            flush(server);
        if (pollers[0].revents)
            break;
    }
    if (server->input_begin > READ_SIZE || INPUT_ROOM - server->input_end < READ_SIZE) {
        size_t held = server->input_end - server->input_begin;
        memmove(server->input, server->input + server->input_begin, held);
        server->input_scanned -= server->input_begin;
        server->input_begin = 0;
        server->input_end = held;
        if (INPUT_ROOM - held < READ_SIZE)
            die("a line of more than %d bytes", INPUT_ROOM - READ_SIZE);
    }
    ssize_t size = read(server->from, server->input + server->input_end, READ_SIZE);
    if (size <= 0)
        die("the server is gone");
    server->input_end += (size_t)size;
}

__attribute__((noreturn)) static void blame(const char *what, const struct message *message)
{
    die("%s: %.*s", what, (int)(message->length < 400 ? message->length : 400), message->line);
}

static void add_output(struct process *process, const struct message *message)
{
    size_t size = base64_size(message->chunk, message->chunk_length);
    if (size == (size_t)-1)
        blame("no base64", message);
    if (message->seq <= process->output_seq)
        blame("output out of order", message);
    process->output_seq = message->seq;
    process->bytes += size;
    if (process->digest) {
        static unsigned char decoded[4 << 20];
        if (size > sizeof decoded || base64_decode(decoded, message->chunk, message->chunk_length) != size)
            blame("no base64", message);
        digest_add(process->digest, decoded, size);
    }
}

static void account(struct server *server, const struct message *message)
{
    if (message->process < 0 || message->process >= server->process_count || message->seq < 1)
        blame("an event of nobody", message);
    struct process *process = &server->processes[message->process];
    process->events++;
    process->seq_sum += message->seq;
    if (message->kind == OUTPUT)
        add_output(process, message);
    else if (message->kind == EXITED)
        process->exit_code = message->exit_code;
    else
        process->closed_seq = message->seq;
    if (process->closed_seq && (process->events > process->closed_seq || message->seq > process->closed_seq))
        blame("an event too many", message);
    if (finished(process)) {
        if (process->seq_sum != process->closed_seq * (process->closed_seq + 1) / 2)
            blame("a seq is repeated", message);
        server->running--;
    }
}

void receive(struct server *server, struct message *message)
{
    for (;;) {
        char *line = server->input + server->input_begin;
        char *newline = memchr(server->input + server->input_scanned, '\n', server->input_end - server->input_scanned);
        if (newline == NULL) {
            server->input_scanned = server->input_end;
            if (server->input_begin == server->input_end)
                server->input_begin = server->input_scanned = server->input_end = 0;
            read_more(server);
            continue;
        }
        server->input_begin = server->input_scanned = (size_t)(newline + 1 - server->input);
        if (!parse_message(message, line, (size_t)(newline - line)))
            blame("not a message", message);
        if (message->kind == OTHER)
            continue;
        if (message->kind != ANSWER)
            account(server, message);
        else if (message->failed)
            blame("refused", message);
        return;
    }
}

void wait_answer(struct server *server, long id, struct message *message)
{
    do
        receive(server, message);
    while (message->kind != ANSWER || message->id != id);
}

long start(struct server *server, const char *argv, enum options options, long *id)
{
    long number = server->process_count++;
    if (number == server->process_room) {
        server->process_room = 2 * server->process_room + 64;
        server->processes = reserve(server->processes, (size_t)server->process_room * sizeof(struct process));
    }
    server->processes[number] = (struct process){.exit_code = -1};
    server->running++;
    *id = request(server, "process/start",
                  "{\"processId\":\"p%ld\",\"argv\":%s,\"cwd\":\"file:///tmp\",\"env\":{\"PATH\":\"/usr/bin:/bin\"},"
                  "\"tty\":%s,\"pipeStdin\":%s,\"arg0\":null}",
                  number, argv, options & TTY ? "true" : "false", options & STDIN ? "true" : "false");
    return number;
}

bool finished(const struct process *process)
{
    return process->closed_seq && process->exit_code >= 0 && process->events == process->closed_seq;
}

static void wait_exit_code(struct server *server, long number, long expected)
{
    struct message message;
    while (!finished(&server->processes[number]))
        receive(server, &message);
    if (server->processes[number].exit_code != expected)
        die("p%ld ended with exit code %ld", number, server->processes[number].exit_code);
}

void wait_finished(struct server *server, long number)
{
    wait_exit_code(server, number, 0);
}

void interrupt(struct server *server, long first, long count)
{
    for (long number = first; number < first + count; number++)
        request(server, "process/signal", "{\"processId\":\"p%ld\",\"signal\":\"interrupt\"}", number);
    for (long number = first; number < first + count; number++)
        wait_exit_code(server, number, 128 + SIGINT);
}

/* The path of a program that was built beside this one. */
static const char *beside(const char *name)
{
    static char path[4096];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - 16);
    if (size < 0)
        die("readlink: %s", strerror(errno));
    path[size] = 0;
    strcpy(strrchr(path, '/') + 1, name);
    return path;
}

const char *nothing(void)
{
    static char text[4400];
    snprintf(text, sizeof text, "[\"%s\"]", beside("nothing"));
    return text;
}

const char *child(const char *mode, uint64_t number)
{
    static char text[4400];
    const char *path = beside("child");
    if (strcmp(mode, "pause") == 0)
        snprintf(text, sizeof text, "[\"%s\",\"pause\"]", path);
    else
        snprintf(text, sizeof text, "[\"%s\",\"%s\",\"%llu\"]", path, mode, (unsigned long long)number);
    return text;
}
