/* Cuts the bytes of a binary or relay log into events, from chunks of any size; keeps of each event what is needed to
 * understand it and no more, and verifies its checksum. */
#pragma once

#include "binlog.h"

typedef struct LogReader LogReader;

typedef enum LogReaderKind {
        LOGREADER_BINARY, /* each event says where it ends, which must be true */
        LOGREADER_RELAY,
        _LOGREADER_KIND_MAX,
} LogReaderKind;

typedef enum LogReaderStep {
        LOGREADER_MORE,  /* all bytes were taken, and more are needed */
        LOGREADER_HEAD,  /* an event is known as far as it is kept; its checksum is not */
        LOGREADER_EVENT, /* an event is complete and verified */
        _LOGREADER_STEP_MAX,
} LogReaderStep;

/* For a file from its beginning. */
LogReader *logreader_new(LogReaderKind kind);
/* For the rest of a file from an event on; format is the one in force there. */
LogReader *logreader_new_at(LogReaderKind kind, uint64_t offset, const BinlogFormat *format);
LogReader *logreader_free(LogReader *reader);
DEFINE_CLEANUP(LogReader *, logreader_free)
/* LOGREADER_HEAD comes too, before each LOGREADER_EVENT: for who passes events on without keeping them. */
void logreader_want_heads(LogReader *reader);
/* Takes bytes off the front of the chunk, up to the end of the next event at most. A LogReaderStep (*ret is set for an
 * event), or an error, after which the reader is of no use: FAILURE_INVALID for what cannot be read at all (an
 * encrypted log), FAILURE_PROTOCOL for bytes that are no event, or whose checksum is wrong. */
int logreader_take(LogReader *reader, const uint8_t **bytes, size_t *length, BinlogEvent *ret, Failure *reterr);
/* Where the last complete event ends; where the bytes that were taken end. They differ in a torn event. */
uint64_t logreader_offset(const LogReader *reader);
uint64_t logreader_taken(const LogReader *reader);
/* The format in force; its length is 0 before the first. */
const BinlogFormat *logreader_format(const LogReader *reader);
