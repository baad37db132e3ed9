#define _GNU_SOURCE
#include "net.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int loop;

uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void die(const char *what) {
  perror(what);
  exit(1);
}

conn *watch(int fd, enum kind kind) {
  conn *c = malloc(sizeof *c);
  if (!c) die("malloc");
  c->fd = fd;
  c->kind = kind;
  c->tag = 0;
  c->pool = NULL;
  c->have = 0;
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
  if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &e) < 0) die("epoll_ctl");
  return c;
}

void unwatch(conn *c) {
  close(c->fd);
  free(c);
}

static struct sockaddr_in loopback(int port) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int connect_loopback(int port) {
  struct sockaddr_in to = loopback(port);
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) die("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

void listen_loopback(int port, uint32_t tag) {
  struct sockaddr_in at = loopback(port);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 512) < 0) die("listen");
  watch(fd, LISTENER)->tag = tag;
}

void upstream_accept(conn *listener) {
  int fd, one = 1;
  while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    watch(fd, UPSTREAM)->tag = listener->tag;
  }
}

void upstream_readable(conn *c) {
  ssize_t n = recv(c->fd, c->buffer + c->have, BUFFER_BYTES - c->have, 0);
  if (n <= 0) {
    unwatch(c);
    return;
  }
  c->have += (size_t)n;
  char answer[128];
  int bytes = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nx-upstream: %u\r\ncontent-length: 2\r\n\r\nok", c->tag), requests = 0;
  char *from = c->buffer, *end;
  while ((end = memmem(from, c->have - (size_t)(from - c->buffer), "\r\n\r\n", 4))) {
    from = end + 4;
    requests++;
  }
  c->have -= (size_t)(from - c->buffer);
  memmove(c->buffer, from, c->have);
  for (; requests; requests--)
    if (send(c->fd, answer, (size_t)bytes, MSG_NOSIGNAL) != bytes) break; // Envoy went away; the next read closes
}
