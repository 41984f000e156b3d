/*
 * locale.h - the one locale in which the engine computes: "C".
 *
 * The process belongs to the host, who may have set any locale. Whatever
 * depends on it (Lua's library, the numbers of the C library, the words of
 * libpq) runs between these two, on the calling thread alone. They nest.
 */

#ifndef LUN_BASE_LOCALE_H
#define LUN_BASE_LOCALE_H

#include <locale.h>

/* Returns what the thread had, for lun_locale_leave(). */
locale_t lun_locale_enter(void);
void lun_locale_leave(locale_t outer);

#endif
