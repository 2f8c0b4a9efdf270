#pragma once
#include "Arduino.h"
enum i2s_mode_t { I2S_MODE_STD };
enum i2s_data_bit_width_t { I2S_DATA_BIT_WIDTH_32BIT };
enum i2s_slot_mode_t { I2S_SLOT_MODE_MONO };
enum { I2S_STD_SLOT_LEFT };
struct I2SClass {
  void setPins(int8_t, int8_t, int8_t, int8_t) {}
  bool begin(i2s_mode_t, uint32_t rate, i2s_data_bit_width_t, i2s_slot_mode_t, int8_t) { return rate == 16000; }
  size_t readBytes(char *buffer, size_t bytes) { return fread(buffer, 1, bytes, stdin); }
};
