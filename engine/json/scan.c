/* scan.c - looking at JSON text without building anything. */

#include "json/scan.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/error.h"
#include "json/token.h"

/* Up to here the keys of an object are compared in pairs, then hashed. */
#define PAIRWISE_MAX 32
#define FEW_KEYS     64

/* A key without escapes, and where it stands in the text. */
struct key {
	struct lun_text text;
	const char *at;
};

/* A key that was written with escapes, decoded. */
struct decoded {
	struct decoded *next;
	char bytes[];
};

/*
 * The keys of the objects that are open, the innermost last, are kept on a
 * stack, so that an object can be searched for its own.
 */
struct scan {
	struct lun_json_reader in;
	struct key *keys;
	size_t key_count;
	size_t key_capacity;
	struct key few[FEW_KEYS];
	struct decoded *decoded;
	bool starved;   /* the fault is that memory ran out */
	bool form_only; /* numbers may be beyond a double */
};

/* What is known of a value besides its text. */
struct value {
	enum lun_json_kind kind;
	bool escaped;
};

static bool scan_value(struct scan *scan, int depth, struct value *value);

static void
open_scan(struct scan *scan, struct lun_text json, bool form_only)
{
	scan->form_only = form_only;
	scan->in = lun_json_read(json);
	scan->keys = scan->few;
	scan->key_count = 0;
	scan->key_capacity = FEW_KEYS;
	scan->decoded = NULL;
	scan->starved = false;
}

static void
close_scan(struct scan *scan)
{
	struct decoded *next;

	for (; scan->decoded != NULL; scan->decoded = next) {
		next = scan->decoded->next;
		free(scan->decoded);
	}
	if (scan->keys != scan->few)
		free(scan->keys);
}

static bool
fail_for_memory(struct scan *scan)
{
	scan->starved = true;
	return lun_json_fault(&scan->in, scan->in.at, "out of memory");
}

static enum lun_code
describe_fault(const struct scan *scan, struct lun_err *err)
{
	if (scan->starved)
		return lun_fail(err, LUN_NOMEM, "checking JSON: out of memory");
	return lun_fail(err, LUN_INVALID, "invalid JSON at byte %zu: %s",
	    lun_json_fault_byte(&scan->in), scan->in.fault);
}

/* ---- duplicate keys ---------------------------------------------------- */

static bool
decode_key(struct scan *scan, struct lun_text *key)
{
	struct decoded *decoded = malloc(sizeof *decoded + key->length);

	if (decoded == NULL)
		return fail_for_memory(scan);
	decoded->next = scan->decoded;
	scan->decoded = decoded;
	key->length = lun_json_unescape_body(*key, decoded->bytes);
	key->bytes = decoded->bytes;
	return true;
}

static bool
grow_keys(struct scan *scan)
{
	size_t size = scan->key_capacity * sizeof *scan->keys;
	bool few = scan->keys == scan->few;
	struct key *keys = realloc(few ? NULL : scan->keys, size * 2);

	if (keys == NULL)
		return fail_for_memory(scan);
	if (few)
		memcpy(keys, scan->few, size);
	scan->keys = keys;
	scan->key_capacity *= 2;
	return true;
}

/*
 * Note a key of the object whose first key is at base. seen has the bits of
 * its keys so far.
 */
static bool
add_key(struct scan *scan, size_t base, uint64_t *seen, struct key key)
{
	uint64_t bit = lun_json_key_bit(key.text);

	if ((*seen & bit) != 0 && scan->key_count - base <= PAIRWISE_MAX)
		for (size_t i = base; i < scan->key_count; i++)
			if (lun_text_equal(scan->keys[i].text, key.text))
				return lun_json_fault(
				    &scan->in, key.at, "duplicate key");
	*seen |= bit;
	if (scan->key_count == scan->key_capacity && !grow_keys(scan))
		return false;
	scan->keys[scan->key_count++] = key;
	return true;
}

