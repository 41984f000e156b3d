/*
 * format.h - numbers and spans of time as people read them.
 */

#ifndef LUN_CLI_FORMAT_H
#define LUN_CLI_FORMAT_H

#include <stdint.h>

#define CLI_FORMAT_MAX 48

/* 1234567 as "1,234,567". */
const char *cli_format_count(uint64_t count, char text[CLI_FORMAT_MAX]);

/* Seconds as "0:07", "12:40", "3:05:00". */
const char *cli_format_clock(double seconds, char text[CLI_FORMAT_MAX]);

/* Seconds as "0.4 s", "12 s", "5 min", "3 h", "2 days". */
const char *cli_format_span(double seconds, char text[CLI_FORMAT_MAX]);

#endif
