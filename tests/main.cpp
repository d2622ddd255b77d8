// Catch2's main for every test program; results go to stdout in Catch2's own form.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
