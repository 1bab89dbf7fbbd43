/* Whatever bytes come to a feed's port. The first byte says which server is stood in for, how the rest arrives, and
 * whether it begins behind a login that was right. What is sent is always whole packets with consecutive numbers. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "feedwire.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t chosen[FEEDWIRE_SCRAMBLE];

/* Reads the output as a client would, all of it. */
static void drain(FeedWire *wire)
{
        size_t length, at = 0;
        const uint8_t *bytes = feedwire_output(wire, &length);
        while (at < length) {
                if (length - at < 4)
                        abort();
                size_t payload = bytes[at] | (size_t) bytes[at + 1] << 8 | (size_t) bytes[at + 2] << 16;
                if (payload == 0 || length - at - 4 < payload)
                        abort();
                at += 4 + payload;
        }
        feedwire_sent(wire, length);
        if (length > 256 * 1024)
                abort();
}

/* What shows the password "a" with the scramble that chosen gives, twenty times "!". */
static const uint8_t native_token[] = { 0x72, 0xa6, 0x6a, 0xf7, 0xb2, 0xd7, 0x16, 0x08, 0x66, 0xec,
                                        0xb2, 0xa9, 0x8e, 0x27, 0xda, 0x32, 0xd1, 0x9f, 0xa3, 0x7a };
static const uint8_t caching_token[] = { 0xcc, 0xc5, 0xfd, 0x90, 0x3a, 0xac, 0x62, 0x6d, 0xe5, 0x5d, 0xa4,
                                         0xd3, 0x59, 0xd5, 0x32, 0x8e, 0xb8, 0x7d, 0x06, 0x29, 0x8a, 0x42,
                                         0x81, 0xac, 0xa3, 0x00, 0x45, 0xec, 0x2c, 0x23, 0x98, 0xe4 };

static void log_in(FeedWire *wire, bool caching)
{
        static const uint8_t head[] = { 0x05, 0xa2, 0x08, 0, 0, 0, 0, 1, 33, [32] = 'u', 0 };
        const char *plugin = caching ? "caching_sha2_password" : "mysql_native_password";
        size_t n = caching ? sizeof caching_token : sizeof native_token;
        __attribute__((cleanup(text_done_cleanup))) Text packet = { 0 };
        uint8_t start[4] = { (uint8_t) (sizeof head + 1 + n + strlen(plugin) + 1), 0, 0, 1 };
        text_add_n(&packet, (const char *) start, sizeof start);
        text_add_n(&packet, (const char *) head, sizeof head);
        text_add_n(&packet, (const char[]){ (char) n }, 1);
        text_add_n(&packet, (const char *) (caching ? caching_token : native_token), n);
        text_add_n(&packet, plugin, strlen(plugin) + 1);
        if (feedwire_receive(wire, packet.data, packet.length) != FEEDWIRE_ASKING)
                abort();
        drain(wire);
}

static void send_events(FeedWire *wire, const uint8_t *data, size_t size)
{
        feedwire_begin_event(wire, size);
        feedwire_add(wire, data, size / 2);
        feedwire_add(wire, data + size / 2, size - size / 2);
        drain(wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char *const versions[] = { "10.11.19-MariaDB", "5.6.24", "8.0.36", "9.7.4" };
        if (size == 0)
                return 0;
        GtidSet *set = NULL;
        if (feedwire_decode_set(data + 1, size - 1, &set, NULL) == 0) {
                free(gtid_format(set));
                gtid_free(set);
        }
        FeedWireParams params = { .version = versions[data[0] & 3],
                                  .user = "u",
                                  .password = "a",
                                  .server_uuid = "0badcafe-0000-4000-8000-00000000feed",
                                  .crc32 = true };
        memcpy(params.scramble, chosen, sizeof chosen);
        CLEANUP(feedwire_free) FeedWire *wire = feedwire_new(&params);
        drain(wire);
        if (data[0] & 4)
                log_in(wire, (data[0] & 3) >= 2);
        size_t piece = data[0] & 8 ? 1 + (data[0] >> 4) : size;
        for (size_t at = 1; at < size; at += piece) {
                size_t n = size - at < piece ? size - at : piece;
                FeedWirePhase phase = feedwire_receive(wire, data + at, n);
                drain(wire);
                if (phase != FEEDWIRE_DUMPING)
                        continue;
                if (feedwire_request(wire)->gtid != (feedwire_request(wire)->set != NULL))
                        abort();
                send_events(wire, data, size);
        }
        return 0;
}
