/*
 * shape.h - documents that differ in their values only.
 *
 * Whoever writes events of a type writes mostly the same keys in the same order
 * with the same white space. Of a document so made, what stands between its values is
 * kept; the next one is compared with that, and only its values are scanned.
 */

#ifndef LUN_JSON_SHAPE_H
#define LUN_JSON_SHAPE_H

#include "json/scan.h"

#define LUN_JSON_SHAPE_MEMBERS 24
#define LUN_JSON_SHAPE_BYTES   640

/* Where a member stands in its document. */
struct lun_member {
	uint32_t key_at;
	uint32_t value_at;
	uint32_t value_length;
	uint32_t key_length : 24;
	uint32_t kind : 4; /* enum lun_json_kind */
	uint32_t key_escaped : 1;
	uint32_t value_escaped : 1;
};

/* Of one that was found in this text, less than 4 GiB; its key less than 16 MiB. */
static inline struct lun_member
lun_member_of(const struct lun_json_member *found, struct lun_text json)
{
	return (struct lun_member){
	    .key_at = (uint32_t)(found->key.bytes - json.bytes),
	    .value_at = (uint32_t)(found->value.bytes - json.bytes),
	    .value_length = (uint32_t)found->value.length,
	    .key_length = (uint32_t)found->key.length & 0xffffff,
	    .kind = (uint32_t)found->kind & 0xf,
	    .key_escaped = found->key_escaped,
	    .value_escaped = found->value_escaped,
	};
}

static inline struct lun_text
lun_member_key(const struct lun_member *member, struct lun_text json)
{
	return (struct lun_text){
	    json.bytes + member->key_at, member->key_length};
}

static inline struct lun_text
lun_member_value(const struct lun_member *member, struct lun_text json)
{
	return (struct lun_text){
	    json.bytes + member->value_at, member->value_length};
}

/* What stands before a value: its key, and more. */
struct lun_json_piece {
	uint16_t at; /* in the text of the shape */
	uint16_t length;
	uint16_t key_at; /* in the piece */
	uint16_t key_length;
	bool key_escaped;
};

/* Zero is that of no document. */
struct lun_json_shape {
	unsigned misses; /* for whoever keeps it */
	uint16_t count;  /* of members; the last piece stands behind them */
	struct lun_json_piece pieces[LUN_JSON_SHAPE_MEMBERS + 1];
	char text[LUN_JSON_SHAPE_BYTES];
};

/*
 * Take over the shape of a document with these members; of one that is too large
 * none is kept.
 */
void lun_json_shape_learn(struct lun_json_shape *shape, struct lun_text json,
    const struct lun_member *members, size_t count);

/*
 * The members of a document of this shape, shape->count of them, as
 * lun_json_members() lists them. False: it is another, or none that is valid;
 * members may be written to. A document has less than 4 GiB.
 */
bool lun_json_shape_members(const struct lun_json_shape *shape,
    struct lun_text json, struct lun_member *members) LUN_MUSTCHECK;

#endif
