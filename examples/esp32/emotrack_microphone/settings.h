/* What is yours. */
#pragma once

#define WIFI_NAME "home"
#define WIFI_PASSWORD "..."

#define BROKER_HOST "broker.local"
#define BROKER_PORT 1883 /* 8883 with BROKER_CA */
#define SITE "kitchen" /* the room; also the user name, as the access list of examples/mosquitto wants it */
#define BROKER_PASSWORD "" /* none: a broker without passwords */
/* The authority that signed the broker's certificate, for MQTT over TLS: the text of ca.pem.
#define BROKER_CA R"(-----BEGIN CERTIFICATE-----
...
-----END CERTIFICATE-----)" */

/* The pins of an I2S microphone such as INMP441 or ICS-43434, whose L/R is tied to ground. */
#define PIN_CLOCK 14 /* SCK */
#define PIN_WORD 15 /* WS */
#define PIN_DATA 32 /* SD */
#define SHIFT 14 /* 16 is as it is, 14 four times as loud: such microphones are quiet */
