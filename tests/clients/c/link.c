// A link to the server that can be cut: one listening port of its own, one connection at a time, bytes copied both ways.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include "harness.h"

static struct {
    pthread_mutex_t lock;
    int listener, port, near, far;
    bool up;
} link_ = {PTHREAD_MUTEX_INITIALIZER, -1, 0, -1, -1, false};

static int endpoint(int port, bool listening) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    int rc = listening ? bind(fd, (void *)&address, sizeof address) || listen(fd, 8)
                       : connect(fd, (void *)&address, sizeof address);
    if (rc == 0) return fd;
    close(fd);
    return -1;
}

static void drop(void) {
    if (link_.near != -1) close(link_.near), close(link_.far);
    link_.near = link_.far = -1;
}

static bool copy(int from, int to) {
    char bytes[65536];
    ssize_t count = recv(from, bytes, sizeof bytes, MSG_DONTWAIT), sent = 0;
    if (count <= 0) return false;
    while (sent < count) {
        ssize_t more = send(to, bytes + sent, count - sent, MSG_NOSIGNAL);
        if (more <= 0) return false;
        sent += more;
    }
    return true;
}

static void *carry(void *unused) {
    (void)unused;
    int server = atoi(strrchr(hosts, ':') + 1);
    for (;;) {
        pthread_mutex_lock(&link_.lock);
        struct pollfd fds[3] = {{link_.near, POLLIN, 0}, {link_.far, POLLIN, 0}, {link_.listener, POLLIN, 0}};
        if (0 < poll(fds, 3, 1)) {
            if ((fds[0].revents && !copy(link_.near, link_.far)) || (fds[1].revents && !copy(link_.far, link_.near))) {
                drop();
            } else if (fds[2].revents) {
                drop();
                link_.near = accept(link_.listener, NULL, NULL);
                link_.far = link_.up ? endpoint(server, false) : -1;
                if (link_.far == -1) close(link_.near), link_.near = -1;
            }
        }
        pthread_mutex_unlock(&link_.lock);
        usleep(200);
    }
    return NULL;
}

const char *open_link(void) {
    static char address[32];
    if (link_.listener == -1) {
        pthread_t thread;
        struct sockaddr_in mine;
        socklen_t len = sizeof mine;
        link_.listener = endpoint(0, true);
        getsockname(link_.listener, (void *)&mine, &len);
        snprintf(address, sizeof address, "127.0.0.1:%d", ntohs(mine.sin_port));
        pthread_create(&thread, NULL, carry, NULL);
    }
    link_.up = true;
    return address;
}

void cut_link(void) {
    pthread_mutex_lock(&link_.lock);
    link_.up = false;
    drop();
    pthread_mutex_unlock(&link_.lock);
}

void mend_link(void) { link_.up = true; }
