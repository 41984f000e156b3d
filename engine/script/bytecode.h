/*
 * bytecode.h - what lua_dump() writes of a function, read piece by piece.
 *
 * Lua 5.4's own form, which is read only where its head says that it is that.
 * The texts borrow from what was dumped.
 */

#ifndef LUN_SCRIPT_BYTECODE_H
#define LUN_SCRIPT_BYTECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

struct lun_bytecode {
	const char *at;
	const char *end;
	bool bad; /* not what this file knows; what is read is of no use */
};

/* Of one function; those inside it follow, then its end. */
struct lun_bytecode_function {
	const char *instructions;
	size_t instruction_count;
	const char *constants;
	size_t constant_count;
	const char *upvalues; /* LUN_BYTECODE_UPVALUE bytes for each */
	size_t upvalue_count;
	size_t function_count;
};

#define LUN_BYTECODE_UPVALUE 3 /* bytes: in the stack?, index, kind */

/* The instructions that are told apart; their numbers are Lua's. */
enum lun_bytecode_op {
	LUN_OP_GETUPVAL = 9,
	LUN_OP_SETUPVAL = 10,
	LUN_OP_GETTABUP = 11,
	LUN_OP_GETTABLE = 12,
	LUN_OP_GETI = 13,
	LUN_OP_GETFIELD = 14,
	LUN_OP_SETTABUP = 15,
	LUN_OP_SETTABLE = 16,
	LUN_OP_SETFIELD = 18,
};

/* As lua_dump() wrote it, with or without names for debugging. */
struct lun_bytecode lun_bytecode_begin(struct lun_text dumped);
struct lun_bytecode_function lun_bytecode_enter(struct lun_bytecode *bytecode);
void lun_bytecode_leave(struct lun_bytecode *bytecode);

/* Absent: that constant is no text. */
struct lun_text lun_bytecode_constant(
    const struct lun_bytecode_function *function, size_t index);

/* The n-th instruction, and its operands. */
uint32_t lun_bytecode_instruction(
    const struct lun_bytecode_function *function, size_t n);

static inline unsigned
lun_bytecode_op(uint32_t instruction)
{
	return instruction & 0x7f;
}

static inline unsigned
lun_bytecode_a(uint32_t instruction)
{
	return instruction >> 7 & 0xff;
}

/* Of some: C is no register but a constant. */
static inline bool
lun_bytecode_k(uint32_t instruction)
{
	return (instruction >> 15 & 1) != 0;
}

static inline unsigned
lun_bytecode_b(uint32_t instruction)
{
	return instruction >> 16 & 0xff;
}

static inline unsigned
lun_bytecode_c(uint32_t instruction)
{
	return instruction >> 24;
}

#endif
