// A small steady HTTP/1.1 load generator with its own upstreams in one thread, steered by lines on standard input.
//
//   load REQUESTS_FILE [UPSTREAM_PORT …]
//
// REQUESTS_FILE: complete requests without bodies, one after the other, each preceded by a u32 of its bytes (little-endian).
// Commands, one JSON line answers each:
//   connect PORT CONNECTIONS
//   closed PORT FIRST COUNT PARALLEL                 as fast as answers come, PARALLEL in flight; FIRST is the first request's index
//   open PORT FIRST COUNT RATE SEED POISSON SPIN     requests leave at their scheduled times (RATE per second), whatever comes back
//   picks PATH                                       writes one byte per request of the last run: '0' + upstream, '?' without
//   latencies PATH                                   writes one u32 of nanoseconds (capped) per request of the last run
// Latency of an open run counts from the scheduled time, so a stalled server is charged for every request that it delays.
#define _GNU_SOURCE
#include "net.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_POOLS = 64, MAX_CONNECTIONS = 256, MAX_REQUESTS = 1 << 16, MAX_RUN = 1 << 21, MAX_UPSTREAMS = 64 };
static const uint64_t STALL_NS = 10000000000u;

typedef struct pool {
  int port;
  int idle;
  conn *free[MAX_CONNECTIONS];
} pool;

static pool pools[MAX_POOLS];
static int pool_count;
static char *request[MAX_REQUESTS];
static uint32_t request_bytes[MAX_REQUESTS], request_count;

static struct {
  bool active;
  uint32_t first, count, sent, done, bad;
} run;
static uint64_t *due_ns;
static uint32_t *latency_ns;
static char *picked;
static uint32_t by_upstream[MAX_UPSTREAMS];

static void load_requests(const char *path) {
  FILE *f = fopen(path, "rb");
  if (!f) die(path);
  uint32_t bytes;
  while (request_count < MAX_REQUESTS && fread(&bytes, 4, 1, f) == 1) {
    request[request_count] = malloc(bytes);
    if (fread(request[request_count], 1, bytes, f) != bytes) die("short requests file");
    request_bytes[request_count++] = bytes;
  }
  fclose(f);
  if (request_count == 0) die("no requests");
}

static pool *pool_of(int port) {
  for (int i = 0; i < pool_count; i++)
    if (pools[i].port == port) return &pools[i];
  if (pool_count == MAX_POOLS) die("too many pools");
  pools[pool_count].port = port;
  return &pools[pool_count++];
}

static void add_connection(pool *p) {
  int fd = connect_loopback(p->port);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  conn *c = watch(fd, CLIENT);
  c->pool = p;
  c->tag = UINT32_MAX; // nothing in flight
  p->free[p->idle++] = c;
}

static void send_next(pool *p) {
  conn *c = p->free[--p->idle];
  c->tag = run.sent++;
  uint32_t r = (run.first + c->tag) % request_count;
  if (send(c->fd, request[r], request_bytes[r], MSG_NOSIGNAL) != (ssize_t)request_bytes[r]) die("send");
}

static void finish(conn *c, char pick, bool good) {
  uint64_t took = now_ns() - due_ns[c->tag];
  latency_ns[c->tag] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
  picked[c->tag] = pick;
  if (pick >= '0' && pick - '0' < MAX_UPSTREAMS) by_upstream[pick - '0']++;
  run.done++;
  run.bad += !good;
}

static void client_readable(conn *c) {
  ssize_t n = recv(c->fd, c->buffer + c->have, BUFFER_BYTES - c->have, 0);
  if (n < 0 && errno == EAGAIN) return;
  bool in_flight = c->tag != UINT32_MAX && run.active;
  if (n <= 0) { // closed by the server: the request in flight failed
    pool *p = c->pool;
    if (in_flight) finish(c, '!', false);
    for (int i = 0; i < p->idle; i++)
      if (p->free[i] == c) p->free[i] = p->free[--p->idle];
    unwatch(c);
    add_connection(p);
    return;
  }
  c->have += (size_t)n;
  char *end = memmem(c->buffer, c->have, "\r\n\r\n", 4);
  if (!end) return;
  *end = 0;
  char *length = strcasestr(c->buffer, "\r\ncontent-length: "), *upstream = strcasestr(c->buffer, "\r\nx-upstream: ");
  size_t total = (size_t)(end + 4 - c->buffer) + (length ? strtoul(length + 18, NULL, 10) : 0);
  bool good = !strncmp(c->buffer, "HTTP/1.1 200", 12);
  char pick = upstream ? (char)('0' + strtoul(upstream + 14, NULL, 10)) : '?';
  *end = '\r';
  if (c->have < total) return;
  c->have = 0;
  if (in_flight) finish(c, pick, good);
  c->tag = UINT32_MAX;
  c->pool->free[c->pool->idle++] = c;
}

static void schedule(uint32_t count, double rate, uint64_t seed, bool poisson) {
  double at = 0, gap = rate > 0 ? 1e9 / rate : 0;
  uint64_t x = seed * 0x9e3779b97f4a7c15u + 1, start = now_ns() + (rate > 0 ? 1000000 : 0);
  for (uint32_t i = 0; i < count; i++) {
    due_ns[i] = start + (uint64_t)at;
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    at += poisson ? -gap * log(((double)(x >> 11) + 0.5) / 9007199254740992.0) : gap;
  }
}

static char input[8192]; // command lines not yet carried out
static size_t input_bytes;

static void read_stdin(conn *c) {
  ssize_t got = read(c->fd, input + input_bytes, sizeof input - 1 - input_bytes);
  if (got <= 0) exit(0);
  input_bytes += (size_t)got;
}

