// Takes memory until there is none.
#include <stdlib.h>
#include <string.h>
#include <stdio.h>

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	for (int i = 1;; i++) {
		char *p = malloc(1 << 20);
		if (p)
			memset(p, i, 1 << 20);
		if (i % 16 == 0)
			printf("%d orders in the cache\n", i);
	}
}
