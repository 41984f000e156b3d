/* locale.c - see locale.h. */

#include "base/locale.h"

/* Of all its categories the C library has one object, which needs no memory. */
locale_t
lun_locale_enter(void)
{
	return uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
}

void
lun_locale_leave(locale_t outer)
{
	uselocale(outer);
}
