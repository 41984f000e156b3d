/* drivers.c - the drivers of the builds that the specs use. */

#include "faulty/fault.h"
#include "store/driver.h"

const struct lun_driver lun_drivers[] = {
    {"sqlite", NULL, &lun_sqlite_events, &lun_sqlite_models},
    {"postgres", "postgresql", &lun_postgres_events, &lun_postgres_models},
    {"memory", NULL, &lun_memory_events, &lun_memory_models},
    {"faulty", NULL, &lun_faulty_events, &lun_faulty_models},
    {.scheme = NULL},
};
