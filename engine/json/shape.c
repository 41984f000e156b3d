/* shape.c - documents that differ in their values only. */

#include "json/shape.h"

#include "json/token.h"

/* ---- learning ---------------------------------------------------------- */

static bool
keep_piece(struct lun_json_shape *shape, const char *from, const char *to)
{
	struct lun_json_piece *piece = &shape->pieces[shape->count];
	size_t length = (size_t)(to - from);
	size_t at = 0;

	if (shape->count > 0)
		at = (size_t)piece[-1].at + piece[-1].length;
	if (length > sizeof shape->text - at)
		return false;
	memcpy(shape->text + at, from, length);
	*piece = (struct lun_json_piece){
	    .at = (uint16_t)at, .length = (uint16_t)length};
	return true;
}

static bool
learn(struct lun_json_shape *shape, struct lun_text json,
    const struct lun_member *members, size_t count)
{
	uint32_t from = 0;

	shape->count = 0;
	for (size_t i = 0; i < count; i++) {
		const struct lun_member *member = &members[i];
		struct lun_json_piece *piece = &shape->pieces[i];

		if (!keep_piece(shape, json.bytes + from,
			json.bytes + member->value_at))
			return false;
		piece->key_at = (uint16_t)(member->key_at - from);
		piece->key_length = (uint16_t)member->key_length;
		piece->key_escaped = member->key_escaped;
		from = member->value_at + member->value_length;
		shape->count++;
	}
	return keep_piece(shape, json.bytes + from, json.bytes + json.length);
}

void
lun_json_shape_learn(struct lun_json_shape *shape, struct lun_text json,
    const struct lun_member *members, size_t count)
{
	if (count > LUN_JSON_SHAPE_MEMBERS ||
	    !learn(shape, json, members, count))
		shape->count = 0;
}

/* ---- comparing --------------------------------------------------------- */

/* Most pieces have so many bytes that two words, which may overlap, hold them. */
static bool
is_same(const char *a, const char *b, size_t length)
{
	uint64_t a0, a1, b0, b1;

	if (length < sizeof a0 || length > 2 * sizeof a0)
		return memcmp(a, b, length) == 0;
	memcpy(&a0, a, sizeof a0);
	memcpy(&b0, b, sizeof b0);
	memcpy(&a1, a + length - sizeof a1, sizeof a1);
	memcpy(&b1, b + length - sizeof b1, sizeof b1);
	return ((a0 ^ b0) | (a1 ^ b1)) == 0;
}

static bool
take_piece(struct lun_json_reader *in, const struct lun_json_shape *shape,
    const struct lun_json_piece *piece)
{
	if ((size_t)(in->end - in->at) < piece->length ||
	    !is_same(in->at, shape->text + piece->at, piece->length))
		return false;
	in->at += piece->length;
	return true;
}

/* Most values are strings and integers; a scan begun for each is more work. */
static bool
take_value(struct lun_json_reader *in, enum lun_json_kind *kind, bool *escaped)
{
	struct lun_json_number number;
	struct lun_text body;

	*escaped = false;
	if (in->at == in->end)
		return false;
	if (*in->at == '"') {
		*kind = LUN_JSON_STRING;
		return lun_json_read_string(in, &body, escaped);
	}
	if (*in->at < '0' || *in->at > '9')
		return lun_json_scan_value(in, kind, escaped);
	if (!lun_json_read_number(in, &number))
		return false;
	*kind = number.integer ? LUN_JSON_INTEGER : LUN_JSON_NUMBER;
	return true;
}

bool
lun_json_shape_members(const struct lun_json_shape *shape, struct lun_text json,
    struct lun_member *members)
{
	struct lun_json_reader in = lun_json_read(json);
	const struct lun_json_piece *piece = shape->pieces;

	for (size_t i = 0; i < shape->count; i++, piece++) {
		uint32_t from = (uint32_t)(in.at - in.start), value_at;
		enum lun_json_kind kind;
		bool escaped;

		if (!take_piece(&in, shape, piece))
			return false;
		value_at = (uint32_t)(in.at - in.start);
		if (!take_value(&in, &kind, &escaped))
			return false;
		members[i] = (struct lun_member){
		    .key_at = from + piece->key_at,
		    .value_at = value_at,
		    .value_length = (uint32_t)(in.at - in.start) - value_at,
		    .key_length = piece->key_length,
		    .kind = (uint32_t)kind & 0xf,
		    .key_escaped = piece->key_escaped,
		    .value_escaped = escaped,
		};
	}
	return shape->count > 0 && take_piece(&in, shape, piece) &&
	       in.at == in.end;
}
