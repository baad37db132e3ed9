// Shared by the load generator and its upstreams: one epoll loop, non-blocking loopback sockets, one clock.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum kind { STDIN, LISTENER, UPSTREAM, CLIENT };
enum { BUFFER_BYTES = 16384 };

typedef struct conn {
  int fd;
  enum kind kind;
  uint32_t tag;     // upstream: index of its port; client: index of the request in flight
  struct pool *pool; // client only
  size_t have;      // bytes in buffer
  char buffer[BUFFER_BYTES];
} conn;

extern int loop; // the epoll descriptor

uint64_t now_ns(void);
void die(const char *what);
conn *watch(int fd, enum kind kind);
void unwatch(conn *c);
int connect_loopback(int port);
void listen_loopback(int port, uint32_t tag);

// Upstreams: answer every request (no body) with 200 and `x-upstream: <index of the port>`.
void upstream_accept(conn *listener);
void upstream_readable(conn *c);
