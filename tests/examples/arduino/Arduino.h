// Of Arduino what the sketch uses: sound comes from standard input, messages go to standard output.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

inline uint32_t millis() { return 5000; }
struct SerialPort {
  void begin(int) {}
  void println(const char *line) { fprintf(stderr, "%s\n", line); }
  template <class... Arguments> void printf(const char *format, Arguments... arguments) { fprintf(stderr, format, arguments...); }
};
static SerialPort Serial;
