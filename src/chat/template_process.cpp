#include "chat/template_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/error.h"

namespace carat {
namespace {

constexpr auto kPatience = std::chrono::seconds(10);  // of the clock on the wall, on a machine that does other things as well
constexpr size_t kMaxAnswer = size_t{256} << 20;      // its own limits are lower

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { close(); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

[[noreturn]] void fail_io(const char* what) {
  fail(ErrorCode::io, "{}: {}, running a chat template, try again or take --chat-template builtin", what, std::strerror(errno));
}

std::filesystem::path program() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path path = self.parent_path() / "carat-template";
  if (error || ::access(path.c_str(), X_OK) != 0) {
    fail(ErrorCode::unsupported,
         "chat templates of others cannot be run, carat-template is not beside this program (it is built where cargo is installed), take --chat-template "
         "builtin");
  }
  return path;
}

// A child with one socket as its standard input and output, nothing on stderr, no environment and no other file of ours.
class Child {
 public:
  Child(const std::filesystem::path& path, int socket) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, socket, 0);
    posix_spawn_file_actions_adddup2(&actions, socket, 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    std::string name = "carat-template";
    char* arguments[] = {name.data(), nullptr};
    char* environment[] = {nullptr};
    const int status = posix_spawn(&pid_, path.c_str(), &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (status != 0) {
      pid_ = -1;
      errno = status;
      fail_io("carat-template cannot be started");
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    wait();
  }

  // True when it ended by itself, with status 0. Where somebody else collects children, nobody knows: then what it said decides.
  bool wait() {
    int status = 0;
    pid_t got;
    do got = ::waitpid(pid_, &status, 0);
    while (got < 0 && errno == EINTR);
    pid_ = -1;
    return got < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }

 private:
  pid_t pid_ = -1;
};

// Sends and receives until the other side is done. False: the patience is over.
bool talk(int socket, std::string_view request, std::string& answer) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  std::array<char, 65536> buffer;
  if (request.empty()) ::shutdown(socket, SHUT_WR);
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
    pollfd poll_fd{.fd = socket, .events = static_cast<short>(request.empty() ? POLLIN : POLLIN | POLLOUT), .revents = 0};
    const int ready = left <= 0 ? 0 : ::poll(&poll_fd, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) fail_io("poll");
    if (ready == 0 || answer.size() > kMaxAnswer) return false;
    if ((poll_fd.revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
      const ssize_t got = ::recv(socket, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got > 0) answer.append(buffer.data(), static_cast<size_t>(got));
      if (got == 0 || (got < 0 && errno == ECONNRESET)) return true;
      if (got < 0 && errno != EAGAIN && errno != EINTR) fail_io("recv");
    }
    if ((poll_fd.revents & POLLOUT) != 0) {
      const ssize_t sent = ::send(socket, request.data(), request.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent > 0) request.remove_prefix(static_cast<size_t>(sent));
      if (sent < 0 && errno != EAGAIN && errno != EINTR) request = {};  // it has ended before it had read everything: what it said is still there
      if (request.empty()) ::shutdown(socket, SHUT_WR);
    }
  }
}

}  // namespace

std::string ask_template_process(std::string_view request) {
  const std::filesystem::path path = program();
  int sockets[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) fail_io("socketpair");
  Fd ours(sockets[0]), theirs(sockets[1]);
  Child child(path, theirs.get());
  theirs.close();
  std::string answer;
  const bool talked = talk(ours.get(), request, answer);
  if (!talked || !child.wait() || answer.empty()) {
    fail(ErrorCode::invalid_argument,
         "the chat template took more than 1 s of processor time or 256 MiB of memory, running it, shorten the conversation or take --chat-template builtin");
  }
  return answer;
}

}  // namespace carat
