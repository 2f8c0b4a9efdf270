/* A room's microphone for emotrack: an ESP32 with an I2S microphone sends blocks of 32 ms over MQTT.

   Arduino IDE 2 with the boards "esp32" 3.x by Espressif and the library "PubSubClient" 2.8 by Nick O'Leary.
   Fill in settings.h, flash it, and look at: emotrack live --mqtt mqtt://BROKER/

   Everyone who can be heard should know of it and agree. */

#include <ESP_I2S.h>
#include <PubSubClient.h>
#include <WiFi.h>
#include <WiFiClientSecure.h>

#include "settings.h"
#include "wav_block.h"

static const char TOPIC[] = "hermes/audioServer/" SITE "/audioFrame";
static const uint32_t RETRY_MS = 2000;

#ifdef BROKER_CA
static WiFiClientSecure network;
#else
static WiFiClient network;
#endif
static PubSubClient broker(network);
static I2SClass microphone;
static struct wav_block block;
static int32_t heard[WAV_SAMPLES]; // 24 bits of sound in the upper bits
static uint32_t tried_ms;

void setup() {
  Serial.begin(115200);
  WiFi.mode(WIFI_STA);
  WiFi.setSleep(false);  // sound comes all the time
  WiFi.begin(WIFI_NAME, WIFI_PASSWORD);
#ifdef BROKER_CA
  network.setCACert(BROKER_CA);
#endif
  broker.setServer(BROKER_HOST, BROKER_PORT);
  // Room for a block and its topic: what does not fit is dropped without a word, and 256 bytes are usual.
  if (!broker.setBufferSize(sizeof block + sizeof TOPIC + 16)) Serial.println("there is not enough memory");
  block.header = wav_header_for(WAV_RATE, WAV_SAMPLES);
  microphone.setPins(PIN_CLOCK, PIN_WORD, -1, PIN_DATA);
  if (!microphone.begin(I2S_MODE_STD, WAV_RATE, I2S_DATA_BIT_WIDTH_32BIT, I2S_SLOT_MODE_MONO, I2S_STD_SLOT_LEFT)) {
    Serial.println("the microphone does not answer: are the pins right?");
  }
}

// Whether the broker is there; asks again now and then. Meanwhile sound goes by: emotrack knows by the clock what is lost.
static bool connected() {
  if (broker.connected()) return true;
  if (WiFi.status() != WL_CONNECTED || millis() - tried_ms < RETRY_MS) return false;
  tried_ms = millis();
  const bool with_password = sizeof BROKER_PASSWORD > 1;
  const bool is_there = with_password ? broker.connect("emotrack-" SITE, SITE, BROKER_PASSWORD) : broker.connect("emotrack-" SITE);
  if (!is_there) Serial.printf("the broker does not let us in: %d\n", broker.state());
  return is_there;
}

void loop() {
  const size_t bytes = microphone.readBytes((char *)heard, sizeof heard);  // waits for 32 ms of sound
  if (!connected()) return;
  broker.loop();
  if (bytes != sizeof heard) return;
  for (int i = 0; i < WAV_SAMPLES; i++) block.samples[i] = wav_sample(heard[i], SHIFT);
  broker.publish(TOPIC, (const uint8_t *)&block, sizeof block);
}
