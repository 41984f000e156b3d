/* bytecode.c - what lua_dump() writes of a function, read piece by piece. */

#include "script/bytecode.h"

#include <lua.h>
#include <string.h>

/* The head that 5.4 writes where integers and numbers have 8 bytes. */
static const char head[] =
    LUA_SIGNATURE "\x54\x00\x19\x93\r\n\x1a\n\x04\x08\x08";

#define CHECKS 16 /* behind the head: an integer and a number */

/* The kinds of constants that have something behind them. */
enum constant {
	CONSTANT_INTEGER = 0x03,
	CONSTANT_SHORT_TEXT = 0x04,
	CONSTANT_NUMBER = 0x13,
	CONSTANT_LONG_TEXT = 0x14,
};

static const char *
take(struct lun_bytecode *b, size_t length)
{
	const char *at = b->at;

	if (length > (size_t)(b->end - at)) {
		b->bad = true;
		b->at = b->end;
		return b->end;
	}
	b->at += length;
	return at;
}

static unsigned char
take_byte(struct lun_bytecode *b)
{
	const char *at = take(b, 1);

	return b->bad ? 0 : (unsigned char)*at;
}

/* Seven bits a byte, the highest first; the last one has its eighth set. */
static size_t
take_size(struct lun_bytecode *b)
{
	size_t size = 0;
	unsigned char byte;

	do {
		byte = take_byte(b);
		if (size > SIZE_MAX >> 7)
			b->bad = true;
		size = size << 7 | (byte & 0x7f);
	} while (!b->bad && (byte & 0x80) == 0);
	return b->bad ? 0 : size;
}

/* So many elements of some bytes each. */
static const char *
take_list(struct lun_bytecode *b, size_t *count, size_t each)
{
	*count = take_size(b);
	if (*count > (size_t)(b->end - b->at) / each) {
		b->bad = true;
		*count = 0;
	}
	return take(b, *count * each);
}

/* Its length is one more than that; 0: there is none. */
static struct lun_text
take_text(struct lun_bytecode *b)
{
	size_t size = take_size(b);
	struct lun_text text = LUN_TEXT_NONE;

	if (size == 0)
		return text;
	text.bytes = take(b, size - 1);
	text.length = b->bad ? 0 : size - 1;
	return text;
}

static struct lun_text
take_constant(struct lun_bytecode *b)
{
	switch ((enum constant)take_byte(b)) {
	case CONSTANT_INTEGER:
	case CONSTANT_NUMBER:
		take(b, 8);
		return LUN_TEXT_NONE;
	case CONSTANT_SHORT_TEXT:
	case CONSTANT_LONG_TEXT:
		return take_text(b);
	}
	return LUN_TEXT_NONE; /* nil, false or true */
}

struct lun_bytecode
lun_bytecode_begin(struct lun_text dumped)
{
	struct lun_bytecode b = {
	    .at = dumped.bytes, .end = dumped.bytes + dumped.length};
	const char *begin = take(&b, sizeof head - 1);

	if (b.bad || memcmp(begin, head, sizeof head - 1) != 0)
		b.bad = true;
	take(&b, CHECKS);
	take_byte(&b); /* how many upvalues: the function says so again */
	return b;
}

struct lun_bytecode_function
lun_bytecode_enter(struct lun_bytecode *b)
{
	struct lun_bytecode_function f = {0};

	take_text(b); /* where it is from, and its lines */
	take_size(b);
	take_size(b);
	take(b, 3); /* parameters, varargs, stack */
	f.instructions = take_list(b, &f.instruction_count, sizeof(uint32_t));
	f.constant_count = take_size(b);
	f.constants = b->at;
	for (size_t i = 0; i < f.constant_count && !b->bad; i++)
		take_constant(b);
	f.upvalues = take_list(b, &f.upvalue_count, LUN_BYTECODE_UPVALUE);
	f.function_count = take_size(b);
	return b->bad ? (struct lun_bytecode_function){0} : f;
}

/* What is there for debugging. */
void
lun_bytecode_leave(struct lun_bytecode *b)
{
	size_t count;

	take_list(b, &count, 1); /* lines */
	for (count = take_size(b); count > 0 && !b->bad; count--) {
		take_size(b);
		take_size(b);
	}
	for (count = take_size(b); count > 0 && !b->bad; count--) {
		take_text(b);
		take_size(b);
		take_size(b);
	}
	for (count = take_size(b); count > 0 && !b->bad; count--)
		take_text(b);
}

struct lun_text
lun_bytecode_constant(const struct lun_bytecode_function *f, size_t index)
{
	struct lun_bytecode b = {.at = f->constants, .end = f->upvalues};
	struct lun_text text = LUN_TEXT_NONE;

	if (index >= f->constant_count)
		return text;
	for (size_t i = 0; i <= index; i++)
		text = take_constant(&b);
	return text;
}

uint32_t
lun_bytecode_instruction(const struct lun_bytecode_function *f, size_t n)
{
	uint32_t instruction;

	memcpy(&instruction, f->instructions + n * sizeof instruction,
	    sizeof instruction);
	return instruction;
}
