/* The least that a server can do for each thing that is asked of it: what the kernel, the pipes and base64 cost.

   It answers `initialize`, starts children on pipes or a terminal, feeds them, and reports what they write and how they end. No
   checks, no log, no bounds, and a write waits for the child. It shows what a machine leaves to be won, and is of no other use.

   It is no limit where less can be done. It reads a child as soon as there is something to read, and each read(2) is a line and a
   write(2): a server that comes later, when several small writes have gathered in the pipe, has fewer of all three, and reaches or passes
   it in `lines`. There a chunk holds about ten writes here, and fifty with execserver. */
#define _GNU_SOURCE
#include "base64.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { CHILDREN = 128, READ_SIZE = 65536, LINE = 1 << 20, OUT = 1 << 20 };

static struct child {
    char id[32];
    pid_t pid;
    int exit;      /* pidfd, -1 once reported */
    int in;        /* -1 without */
    int out, err;  /* -1 at the end of file */
    long seq;
} children[CHILDREN];
static char out[OUT];
static size_t out_size;

static void write_out(void)
{
    for (size_t done = 0; done < out_size;) {
        ssize_t size = write(1, out + done, out_size - done);
        if (size <= 0)
            exit(1);
        done += (size_t)size;
    }
    out_size = 0;
}

#define SAY(...) (out_size += (size_t)sprintf(out + out_size, __VA_ARGS__))

/* The pieces of a child's pipes or terminal; 0 is /dev/null on pipes. */
static void spawn(struct child *child, char **argv, bool tty, bool feed)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int input[2] = {-1, -1}, pair[2] = {-1, -1}, errors[2] = {-1, -1};
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    if (tty) {
        char name[64];
        child->out = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
        grantpt(child->out), unlockpt(child->out), ptsname_r(child->out, name, sizeof name);
        posix_spawn_file_actions_addopen(&actions, 0, name, O_RDWR, 0);
        posix_spawn_file_actions_adddup2(&actions, 0, 1);
        posix_spawn_file_actions_adddup2(&actions, 0, 2);
        child->err = -1;
    } else {
        if (pipe2(pair, O_CLOEXEC) || pipe2(errors, O_CLOEXEC))
            exit(1);
        fcntl(pair[0], F_SETPIPE_SZ, 256 << 10);
        if (feed && pipe2(input, O_CLOEXEC) == 0)
            posix_spawn_file_actions_adddup2(&actions, input[0], 0);
        else
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_adddup2(&actions, pair[1], 1);
        posix_spawn_file_actions_adddup2(&actions, errors[1], 2);
        child->out = pair[0], child->err = errors[0];
    }
    if (posix_spawnp(&child->pid, argv[0], &actions, &attributes, argv, environ))
        exit(1);
    posix_spawn_file_actions_destroy(&actions);
    child->in = input[1];
    close(input[0]), close(pair[1]), close(errors[1]);
    child->exit = (int)syscall(SYS_pidfd_open, child->pid, 0);
}

static void start(const char *line, char *id_text, bool tty)
{
    static char words[4096];
    char *argv[32] = {0}, *word = words;
    struct child *child = children;
    while (child->pid)
        child++;
    *child = (struct child){0};
    sscanf(strstr(line, "\"processId\":\"") + 13, "%31[^\"]", child->id);
    const char *p = strstr(line, "\"argv\":[") + 8;
    for (int i = 0; *p == '"' && i < 31; i++) {
        const char *close = strchr(p + 1, '"');
        argv[i] = word;
        word = mempcpy(word, p + 1, (size_t)(close - p - 1));
        *word++ = 0;
        p = close[1] == ',' ? close + 2 : close + 1;
    }
    spawn(child, argv, tty, strstr(line, "\"pipeStdin\":true") != NULL);
    SAY("{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"processId\":\"%s\"}}\n", id_text, child->id);
}

static struct child *named_in(const char *line)
{
    char process[32];
    sscanf(strstr(line, "\"processId\":\"") + 13, "%31[^\"]", process);
    struct child *child = children;
    while (strcmp(child->id, process))
        child++;
    return child;
}

