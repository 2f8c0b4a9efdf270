/* A block of 16-bit mono samples with a WAV header before it: what one message holds. For little-endian machines. */
#pragma once
#include <stdint.h>

enum { WAV_SAMPLES = 512, WAV_RATE = 16000 }; /* 32 ms */

struct __attribute__((packed)) wav_header {
    char riff[4]; uint32_t riff_bytes; char wave[4];
    char fmt[4]; uint32_t fmt_bytes; uint16_t encoding, channels; uint32_t rate, bytes_a_second;
    uint16_t block_bytes, bits; char data[4]; uint32_t data_bytes;
};

struct __attribute__((packed)) wav_block {
    struct wav_header header;
    int16_t samples[WAV_SAMPLES];
};

static inline struct wav_header wav_header_for(uint32_t rate, uint32_t samples) {
    struct wav_header header = {
        {'R', 'I', 'F', 'F'}, 36 + 2 * samples, {'W', 'A', 'V', 'E'},
        {'f', 'm', 't', ' '}, 16, 1, 1, rate, 2 * rate,
        2, 16, {'d', 'a', 't', 'a'}, 2 * samples,
    };
    return header;
}

/* The upper bits of a sample of 32, louder by 2^(16 - shift), no louder than can be. */
static inline int16_t wav_sample(int32_t wide, int shift) {
    int32_t sample = wide >> shift;
    return (int16_t)(sample > INT16_MAX ? INT16_MAX : sample < INT16_MIN ? INT16_MIN : sample);
}
