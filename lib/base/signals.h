// Two-phase stopping: SIGINT, SIGTERM and SIGUSR1 set a flag, loops look at it where nothing is half done.
#pragma once

namespace retort {

// Makes SIGINT, SIGTERM and SIGUSR1 set the flag; a second one of the same kind ends the process at once.
void install_stop_handlers();

// The signal that asked to stop, or 0.
int stop_signal();

// Throws Stopped (base/error.h) if a signal came.
void throw_if_stopped();

}  // namespace retort