/* Put keys into a hash table until one is there already: that one, or NULL. */
static const struct key *
find_duplicate(
    const struct key *keys, size_t count, size_t *slots, size_t slot_count)
{
	/* Nobody who writes a text can know where the table will lie. */
	XXH64_hash_t seed = (XXH64_hash_t)(uintptr_t)slots;

	for (size_t i = 0; i < count; i++) {
		struct lun_text text = keys[i].text;
		size_t slot =
		    (size_t)XXH3_64bits_withSeed(text.bytes, text.length, seed);

		for (slot &= slot_count - 1; slots[slot] != 0;
		     slot = (slot + 1) & (slot_count - 1))
			if (lun_text_equal(keys[slots[slot] - 1].text, text))
				return &keys[i];
		slots[slot] = i + 1;
	}
	return NULL;
}

/* The object is complete: forget its keys. */
static bool
end_keys(struct scan *scan, size_t base)
{
	size_t count = scan->key_count - base;
	size_t slot_count = 2 * PAIRWISE_MAX;
	const struct key *duplicate;
	size_t *slots;

	scan->key_count = base;
	if (count <= PAIRWISE_MAX)
		return true;
	while (slot_count < 2 * count)
		slot_count *= 2;
	slots = calloc(slot_count, sizeof *slots);
	if (slots == NULL)
		return fail_for_memory(scan);
	duplicate = find_duplicate(scan->keys + base, count, slots, slot_count);
	free(slots);
	if (duplicate != NULL)
		return lun_json_fault(
		    &scan->in, duplicate->at, "duplicate key");
	return true;
}

/* ---- values ------------------------------------------------------------ */

static bool
scan_array(struct scan *scan, int depth)
{
	struct value value;

	scan->in.at++;
	if (lun_json_take(&scan->in, ']'))
		return true;
	do {
		lun_json_skip_space(&scan->in);
		if (!scan_value(scan, depth, &value))
			return false;
	} while (lun_json_take(&scan->in, ','));
	if (!lun_json_take(&scan->in, ']'))
		return lun_json_unexpected(&scan->in, "expected , or ]");
	return true;
}

/* "key": value; what is found goes to *member. */
static bool
scan_member(struct scan *scan, int depth, size_t base, uint64_t *seen,
    struct lun_json_member *member)
{
	struct lun_json_reader *in = &scan->in;
	struct value value;
	struct key key;

	lun_json_skip_space(in);
	key.at = in->at;
	if (in->at == in->end || *in->at != '"')
		return lun_json_unexpected(in, "expected a key");
	if (!lun_json_read_string(in, &member->key, &member->key_escaped))
		return false;
	key.text = member->key;
	if (member->key_escaped && !decode_key(scan, &key.text))
		return false;
	if (!add_key(scan, base, seen, key))
		return false;
	if (!lun_json_take(in, ':'))
		return lun_json_unexpected(in, "expected :");
	lun_json_skip_space(in);
	member->value.bytes = in->at;
	if (!scan_value(scan, depth, &value))
		return false;
	member->value.length = (size_t)(in->at - member->value.bytes);
	member->kind = value.kind;
	member->value_escaped = value.escaped;
	return true;
}

/* Members beyond room are counted but not kept. */
static bool
scan_object(struct scan *scan, int depth, struct lun_json_member *members,
    size_t room, size_t *count)
{
	size_t base = scan->key_count, found = 0;
	struct lun_json_member unkept;
	uint64_t seen = 0;

	scan->in.at++;
	if (!lun_json_take(&scan->in, '}')) {
		do {
			if (!scan_member(scan, depth, base, &seen,
				found < room ? &members[found] : &unkept))
				return false;
			found++;
		} while (lun_json_take(&scan->in, ','));
		if (!lun_json_take(&scan->in, '}'))
			return lun_json_unexpected(
			    &scan->in, "expected , or }");
	}
	*count = found;
	return end_keys(scan, base);
}

static bool
scan_number(struct scan *scan, struct value *value)
{
	struct lun_json_number number;

	if (!lun_json_read_number(&scan->in, &number))
		return false;
	if (!scan->form_only && !lun_json_number_fits(&number))
		return lun_json_fault(
		    &scan->in, number.text.bytes, "number too large");
	value->kind = number.integer ? LUN_JSON_INTEGER : LUN_JSON_NUMBER;
	return true;
}

