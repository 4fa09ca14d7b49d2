// A check that fails.
#include <assert.h>
#include <stddef.h>

int main(int argc, char **argv)
{
	char *order = argc > 1 ? argv[1] : NULL;
	assert(order != NULL);
	return 0;
}
