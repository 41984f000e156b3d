/*
 * vm.h - one Lua state: its life, its limits and the one door into it.
 *
 * lun_vm_protect() is the only function that calls lua_pcall. Everything that may
 * raise runs in the function handed to it; such a function owns no C memory.
 * Inside it the locale is "C", whatever the host has set.
 *
 * A handler is a call into the script between lun_vm_enter() and
 * lun_vm_leave(); each has the full budget. Once a budget is spent every
 * further instruction raises, and the door reports it whatever the script
 * made of the error. The state is then spent: make a new one.
 */

#ifndef LUN_SCRIPT_VM_H
#define LUN_SCRIPT_VM_H

#include <lua.h>

#include "lunette.h"
#include "script/pulse.h"
#include "script/script.h"

struct lun_vm;

/*
 * The pulse outlives the state; owner is what lun_vm_owner() gives inside it.
 */
enum lun_code lun_vm_new(const struct lun_script_limits *limits,
    struct lun_pulse *pulse, void *owner, struct lun_vm **out,
    struct lun_err *err) LUN_MUSTCHECK;
/* NULL is allowed. */
void lun_vm_free(struct lun_vm *vm);

static inline struct lun_vm *
lun_vm_of(lua_State *L)
{
	return *(struct lun_vm **)lua_getextraspace(L);
}

void *lun_vm_owner(lua_State *L);

/*
 * Call body(arg as light userdata). LUN_SCRIPT if it raised, with the message
 * and the script's part of the traceback; LUN_BUDGET if the time or the memory
 * was used up; LUN_NOMEM if the machine has none; LUN_UNAVAILABLE if it was
 * interrupted.
 */
enum lun_code lun_vm_protect(struct lun_vm *vm, lua_CFunction body, void *arg,
    struct lun_err *err) LUN_MUSTCHECK;

/*
 * Whether the instructions of Lua are counted, as they are from birth. Not
 * needed where no call can have many; between protected calls.
 */
void lun_vm_count(struct lun_vm *vm, bool count);
/* Somebody asked for that since the last check. */
bool lun_vm_interrupted(const struct lun_vm *vm);

/* Around each call of a handler. An error in between leaves by itself. */
void lun_vm_enter(struct lun_vm *vm);
void lun_vm_leave(struct lun_vm *vm);
/*
 * Around what the engine does for a handler, in which nothing is raised: a
 * watchdog takes a store that computes for no script that is stuck.
 */
void lun_vm_pause(struct lun_vm *vm);
void lun_vm_resume(struct lun_vm *vm);

/*
 * For C functions that scripts call: what is about to be done takes as long as
 * so many instructions. Raises if that spends the budget.
 */
void lun_vm_charge(lua_State *L, size_t instructions);

/*
 * For C functions that scripts call: what was done took long, so look at the
 * clock now. Raises if that spends the budget.
 */
void lun_vm_check(lua_State *L);

/* So many bytes are copied in the time of an instruction, for what is charged. */
#define LUN_VM_COPIED_PER_INSTRUCTION 64

/* Which coroutine runs from here on; returns the one that did. */
lua_State *lun_vm_switch(lua_State *L, lua_State *to);

/*
 * For C functions that scripts call: raise if so many bytes are more than the
 * state may hold. Then it is memory that has run out, not time.
 */
void lun_vm_check_room(lua_State *L, size_t bytes);

/*
 * For C functions that scripts call: raise because they got no memory. It is
 * not the script's fault then, whatever it makes of the error.
 */
void lun_vm_raise_no_memory(lua_State *L);

/*
 * True after LUN_BUDGET, LUN_NOMEM for want of memory inside, or an interrupt:
 * nothing must run here any more.
 */
bool lun_vm_spent(const struct lun_vm *vm);
/* True if it was the memory that ran out. */
bool lun_vm_starved(const struct lun_vm *vm);
/* Fit the pace of the collector to the memory in use; now and then. */
void lun_vm_tune(struct lun_vm *vm);

#endif
