/* What a server holds and does when nothing happens, and when nobody listens. */
#include "measure.h"
#include "server.h"
#include "workloads.h"

#include <unistd.h>

/* `children` that only wait: memory before and after, and what the server does in `seconds` of silence. */
void measure_crowd(const struct arguments *arguments)
{
    struct server server;
    struct message message;
    long id = 0;
    launch(&server, arguments->argv);
    handshake(&server);
    usleep(300000); /* what a server does after its first answer is over */
    metric("idle_mb", memory_mb(server.pid, "VmRSS"));
    run_one(&server);
    long first = server.process_count;
    double began = now();
    for (long i = 0; i < arguments->children; i++) {
        start(&server, child("pause", 0), PLAIN, &id);
        wait_answer(&server, id, &message);
    }
    metric("start_us", (now() - began) / (double)arguments->children * 1e6);
    usleep(500000);
    metric("crowd_mb", memory_mb(server.pid, "VmRSS"));
    double cpu = cpu_seconds(server.pid);
    long woken = wakeups(server.pid);
    usleep((useconds_t)(arguments->seconds * 1e6));
    metric("idle_cpu_s", cpu_seconds(server.pid) - cpu);
    metric("idle_wakeups", (double)(wakeups(server.pid) - woken));
    metric("round_trip_us", round_trip_us(&server, 1000));
    interrupt(&server, first, arguments->children);
    end(&server);
}

/* Children flood and the client does not read for `seconds`; then it reads, and nothing may be lost. */
void measure_stalled(const struct arguments *arguments)
{
    struct server server;
    long id;
    uint64_t share = arguments->size / (uint64_t)arguments->children;
    launch(&server, arguments->argv);
    warm_up(&server);
    usleep(300000);
    long first = server.process_count;
    for (long i = 0; i < arguments->children; i++)
        start(&server, child("flood", share), PLAIN, &id);
    flush(&server);
    usleep((useconds_t)(arguments->seconds / 2 * 1e6));
    double half = memory_mb(server.pid, "VmRSS");
    usleep((useconds_t)(arguments->seconds / 2 * 1e6));
    metric("peak_mb", memory_mb(server.pid, "VmHWM"));
    metric("growth_mb", memory_mb(server.pid, "VmRSS") - half);
    for (long i = 0; i < arguments->children; i++) {
        wait_finished(&server, first + i);
        if (server.processes[first + i].bytes != share)
            die("bytes are missing");
    }
    end(&server);
}
