/* One member of a configuration struct, handled as the type of its row says: read, reset, compare, copy, free, show. */
#pragma once

#include "json.h"
#include "reading.h"
#include "schema.h"

/* The member of row in the struct that object points to. */
void *value_member(const SchemaRow *row, void *object);
const void *value_member_const(const SchemaRow *row, const void *object);

/* Whether the row has a member of its own: it is no section or list of servers, and no further form of a secret. */
bool value_has_member(const SchemaRow *row);
bool value_is_secret(const SchemaRow *row);
/* Replaces the member by what tree says; on an error, which is noted, it stays as it was. */
bool value_read(Reading *reading, const SchemaRow *row, const Tree *tree, void *object);
/* Replaces the member by its default. */
void value_reset(const SchemaRow *row, void *object);
bool value_is_set(const SchemaRow *row, const void *object); /* false for NULL, none and port 0 */
bool value_equal(const SchemaRow *row, const void *a, const void *b);
/* After a copy of the struct's bytes: gives it a copy of its own of what the member points to. */
void value_unshare(const SchemaRow *row, void *object);
void value_done(const SchemaRow *row, void *object); /* wipes a secret */
/* Puts the member into json under its leaf name; nothing when it is not set. Of a secret only whether
 * there is one: has_password. */
void value_to_json(const SchemaRow *row, const void *object, Json *json);
