#include "base/signals.h"

#include <csignal>

#include "base/error.h"

namespace retort {
namespace {

volatile std::sig_atomic_t received = 0;

// Only what is safe in a handler: remember the signal, and let the next one end the process.
extern "C" void remember_signal(int signal) {
  received = signal;
  std::signal(signal, SIG_DFL);
}

}  // namespace

void install_stop_handlers() {
  std::signal(SIGINT, remember_signal);
  std::signal(SIGTERM, remember_signal);
  std::signal(SIGUSR1, remember_signal);  // what batch systems send before the time is up
  std::signal(SIGPIPE, SIG_IGN);          // a closed pipe is a write error with a message, not a silent death
}

int stop_signal() {
  return received;
}

void throw_if_stopped() {
  if (received != 0) throw Stopped(received);
}

}  // namespace retort
