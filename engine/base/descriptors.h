/*
 * descriptors.h - descriptors 0 to 2 belong to standard input and output.
 *
 * Where whoever started the process has closed one of them, the next file or
 * socket would get its number, and what is printed would be written into it.
 */

#ifndef LUN_BASE_DESCRIPTORS_H
#define LUN_BASE_DESCRIPTORS_H

/*
 * Let those that are closed be taken by a file that refuses to be read (0) or
 * written (1, 2), as the closed one did. Before anything is opened that stays
 * open for long.
 */
void lun_descriptors_fill(void);

#endif
