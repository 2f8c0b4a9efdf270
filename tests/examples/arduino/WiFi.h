#pragma once
#include "Arduino.h"
enum { WIFI_STA, WL_CONNECTED };
struct WiFiClient { virtual ~WiFiClient() {} };
struct Wireless {
  void mode(int) {}
  void setSleep(bool) {}
  void begin(const char *, const char *) {}
  int status() { return WL_CONNECTED; }
};
static Wireless WiFi;