static bool
scan_container(struct scan *scan, int depth, struct value *value)
{
	size_t count;

	if (depth == LUN_JSON_DEPTH_MAX)
		return lun_json_fault(
		    &scan->in, scan->in.at, "nested too deep");
	if (*scan->in.at == '[') {
		value->kind = LUN_JSON_ARRAY;
		return scan_array(scan, depth + 1);
	}
	value->kind = LUN_JSON_OBJECT;
	return scan_object(scan, depth + 1, NULL, 0, &count);
}

/* The value that begins here; depth containers are open around it. */
static bool
scan_value(struct scan *scan, int depth, struct value *value)
{
	struct lun_json_reader *in = &scan->in;
	struct lun_text body;

	value->escaped = false;
	if (in->at == in->end)
		return lun_json_unexpected(in, "");
	switch (*in->at) {
	case '"':
		value->kind = LUN_JSON_STRING;
		return lun_json_read_string(in, &body, &value->escaped);
	case '{':
	case '[':
		return scan_container(scan, depth, value);
	case 't':
		value->kind = LUN_JSON_TRUE;
		return lun_json_read_word(in, LUN_TEXT("true"));
	case 'f':
		value->kind = LUN_JSON_FALSE;
		return lun_json_read_word(in, LUN_TEXT("false"));
	case 'n':
		value->kind = LUN_JSON_NULL;
		return lun_json_read_word(in, LUN_TEXT("null"));
	default:
		if (*in->at == '-' || (*in->at >= '0' && *in->at <= '9'))
			return scan_number(scan, value);
		return lun_json_unexpected(in, "expected a value");
	}
}

static enum lun_code
check_document(struct lun_text json, bool form_only, struct lun_err *err)
{
	enum lun_code code = LUN_OK;
	struct value value;
	struct scan scan;

	open_scan(&scan, json, form_only);
	lun_json_skip_space(&scan.in);
	if (!scan_value(&scan, 0, &value) || !lun_json_read_end(&scan.in))
		code = describe_fault(&scan, err);
	close_scan(&scan);
	return code;
}

enum lun_code
lun_json_check(struct lun_text json, struct lun_err *err)
{
	return check_document(json, false, err);
}

enum lun_code
lun_json_check_form(struct lun_text json, struct lun_err *err)
{
	return check_document(json, true, err);
}

/* depth: how many containers the top value counts as. */
static enum lun_code
list_members(struct lun_text json, int depth, struct lun_json_member *members,
    size_t *count, struct lun_err *err)
{
	enum lun_code code = LUN_OK;
	size_t room = *count, found = 0;
	bool is_object, valid;
	struct value value;
	struct scan scan;

	open_scan(&scan, json, true);
	lun_json_skip_space(&scan.in);
	is_object = scan.in.at < scan.in.end && *scan.in.at == '{';
	if (is_object)
		valid = scan_object(&scan, depth, members, room, &found);
	else
		valid = scan_value(&scan, 0, &value);
	if (!valid || !lun_json_read_end(&scan.in))
		code = describe_fault(&scan, err);
	else if (!is_object)
		code = lun_fail(err, LUN_NOTFOUND, "not a JSON object");
	else if (found > room)
		code =
		    lun_fail(err, LUN_NOMEM, "no room for %zu members", found);
	if (code == LUN_OK || found > room)
		*count = found;
	close_scan(&scan);
	return code;
}

enum lun_code
lun_json_members(struct lun_text json, struct lun_json_member *members,
    size_t *count, struct lun_err *err)
{
	return list_members(json, 1, members, count, err);
}

enum lun_code
lun_json_line_members(struct lun_text line, struct lun_json_member *members,
    size_t *count, struct lun_err *err)
{
	return list_members(line, 0, members, count, err);
}

bool
lun_json_scan_value(
    struct lun_json_reader *reader, enum lun_json_kind *kind, bool *escaped)
{
	struct value value;
	struct scan scan;
	bool valid;

	open_scan(&scan, LUN_TEXT_NONE, true);
	scan.in = *reader;
	valid = scan_value(&scan, 1, &value);
	*reader = scan.in;
	*kind = value.kind;
	*escaped = value.escaped;
	close_scan(&scan);
	return valid;
}