static void turn(int timeout_us) {
  struct epoll_event events[64];
  struct timespec wait = {timeout_us / 1000000, (long)(timeout_us % 1000000) * 1000};
  int n = epoll_pwait2(loop, events, 64, timeout_us < 0 ? NULL : &wait, NULL);
  for (int i = 0; i < n; i++) {
    conn *c = events[i].data.ptr;
    if (c->kind == CLIENT) client_readable(c);
    else if (c->kind == UPSTREAM) upstream_readable(c);
    else if (c->kind == LISTENER) upstream_accept(c);
    else read_stdin(c);
  }
}

static int ascending(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static void report(uint64_t began) {
  static uint32_t sorted[MAX_RUN];
  double seconds = (double)(now_ns() - began) / 1e9;
  memcpy(sorted, latency_ns, run.done * sizeof *sorted);
  qsort(sorted, run.done, sizeof *sorted, ascending);
  printf("{\"done\":%u,\"bad\":%u,\"seconds\":%.6f,\"by\":[", run.done, run.bad, seconds);
  int last = MAX_UPSTREAMS - 1;
  while (last > 0 && !by_upstream[last]) last--;
  for (int i = 0; i <= last; i++) printf("%s%u", i ? "," : "", by_upstream[i]);
  printf("],\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f}\n", sorted[run.done / 2] / 1e3,
         sorted[(uint64_t)run.done * 90 / 100] / 1e3, sorted[(uint64_t)run.done * 99 / 100] / 1e3, sorted[run.done - 1] / 1e3);
}

static void start(uint32_t first, uint32_t count) {
  if (count == 0 || count > MAX_RUN) die("count out of range");
  memset(by_upstream, 0, sizeof by_upstream);
  run.first = first;
  run.count = count;
  run.sent = run.done = run.bad = 0;
  run.active = true;
}

static bool stalled(uint32_t *seen, uint64_t *since) {
  if (run.done != *seen) *seen = run.done, *since = now_ns();
  return now_ns() - *since > STALL_NS;
}

static void closed_run(pool *p, uint32_t first, uint32_t count, uint32_t parallel) {
  start(first, count);
  uint32_t seen = 0;
  uint64_t began = now_ns(), since = began;
  while (run.done < count) {
    while (run.sent < count && run.sent - run.done < parallel && p->idle > 0) {
      due_ns[run.sent] = now_ns();
      send_next(p);
    }
    turn(1000000);
    if (stalled(&seen, &since)) die("stalled");
  }
  run.active = false;
  report(began);
}

static void open_run(pool *p, uint32_t first, uint32_t count, bool spin) {
  start(first, count);
  uint32_t seen = 0;
  uint64_t began = due_ns[0], since = now_ns();
  while (run.done < count) {
    uint64_t now = now_ns();
    while (run.sent < count && p->idle > 0 && due_ns[run.sent] <= now) send_next(p);
    int wait_us = 1000000;
    if (run.sent < count && p->idle > 0) wait_us = due_ns[run.sent] > now ? (int)((due_ns[run.sent] - now) / 1000) : 0;
    turn(spin ? 0 : wait_us);
    if (stalled(&seen, &since)) die("stalled");
  }
  run.active = false;
  report(began);
}

static void dump(const char *path, const void *data, size_t bytes) {
  FILE *f = fopen(path, "wb");
  if (!f || fwrite(data, 1, bytes, f) != bytes) die(path);
  fclose(f);
  printf("{\"bytes\":%zu}\n", bytes);
}

static void command(char *line) {
  int port, poisson, spin;
  unsigned first, count, number;
  unsigned long long seed;
  double rate;
  char path[3000];
  if (sscanf(line, "connect %d %u", &port, &number) == 2 && number <= MAX_CONNECTIONS) {
    pool *p = pool_of(port);
    while ((unsigned)p->idle < number) add_connection(p);
    printf("{\"idle\":%d}\n", p->idle);
  } else if (sscanf(line, "closed %d %u %u %u", &port, &first, &count, &number) == 4) {
    closed_run(pool_of(port), first, count, number);
  } else if (sscanf(line, "open %d %u %u %lf %llu %d %d", &port, &first, &count, &rate, &seed, &poisson, &spin) == 7 && count <= MAX_RUN) {
    schedule(count, rate, seed, poisson);
    open_run(pool_of(port), first, count, spin);
  } else if (sscanf(line, "picks %2999s", path) == 1) {
    dump(path, picked, run.done);
  } else if (sscanf(line, "latencies %2999s", path) == 1) {
    dump(path, latency_ns, run.done * sizeof *latency_ns);
  } else {
    printf("{\"error\":\"unknown command\"}\n");
  }
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc < 2) die("usage: load REQUESTS_FILE [UPSTREAM_PORT …]");
  prctl(PR_SET_TIMERSLACK, 1000); // the default of 50 µs would show in the latencies
  loop = epoll_create1(0);
  load_requests(argv[1]);
  due_ns = malloc(MAX_RUN * sizeof *due_ns);
  latency_ns = malloc(MAX_RUN * sizeof *latency_ns);
  picked = malloc(MAX_RUN);
  if (!due_ns || !latency_ns || !picked) die("malloc");
  for (int i = 2; i < argc; i++) listen_loopback(atoi(argv[i]), (uint32_t)(i - 2));
  watch(0, STDIN);
  printf("{\"ready\":%u}\n", request_count);
  fflush(stdout);
  for (;;) { // commands run here, not inside turn(): they turn the loop themselves
    turn(-1);
    char *stop;
    while ((stop = memchr(input, '\n', input_bytes))) {
      char line[sizeof input];
      size_t bytes = (size_t)(stop + 1 - input);
      memcpy(line, input, bytes);
      line[bytes - 1] = 0;
      input_bytes -= bytes;
      memmove(input, stop + 1, input_bytes);
      command(line);
    }
  }
}