static void feed(const char *line, const char *id)
{
    static unsigned char bytes[LINE];
    struct child *child = named_in(line);
    const char *chunk = strstr(line, "\"chunk\":\"") + 9;
    size_t size = base64_decode(bytes, chunk, (size_t)(strchr(chunk, '"') - chunk));
    for (size_t done = 0; done < size;) {
        ssize_t written = write(child->in, bytes + done, size - done);
        if (written <= 0)
            exit(1);
        done += (size_t)written;
    }
    SAY("{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"status\":\"accepted\"}}\n", id);
}

static void interrupt(const struct child *child)
{
    if (child->pid) /* 0 would be ourselves, and the driver */
        kill(-child->pid, SIGINT);
}

static void serve_line(const char *line)
{
    char id[32];
    const char *member = strstr(line, "\"id\":");
    if (member == NULL || sscanf(member + 5, "%31[0-9]", id) != 1)
        return;
    if (strstr(line, "\"process/start\""))
        start(line, id, strstr(line, "\"tty\":true") != NULL);
    else if (strstr(line, "\"process/write\""))
        feed(line, id);
    else {
        SAY("{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"running\":false}}\n", id);
        if (strstr(line, "\"process/signal\""))
            interrupt(named_in(line));
    }
    if (out_size > OUT / 2)
        write_out();
}

static void serve_input(void)
{
    static char line[LINE];
    static size_t held;
    ssize_t size = read(0, line + held, LINE - 1 - held);
    if (size <= 0)
        exit(0);
    held += (size_t)size;
    char *begin = line, *newline;
    while ((newline = memchr(begin, '\n', held - (size_t)(begin - line)))) {
        *newline = 0;
        serve_line(begin);
        begin = newline + 1;
    }
    held -= (size_t)(begin - line);
    memmove(line, begin, held);
    write_out();
}

static void read_stream(struct child *child, int *fd, const char *name)
{
    static unsigned char bytes[READ_SIZE];
    ssize_t size = read(*fd, bytes, sizeof bytes);
    if (size <= 0) {
        close(*fd);
        *fd = -1;
        return;
    }
    SAY("{\"jsonrpc\":\"2.0\",\"method\":\"process/output\",\"params\":{\"processId\":\"%s\",\"seq\":%ld,\"stream\":\"%s\",\"chunk\":\"",
        child->id, ++child->seq, name);
    out_size += base64_encode(out + out_size, bytes, (size_t)size);
    SAY("\"}}\n");
    write_out();
}

static void report_exit(struct child *child)
{
    int status;
    waitpid(child->pid, &status, 0);
    close(child->exit);
    child->exit = -1;
    SAY("{\"jsonrpc\":\"2.0\",\"method\":\"process/exited\",\"params\":{\"processId\":\"%s\",\"seq\":%ld,\"exitCode\":%d}}\n", child->id,
        ++child->seq, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int main(void)
{
    fcntl(1, F_SETPIPE_SZ, OUT);
    fcntl(0, F_SETPIPE_SZ, LINE);
    for (;;) {
        struct pollfd pollers[1 + 3 * CHILDREN] = {{.fd = 0, .events = POLLIN}};
        int count = 1, last = -1;
        for (int i = 0; i < CHILDREN; i++)
            if (children[i].pid)
                last = i;
        for (int i = 0; i <= last; i++) {
            struct child *child = &children[i];
            int fds[3] = {child->pid ? child->out : -1, child->pid ? child->err : -1, child->pid ? child->exit : -1};
            for (int kind = 0; kind < 3; kind++)
                pollers[count++] = (struct pollfd){.fd = fds[kind], .events = POLLIN};
        }
        poll(pollers, (nfds_t)count, -1);
        for (int i = 0; i <= last; i++) {
            struct child *child = &children[i];
            struct pollfd *three = &pollers[1 + 3 * i];
            if (three[0].revents)
                read_stream(child, &child->out, "stdout");
            if (three[1].revents)
                read_stream(child, &child->err, "stderr");
            if (three[2].revents)
                report_exit(child);
            if (child->pid && child->out < 0 && child->err < 0 && child->exit < 0) {
                SAY("{\"jsonrpc\":\"2.0\",\"method\":\"process/closed\",\"params\":{\"processId\":\"%s\",\"seq\":%ld}}\n", child->id,
                    ++child->seq);
                close(child->in);
                child->pid = 0;
            }
        }
        write_out();
        if (pollers[0].revents)
            serve_input();
    }
}
